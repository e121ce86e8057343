"""The models of one training step, one for each seed, and what they are together."""

import json
import logging
import math
import shutil
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from components.tracking.running import watch_epochs
from components.train.job import Job
from components.train.jobstatus import JobStatus, watching
from model_core.build import build_model, parameters_by_part
from model_core.checkpoints.files import export_checkpoint, export_ensemble, member_name
from model_core.checkpoints.local import BEST, LAST
from model_core.checkpoints.mirror import open_mirror
from model_core.config.run import TrainingSettings
from model_core.data.inputs import ModelInputs
from model_core.data.windows import WindowSet
from model_core.deadlines import Ending
from model_core.disk import require_room
from model_core.distributed import ProcessGroup
from model_core.results.shrinkage import Shrinkage
from model_core.results.training import HistoryRow, MemberResults, MirrorOutcome, Parameters
from model_core.training.loop import train
from model_core.training.memory import MemoryLog
from model_core.training.outcome import TrainingResult
from model_core.training.precision import Precision
from model_core.training.seeds import seed_everything
from model_core.training.shrinkage import Validated
from model_core.training.validation import read_back

log = logging.getLogger("pgat.train")
STEPS = "steps.jsonl"


@dataclass(frozen=True)
class Surroundings:
    """What all members have in common."""

    job: Job
    inputs: ModelInputs
    train_windows: WindowSet
    validation_windows: WindowSet
    precision: Precision
    group: ProcessGroup
    memory: MemoryLog
    ending: Ending
    dataset_sha256: str
    status: JobStatus | None
    """Whom the main process tells how far it is."""

    @property
    def members(self) -> int:
        """Models that are trained."""
        return len(self.job.training_settings.of_members())


@dataclass(frozen=True)
class Member:
    """A model that is trained to its end."""

    settings: TrainingSettings
    folder: Path
    """Its checkpoints and logs."""
    result: TrainingResult
    parameters: Parameters
    peak_memory_mb: float
    read_back_loss: float | None
    validated: Validated | None
    """Forecasts of the validation windows; the main process has them."""
    mirror: MirrorOutcome | None

    @property
    def results(self) -> MemberResults:
        """As they stand in ``results.json``."""
        return MemberResults(
            seed=self.settings.seed,
            best_epoch=self.result.best_epoch,
            best_validation_loss=self.result.best_validation_loss,
            best_validation_loss_read_back=self.read_back_loss,
            untrained_validation_loss=finite(self.result.untrained_validation_loss),
            lost_best_epoch=self.result.lost_best_epoch,
            last_epoch=self.result.epochs,
            stopped_because=self.result.stopped_because,
        )


def train_members(around: Surroundings, work: Path) -> list[Member]:
    """Train a model for each seed, one after the other; those that an earlier attempt finished are only read."""
    plans = around.job.training_settings.of_members()
    if len(plans) == 1:
        return [_train_member(around, plans[0], work, around.job.checkpoint_uri, "", 0)]
    members = []
    for number, settings in enumerate(plans, start=1):
        log.info("member %d of %d: seed %d", number, len(plans), settings.seed)
        name, uri = member_name(number), around.job.checkpoint_uri
        folder = work / name
        folder.mkdir(exist_ok=True)
        members.append(
            _train_member(around, settings, folder, uri and f"{uri}/{name}", f"{name}/", number - 1)
        )
    return members


def _train_member(
    around: Surroundings, settings: TrainingSettings, folder: Path, uri: str | None, prefix: str, number: int
) -> Member:
    job, group, memory = around.job, around.group, around.memory
    seed_everything(settings.seed)
    network = build_model(job.model_settings, around.inputs).to(around.precision.device)
    memory.stage("model", parameters=sum(p.numel() for p in network.parameters()))
    if not group.is_main:
        # The weights are those of the main process; dropout is not to be the same in every process.
        seed_everything(settings.seed + group.rank)
    _announce(around, network)
    if group.is_main:
        require_room(folder, _checkpoints_at_once(settings) * _bytes_of(network))
    # Only now, when nothing can be refused any more, is anything written to the store.
    mirror = None
    if uri is not None and group.is_main:
        mirror = open_mirror(uri, folder, settings.keep_checkpoints, around.ending)
    watch = None
    if group.is_main:
        watch = watching(around.status, settings.train_epochs, number, around.members, watch_epochs(prefix))
    with mirror or nullcontext():
        result = train(
            network,
            around.train_windows,
            around.validation_windows,
            settings,
            folder,
            model_settings=job.model_settings,
            inputs=around.inputs,
            memory=memory,
            group=group,
            mirror=mirror,
            dataset_sha256=around.dataset_sha256,
            watch=watch,
        )
        peak_memory_mb = memory.peak_mb
        loss = validated = None
        if group.is_main:
            memory.stage("evaluation", epoch=result.best_epoch)
            loss, validated = read_back(
                folder / BEST, around.validation_windows, around.precision, settings.batch_size
            )
        return Member(
            settings=settings,
            folder=folder,
            result=result,
            parameters=_parameters_of(network),
            peak_memory_mb=peak_memory_mb,
            read_back_loss=loss,
            validated=validated,
            mirror=None if mirror is None else mirror.close(),
        )


def export_members(members: Sequence[Member], folder: Path, shrinkage: Shrinkage | None, loss: float) -> None:
    """``best`` and ``last``, ``steps.jsonl`` and ``tensorboard``: of the one model, or of all members in turn."""
    if len(members) == 1:
        export_checkpoint(members[0].folder / BEST, folder / BEST, shrinkage)
        export_checkpoint(members[0].folder / LAST, folder / LAST)
    else:
        export_ensemble([member.folder / BEST for member in members], folder / BEST, shrinkage, loss)
        export_ensemble([member.folder / LAST for member in members], folder / LAST, None, None)
    for number, member in enumerate(members, start=1):
        steps, board = member.folder / STEPS, member.folder / "tensorboard"
        if not steps.is_file():
            log.warning("%s is gone, so the model folder has none", steps)
        elif len(members) == 1:
            shutil.copyfile(steps, folder / STEPS)
        else:
            _append_steps(steps, folder / STEPS, number)
        if board.exists():
            shutil.copytree(
                board, folder / "tensorboard" / ("" if len(members) == 1 else member_name(number))
            )


def history_of(members: Sequence[Member]) -> list[HistoryRow]:
    """The epochs of all members, one after the other."""
    if len(members) == 1:
        return members[0].result.history
    return [
        row | {"member": number} for number, member in enumerate(members, 1) for row in member.result.history
    ]


def mirrored(members: Sequence[Member], uri: str | None) -> MirrorOutcome | None:
    """What reached the store, of all members together."""
    outcomes = [member.mirror for member in members if member.mirror is not None]
    if len(outcomes) < 2 or uri is None:
        return outcomes[0] if outcomes else None
    return MirrorOutcome(
        uri=uri,
        newest_is_complete=all(outcome.newest_is_complete for outcome in outcomes),
        checkpoints=sum(outcome.checkpoints for outcome in outcomes),
        failed_attempts=sum(outcome.failed_attempts for outcome in outcomes),
    )


def finite(value: float | None) -> float | None:
    """``None`` for NaN and infinity, which JSON has no words for."""
    return value if value is not None and math.isfinite(value) else None


def _append_steps(source: Path, target: Path, number: int) -> None:
    with source.open(encoding="utf-8") as lines, target.open("a", encoding="utf-8") as out:
        for line in lines:
            out.write(json.dumps(json.loads(line) | {"member": number}) + "\n")


def _parameters_of(network: nn.Module) -> Parameters:
    return Parameters(
        total=sum(p.numel() for p in network.parameters()),
        without_gradient=sum(p.numel() for p in network.parameters() if not p.requires_grad),
        by_part=parameters_by_part(network),
    )


def _checkpoints_at_once(settings: TrainingSettings) -> int:
    """In sizes of the weights: the newest state and the one that replaces it, each with two moments of every weight
    (and the weights beside their average, if there is one), and the best weights and those that replace them."""
    return 8 if settings.ema_decay is None else 10


def _bytes_of(network: nn.Module) -> int:
    return sum(p.numel() * p.element_size() for p in network.parameters())


def _announce(around: Surroundings, network: nn.Module) -> None:
    wanted, width = around.job.model_settings.d_model, around.job.model_settings.width
    log.info(
        "%d parameters; d_model %s; %d process(es) on %s in %s; %d windows",
        sum(p.numel() for p in network.parameters()),
        width if width == wanted else f"{wanted} adjusted to {width}",
        around.group.size,
        around.precision.device,
        around.precision.kind,
        len(around.train_windows),
    )
