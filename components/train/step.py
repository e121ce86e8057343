"""Step 2: a prepared dataset in, a trained model with its history out."""

import hashlib
import logging
import shutil
import time
from contextlib import suppress
from pathlib import Path

from components.train.group import refuse_incomplete_group
from components.train.job import Job
from components.train.jobstatus import job_status
from components.train.members import (
    Member,
    Surroundings,
    export_members,
    finite,
    history_of,
    mirrored,
    train_members,
)
from components.train.termination import leaving_on_termination
from components.train.workspace import workspace
from components.work import begin, mark_finished
from model_core.artifacts import open_artifact, staged_folder, write_manifest
from model_core.data.dataset import MarketDataset, open_manifest
from model_core.data.inputs import ModelInputs
from model_core.data.windows import WindowSet
from model_core.deadlines import Ending
from model_core.distributed import ProcessGroup
from model_core.errors import ArtifactError, DiskError
from model_core.results.record import read_result, write_result
from model_core.results.training import TrainResults
from model_core.training.loop import identity_of
from model_core.training.memory import memory_log
from model_core.training.precision import Precision, resolve_precision
from model_core.training.runlog import HISTORY, write_history
from model_core.training.shrinkage import fit_shrinkage, in_words, mean_loss
from model_core.training.threads import use_threads

log = logging.getLogger("pgat.train")
PRODUCER = "train"
MEMORY_LOG = "memory_diagnostics.log"


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
        UserError: the variables that torchrun sets are there by halves.
        CheckpointError: the checkpoints belong to another run, or another run is alive.
        StoreError: the checkpoint URI cannot be reached at the start.
        TrainingError: losses stayed non-finite, or the memory is not enough.
    """
    refuse_incomplete_group()
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
    with memory_log(work / MEMORY_LOG, device, settings.memory_log_interval) as memory:
        memory.stage("device", device=str(device), precision=precision.kind, processes=group.size)
        train_windows = WindowSet(prepared, "train", device, settings.train_window_stride)
        validation_windows = WindowSet(prepared, "validation", device)
        memory.stage("data", train_windows=len(train_windows), validation_windows=len(validation_windows))
        around = Surroundings(
            job=job,
            inputs=inputs,
            train_windows=train_windows,
            validation_windows=validation_windows,
            precision=precision,
            group=group,
            memory=memory,
            ending=ending,
            dataset_sha256=_content_of(Path(job.dataset)),
            status=job_status() if group.is_main else None,
        )
        members = train_members(around, work)
        if around.status is not None:
            around.status.finish()
        shrinkage, together = None, members[0].result.best_validation_loss
        validated = [member.validated for member in members if member.validated is not None]
        if len(validated) > 1:
            together = mean_loss(validated, job.model_settings.mixture)
        if settings.shrinkage and validated:
            shrinkage = fit_shrinkage(validated)
            log.info("%s", in_words(shrinkage))
        memory.stage("end")
        alone, all_rows = len(members) == 1, history_of(members)
        first, runs = members[0], [member.result for member in members]
        results = TrainResults(
            best_epoch=max(run.best_epoch for run in runs),
            best_validation_loss=together,
            best_validation_loss_read_back=first.read_back_loss if alone else together,
            untrained_validation_loss=finite(first.result.untrained_validation_loss),
            lost_best_epoch=first.result.lost_best_epoch if alone else None,
            last_epoch=max(run.epochs for run in runs),
            epochs_run=len(all_rows),
            members=() if alone else tuple(member.results for member in members),
            shrinkage=shrinkage,
            stopped_because="; ".join(dict.fromkeys(run.stopped_because for run in runs)),
            resumed_at=runs[-1].resumed_at,
            seconds=time.monotonic() - started,
            seconds_of_all_attempts=sum(row["seconds"] for row in all_rows),
            device=str(device),
            processes=group.size,
            precision=precision.kind,
            seed=first.settings.seed if alone else None,
            d_model_requested=job.model_settings.d_model,
            d_model_used=job.model_settings.width,
            parameters=first.parameters,
            gradient_checkpointing=job.model_settings.gradient_checkpointing,
            peak_memory_mb=max(member.peak_memory_mb for member in members),
            memory_growth_mb_per_epoch=memory.growth_mb_per_epoch(),
            train_windows=len(train_windows),
            validation_windows=len(validation_windows),
            mirror=mirrored(members, job.checkpoint_uri),
        )
    if group.is_main:
        _publish(job, work, results, members)
    return headline(results)


def _content_of(dataset: Path) -> str:
    """Hash of what training reads of a dataset; preparing the same table again does not change it."""
    files = open_manifest(dataset).files
    digest = hashlib.sha256()
    for name in ("waves.parquet", "future.parquet", "splits.json", "scaler.json"):
        digest.update(files[name].sha256.encode())
    return digest.hexdigest()


def _publish(job: Job, work: Path, results: TrainResults, members: list[Member]) -> None:
    """Turn the finished workspace into the artifact; then it may go.

    Raises:
        DiskError: that cannot be written; the workspace stays.
    """
    try:
        _write_artifact(job, work, results, members)
    except (ArtifactError, DiskError) as error:
        raise DiskError(f"{error}; the training is done, and its checkpoints are in {work}") from error
    # The model is whole: what cannot be removed or marked costs some room, and no run.
    if job.kept is None:
        shutil.rmtree(work, ignore_errors=True)
    else:
        with suppress(OSError):
            mark_finished(work)


def _write_artifact(job: Job, work: Path, results: TrainResults, members: list[Member]) -> None:
    with staged_folder(Path(job.model)) as folder:
        export_members(members, folder, results.shrinkage, results.best_validation_loss)
        write_history(folder / HISTORY, history_of(members))
        if (work / MEMORY_LOG).is_file():
            shutil.copyfile(work / MEMORY_LOG, folder / MEMORY_LOG)
        else:
            log.warning("%s is gone, so the model folder has none", work / MEMORY_LOG)
        write_result(folder, results)
        write_manifest(
            folder,
            producer=PRODUCER,
            settings={
                "model": job.model_settings.model_dump(mode="json"),
                "training": job.training_settings.model_dump(mode="json"),
            },
            seed=members[0].settings.seed,
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
