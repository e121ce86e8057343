"""Step 4: how the best checkpoint behaves on perturbed inputs, and whether its invariants hold."""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from components.tracking.entries import finding_metrics
from components.tracking.running import log_results
from model_core.artifacts import open_artifact, staged_folder, write_manifest
from model_core.checkpoints.loading import load_model
from model_core.checkpoints.local import BEST
from model_core.config.run import DiagnosticsSettings
from model_core.data.dataset import MarketDataset
from model_core.diagnostics.findings import all_findings, target_of_diagnosis
from model_core.diagnostics.invariants import check_invariants
from model_core.diagnostics.masks import masks_that_touch
from model_core.errors import InvariantError
from model_core.lineage import say_if_other_dataset
from model_core.results.findings import Findings, Growth, Invariant, PerturbationResult, SkyRead
from model_core.results.record import write_result
from model_core.results.tables import FINDINGS
from model_core.training.precision import resolve_device
from model_core.training.threads import use_threads

log = logging.getLogger("pgat.diagnose")


def run(
    *, dataset: Path, model: Path, findings: Path, settings: DiagnosticsSettings, report_follows: bool = False
) -> dict[str, float]:
    """Perturb the inputs of all test windows and write what happens to the forecasts.

    Args:
        dataset: output folder of ``prepare_data``.
        model: output folder of ``train``.
        findings: output folder: ``findings.json``, ``findings.parquet``.
        settings: the ``diagnostics`` section.
        report_follows: whether a report is made of the findings, which says what is broken and then fails itself.

    Returns:
        The degradation ratio of each published perturbation, and the number of fragile ones.

    Raises:
        ArtifactError, CheckpointError: an input is missing or damaged.
        InvariantError: a property that must always hold does not, and no report follows; the findings are written
            all the same.
    """
    prepared = MarketDataset.open(dataset)
    say_if_other_dataset(open_artifact(model, producer="train"), dataset)
    device = resolve_device(settings.device)
    use_threads()
    loaded = load_model(model / BEST, device)
    loaded.inputs.refuse_other_windows(prepared)
    # Attacks need gradients of the input only.
    loaded.model.requires_grad_(requires_grad=False)
    reads = loaded.reads
    masks, left_out = masks_that_touch(settings.attack_masks, reads)
    asked = settings.model_copy(update={"attack_masks": masks})
    with staged_folder(findings) as folder:
        invariants = check_invariants(loaded.model, prepared, device, reads=reads)
        target = target_of_diagnosis(loaded.model, prepared, device, asked)
        rows = all_findings(target, asked)
        found = Findings(
            windows=len(target.clean),
            test_windows=len(target.windows),
            overlap=target.overlap,
            confidence=settings.confidence,
            smallest_effect=settings.smallest_effect,
            checkpoint=loaded.checkpoint,
            reads=SkyRead(**asdict(reads)),
            perturbations=rows,
            left_out=tuple(left_out),
            invariants=invariants,
        )
        write_result(folder, found)
        pq.write_table(_table(rows), folder / "findings.parquet")
        write_manifest(
            folder,
            producer="diagnose",
            settings={"diagnostics": settings.model_dump(mode="json")},
            seed=settings.seed,
            inputs={"dataset": dataset, "model": model},
        )
    log_results(finding_metrics(found))
    for reason in left_out:
        log.info("left out: %s", reason)
    for row in rows:
        log.info(
            "%-24s error %s (%s)%s",
            row.name,
            _times(row.degradation),
            f"random walk {_times(row.walk_degradation)}" if row.walk_reads else "no random walk reads that",
            "  fragile" if row.fragile else "",
        )
    _tell_broken(invariants, report_follows)
    published = {row.name: row.degradation.ratio for row in rows if row.group == "published"}
    # A metric is a number or is left out.
    measured = {name: ratio for name, ratio in published.items() if ratio is not None}
    return measured | {"fragile_scenarios": float(sum(row.fragile is True for row in rows))}


def _times(degradation: Growth) -> str:
    return "–" if degradation.ratio is None else f"× {degradation.ratio:.2f}"


def _tell_broken(invariants: tuple[Invariant, ...], report_follows: bool) -> None:
    broken = [f"{i.name} ({i.detail})" for i in invariants if not i.passed]
    if not broken:
        return
    said = f"the model broke {len(broken)} invariant(s): {'; '.join(broken)}"
    if not report_follows:
        raise InvariantError(said)
    log.error("INVARIANT FAILED: %s", said)


def _table(rows: Sequence[PerturbationResult]) -> pa.Table:
    """One flat row per perturbation."""
    flat = [
        row.model_dump(
            exclude={"parameters", "per_target", "clean", "perturbed", "degradation", "walk_degradation"}
        )
        | {f"clean_{name}": value for name, value in row.clean}
        | {f"perturbed_{name}": value for name, value in row.perturbed}
        | {f"degradation_{name}": value for name, value in row.degradation}
        | {f"walk_degradation_{name}": value for name, value in row.walk_degradation}
        for row in rows
    ]
    return pa.Table.from_pylist(flat).select([column.name for column in FINDINGS.columns])
