"""Step 2: a prepared dataset in, a trained model with its history out."""

import hashlib
import logging
import math
import shutil
import time
from contextlib import ExitStack, nullcontext, suppress
from pathlib import Path

from torch import nn

from components.train.job import Job
from components.train.termination import leaving_on_termination
from components.train.workspace import workspace
from components.work import begin, mark_finished
from model_core.artifacts import open_artifact, staged_folder, write_manifest
from model_core.build import build_model, parameters_by_part
from model_core.checkpoints.files import export_checkpoint
from model_core.checkpoints.local import BEST, LAST
from model_core.checkpoints.mirror import Mirror, open_mirror
from model_core.config.run import TrainingSettings
from model_core.data.dataset import MarketDataset, open_manifest
from model_core.data.inputs import ModelInputs
from model_core.data.windows import WindowSet
from model_core.deadlines import Ending
from model_core.disk import require_room
from model_core.distributed import ProcessGroup
from model_core.errors import ArtifactError, DiskError
from model_core.results.record import read_result, write_result
from model_core.results.training import HistoryRow, Parameters, TrainResults
from model_core.training.loop import identity_of, train
from model_core.training.memory import memory_log
from model_core.training.precision import Precision, resolve_precision
from model_core.training.runlog import HISTORY, write_history
from model_core.training.seeds import seed_everything
from model_core.training.shrinkage import fit_shrinkage, in_words
from model_core.training.threads import use_threads
from model_core.training.validation import read_back

log = logging.getLogger("pgat.train")
PRODUCER = "train"
MEMORY_LOG = "memory_diagnostics.log"
LOGS = ("steps.jsonl", MEMORY_LOG)


def run(job: Job) -> dict[str, float]:
    """Train on the job's dataset and leave the best and the last checkpoint in its model folder.

    While it trains it works in the hidden folder ``.<model>-training`` beside the model, or in a part of ``job.kept``.
    A run that was killed goes on from there when the same command is given again, or from ``job.checkpoint_uri`` on
    another machine. Under ``torchrun`` each process calls this function; the main one writes.

    Returns:
        Best validation loss and epoch, parameters, seconds.

    Raises:
        ArtifactError: the dataset is missing or damaged, or the output cannot be written.
        SettingsError: the settings do not fit the dataset or this machine.
        CheckpointError: the checkpoints belong to another run, or another run is alive.
        StoreError: the checkpoint URI cannot be reached at the start.
        TrainingError: losses stayed non-finite, or the memory is not enough.
    """
    settings = job.training_settings
    precision = resolve_precision(settings)
    identity: dict[str, object] = {}
    if job.kept is not None:
        identity = identity_of(settings, job.model_settings, precision, _content_of(Path(job.dataset)))
        kept = job.kept.of(identity)
        job = job.model_copy(update={"kept": kept, "checkpoint_uri": job.checkpoint_uri or kept.uri})
    use_threads(settings.threads)
    ending = Ending(settings.mirror_patience_seconds, settings.termination_grace_seconds)
    kept_folder = None if job.kept is None else Path(job.kept.folder)
    # Within ``train`` a termination waits for the step in progress; before and after it there is nothing to save.
    with (
        ProcessGroup.from_env(precision.device.type) as group,
        workspace(Path(job.model), group.is_main, kept_folder) as work,
        leaving_on_termination(ending.terminated),
    ):
        if job.kept is not None and group.is_main:
            begin(work, identity)
        return _run(job, ending, precision, group, work)


def _run(job: Job, ending: Ending, precision: Precision, group: ProcessGroup, work: Path) -> dict[str, float]:
    started = time.monotonic()
    settings, device = job.training_settings, precision.device
    prepared = MarketDataset.open(Path(job.dataset))
    inputs = ModelInputs.from_dataset(prepared)
    with memory_log(work / MEMORY_LOG, device, settings.memory_log_interval) as memory, ExitStack() as stack:
        memory.stage("device", device=str(device), precision=precision.kind, processes=group.size)
        train_windows = WindowSet(prepared, "train", device, settings.train_window_stride)
        validation_windows = WindowSet(prepared, "validation", device)
        memory.stage("data", train_windows=len(train_windows), validation_windows=len(validation_windows))
        seed_everything(settings.seed)
        network = build_model(job.model_settings, inputs).to(device)
        memory.stage("model", parameters=sum(p.numel() for p in network.parameters()))
        if not group.is_main:
            # The weights are those of the main process; dropout is not to be the same in every process.
            seed_everything(settings.seed + group.rank)
        _announce(job, network, precision, group, len(train_windows))
        if group.is_main:
            require_room(work, _checkpoints_at_once(settings) * _bytes_of(network))
        # Only now, when nothing can be refused any more, is anything written to the store.
        mirror = _mirror(job, ending, group, work)
        stack.enter_context(mirror or nullcontext())
        result = train(
            network,
            train_windows,
            validation_windows,
            settings,
            work,
            model_settings=job.model_settings,
            inputs=inputs,
            memory=memory,
            group=group,
            mirror=mirror,
            dataset_sha256=_content_of(Path(job.dataset)),
        )
        peak_memory_mb = memory.peak_mb
        read_back_loss = shrinkage = None
        if group.is_main:
            memory.stage("evaluation", epoch=result.best_epoch)
            read_back_loss, validated = read_back(
                work / BEST, validation_windows, precision, settings.batch_size
            )
            if settings.shrinkage:
                shrinkage = fit_shrinkage(validated)
                log.info("%s", in_words(shrinkage))
        memory.stage("end")
        results = TrainResults(
            best_epoch=result.best_epoch,
            best_validation_loss=result.best_validation_loss,
            best_validation_loss_read_back=read_back_loss,
            untrained_validation_loss=_finite(result.untrained_validation_loss),
            lost_best_epoch=result.lost_best_epoch,
            last_epoch=result.epochs,
            epochs_run=len(result.history),
            shrinkage=shrinkage,
            stopped_because=result.stopped_because,
            resumed_at=result.resumed_at,
            seconds=time.monotonic() - started,
            seconds_of_all_attempts=sum(row["seconds"] for row in result.history),
            device=str(device),
            processes=group.size,
            precision=precision.kind,
            seed=settings.seed,
            d_model_requested=job.model_settings.d_model,
            d_model_used=job.model_settings.width,
            parameters=Parameters(
                total=sum(p.numel() for p in network.parameters()),
                without_gradient=sum(p.numel() for p in network.parameters() if not p.requires_grad),
                by_part=parameters_by_part(network),
            ),
            gradient_checkpointing=job.model_settings.gradient_checkpointing,
            peak_memory_mb=peak_memory_mb,
            memory_growth_mb_per_epoch=memory.growth_mb_per_epoch(),
            train_windows=len(train_windows),
            validation_windows=len(validation_windows),
            mirror=None if mirror is None else mirror.close(),
        )
    if group.is_main:
        _publish(job, work, results, result.history)
    return headline(results)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _mirror(job: Job, ending: Ending, group: ProcessGroup, work: Path) -> Mirror | None:
    if job.checkpoint_uri is None or not group.is_main:
        return None
    return open_mirror(job.checkpoint_uri, work, job.training_settings.keep_checkpoints, ending)


def _checkpoints_at_once(settings: TrainingSettings) -> int:
    """In sizes of the weights: the newest state and the one that replaces it, each with two moments of every weight
    (and the weights beside their average, if there is one), and the best weights and those that replace them."""
    return 8 if settings.ema_decay is None else 10


def _bytes_of(network: nn.Module) -> int:
    return sum(p.numel() * p.element_size() for p in network.parameters())


def _content_of(dataset: Path) -> str:
    """Hash of what training reads of a dataset; preparing the same table again does not change it."""
    files = open_manifest(dataset).files
    digest = hashlib.sha256()
    for name in ("waves.parquet", "future.parquet", "splits.json", "scaler.json"):
        digest.update(files[name].sha256.encode())
    return digest.hexdigest()


def _announce(job: Job, network: nn.Module, precision: Precision, group: ProcessGroup, windows: int) -> None:
    wanted, width = job.model_settings.d_model, job.model_settings.width
    log.info(
        "%d parameters; d_model %s; %d process(es) on %s in %s; %d windows",
        sum(p.numel() for p in network.parameters()),
        width if width == wanted else f"{wanted} adjusted to {width}",
        group.size,
        precision.device,
        precision.kind,
        windows,
    )


def _publish(job: Job, work: Path, results: TrainResults, history: list[HistoryRow]) -> None:
    """Turn the finished workspace into the artifact; then it may go.

    Raises:
        DiskError: that cannot be written; the workspace stays.
    """
    try:
        _write_artifact(job, work, results, history)
    except (ArtifactError, DiskError) as error:
        raise DiskError(f"{error}; the training is done, and its checkpoints are in {work}") from error
    # The model is whole: what cannot be removed or marked costs some room, and no run.
    if job.kept is None:
        shutil.rmtree(work, ignore_errors=True)
    else:
        with suppress(OSError):
            mark_finished(work)


def _write_artifact(job: Job, work: Path, results: TrainResults, history: list[HistoryRow]) -> None:
    with staged_folder(Path(job.model)) as folder:
        export_checkpoint(work / BEST, folder / BEST, results.shrinkage)
        export_checkpoint(work / LAST, folder / LAST)
        write_history(folder / HISTORY, history)
        for name in LOGS:
            if (work / name).is_file():
                shutil.copyfile(work / name, folder / name)
            else:
                log.warning("%s is gone, so the model folder has none", work / name)
        if (work / "tensorboard").exists():
            shutil.copytree(work / "tensorboard", folder / "tensorboard")
        write_result(folder, results)
        write_manifest(
            folder,
            producer=PRODUCER,
            settings={
                "model": job.model_settings.model_dump(mode="json"),
                "training": job.training_settings.model_dump(mode="json"),
            },
            seed=job.training_settings.seed,
            inputs={"dataset": Path(job.dataset)},
        )


def headline(results: TrainResults) -> dict[str, float]:
    """The metrics that the step shows beside a run."""
    return {
        "best_validation_loss": results.best_validation_loss,
        "best_epoch": float(results.best_epoch),
        "epochs": float(results.last_epoch),
        "parameters": float(results.parameters.total),
        "train_seconds": results.seconds,
    }


def headline_of(model: Path) -> dict[str, float]:
    """The same, from a model folder that other processes wrote.

    Raises:
        ArtifactError: the folder is missing, incomplete or damaged.
    """
    open_artifact(model, producer=PRODUCER)
    return headline(read_result(TrainResults, model))
