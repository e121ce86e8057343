"""All runs of a search, shared out to processes; each leaves one JSON line, whatever happens to the others.

Runs are taken seed by seed, origin by origin, market by market, and in each of these rounds candidate by candidate:
wherever time runs out, all candidates have been through the same rounds but the last one.
"""

import json
import multiprocessing
import os
import queue
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmarks.search.grid import Candidate
from benchmarks.search.origins import Origin, open_origins
from benchmarks.search.runs import OriginWindows, OutOfTimeError, train_candidate
from model_core.build import build_model
from model_core.data.inputs import ModelInputs
from model_core.errors import ArtifactError, SettingsError, TrainingError
from model_core.progress import ProgressMeter
from model_core.training.precision import resolve_device

RUNS = "runs.jsonl"
_POLL_SECONDS = 0.5
_LEAVE_SECONDS = 30.0
"""For a process to end a step and itself."""


class Task(NamedTuple):
    """A run that is to be done."""

    candidate: int
    """Its place in the list of candidates."""
    market: str
    origin: int
    seed: int


@dataclass(frozen=True)
class Search:
    """What every process must know; it is sent to each of them."""

    data: Path
    candidates: list[Candidate]
    tasks: list[Task]
    device: str
    deadline: float
    """On ``time.monotonic``, which all processes of a machine share."""
    threads: int
    """CPU threads of a process."""


def tasks_of(
    candidates: Sequence[Candidate], origins: Sequence[tuple[str, int]], seeds: Sequence[int]
) -> list[Task]:
    """All runs in the order in which they are taken."""
    markets, numbers = (list(dict.fromkeys(part)) for part in zip(*origins, strict=True))
    return [
        Task(candidate, market, number, seed)
        for seed, number, market, candidate in product(
            seeds, sorted(numbers), markets, range(len(candidates))
        )
        if (market, number) in origins
    ]


def search(
    data: Path,
    out: Path,
    candidates: list[Candidate],
    seeds: Sequence[int],
    *,
    device: str,
    jobs: int,
    deadline: float,
) -> tuple[int, int]:
    """Do what is not yet in ``out / runs.jsonl``, in ``jobs`` processes, until ``deadline``.

    Returns:
        How many runs there are now, and how many there are to be.

    Raises:
        ArtifactError: ``data`` holds no origins, or ``out`` cannot be written.
        SettingsError: a candidate does not fit the data or this machine, or ``out`` holds runs of other settings.
        TrainingError: a process ended with an error, which stands on the error stream.
    """
    origins = open_origins(data)
    resolve_device(device)
    for candidate in candidates:
        _refuse_misfit(candidate, next(iter(origins.values())))
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArtifactError(f"cannot write to {out} ({error.strerror}); choose another folder") from error
    done = _done(out, candidates)
    wanted = tasks_of(candidates, list(origins), seeds)
    tasks = [task for task in wanted if task not in done]
    threads = max(1, (os.cpu_count() or 1) // jobs)
    plan = Search(data, candidates, tasks, device, deadline, threads)
    count = len(wanted) - len(tasks)
    with (
        (out / RUNS).open("a", encoding="utf-8") as file,
        ProgressMeter("searching", len(wanted), "runs", done=count) as meter,
    ):
        for record in _records(plan, min(jobs, len(tasks))):
            file.write(json.dumps(record, allow_nan=False) + "\n")
            file.flush()
            count += 1
            meter.update()
    return count, len(wanted)


def read_runs(out: Path) -> list[dict[str, Any]]:
    """The records in ``out``; a last line that was cut short is removed from the file.

    Raises:
        ArtifactError: there are none, or a line is no record.
    """
    path = out / RUNS
    try:
        text = path.read_text(encoding="utf-8")
        if text and not text.endswith("\n"):
            text = text[: text.rfind("\n") + 1]
            path.write_text(text, encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]
    except FileNotFoundError as error:
        raise ArtifactError(f"{path} does not exist; make it with: settings_search.py run") from error
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path} cannot be read ({error}); delete it and search anew") from error


def _done(out: Path, candidates: Sequence[Candidate]) -> set[Task]:
    places = {candidate.name: place for place, candidate in enumerate(candidates)}
    done = set()
    for run in read_runs(out) if (out / RUNS).exists() else ():
        place = places.get(run["candidate"])
        if place is None:
            continue
        if run["digest"] != candidates[place].digest:
            raise SettingsError(
                f"{out / RUNS} holds runs of candidate {run['candidate']} with other settings; choose another folder"
            )
        done.add(Task(place, run["market"], run["origin"], run["seed"]))
    return done


def _refuse_misfit(candidate: Candidate, origin: Origin) -> None:
    wanted, there = candidate.settings.data.window, origin.dataset.window
    if wanted != there:
        raise SettingsError(
            f"candidate {candidate.name} is for windows of {wanted.seq_len} days, and the origins hold windows of "
            f"{there.seq_len}; prepare them with the same --config"
        )
    try:
        build_model(candidate.settings.model, ModelInputs.from_dataset(origin.dataset))
    except SettingsError as error:
        raise SettingsError(f"candidate {candidate.name}: {error}") from error


def _records(plan: Search, jobs: int) -> Iterator[dict[str, Any]]:
    """Records as they come in.

    Raises:
        TrainingError: a process ended with an error, or does not end.
    """
    # Not forked: a process that has CUDA or threads cannot be.
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[dict[str, Any]] = context.Queue()
    taken = context.Value("i", 0)
    processes: list[BaseProcess] = [
        context.Process(target=_work, args=(plan, taken, results)) for _ in range(jobs)
    ]
    for process in processes:
        process.start()
    try:
        while True:
            # Asked before the queue is, so that what the last process left there is seen.
            alive = any(process.is_alive() for process in processes)
            with suppress(queue.Empty):
                yield results.get(timeout=_POLL_SECONDS)
                continue
            if failed := [process.exitcode for process in processes if process.exitcode]:
                raise TrainingError(
                    f"a process of the search ended with code {failed[0]}; its error stands above, and the same "
                    "command goes on with the runs that are missing"
                )
            if not alive:
                return
            if time.monotonic() > plan.deadline + _LEAVE_SECONDS:
                raise TrainingError(
                    f"a process of the search did not end within {_LEAVE_SECONDS:g} s after its time; what was done "
                    "is kept, and the same command goes on from there"
                )
    finally:
        for process in processes:
            process.terminate()
            process.join(_LEAVE_SECONDS)


def _work(plan: Search, taken: Any, results: Any) -> None:
    """What a process does: take the next task, until there is none or no time."""
    torch.set_num_threads(min(plan.threads, torch.get_num_threads()))
    parent = os.getppid()
    device, origins = resolve_device(plan.device), open_origins(plan.data)
    windows: OriginWindows | None = None

    def going_on() -> bool:
        return time.monotonic() < plan.deadline and os.getppid() == parent

    while going_on():
        with taken.get_lock():
            number = taken.value
            taken.value += 1
        if number >= len(plan.tasks):
            return
        task = plan.tasks[number]
        origin = origins[task.market, task.origin]
        if windows is None or windows.origin is not origin:
            windows = OriginWindows(origin, device)
        candidate = plan.candidates[task.candidate]
        try:
            found = train_candidate(candidate.with_seed(task.seed, plan.device), windows, going_on)
        except OutOfTimeError:
            return
        if device.type == "cuda":
            # What recorded steps held stays with this process otherwise, and others share the device.
            torch.cuda.empty_cache()
        results.put(
            {
                "candidate": candidate.name,
                "market": task.market,
                "origin": task.origin,
                "seed": task.seed,
                "changes": candidate.changes,
                "digest": candidate.digest,
                "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
                **found,
            }
        )
