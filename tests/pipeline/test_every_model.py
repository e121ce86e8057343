"""Every ablation, every head and both kinds of model go through all five steps.

A page takes longer than the steps before it. It is drawn of every combination of fields that the others leave.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from components.diagnose.step import run as diagnose
from components.evaluate.step import run as evaluate
from components.prepare_data.step import run as prepare_data
from components.report.step import run as report
from components.train.job import Job
from components.train.step import run as train
from model_core.artifacts import MANIFEST
from model_core.config.load import load_settings
from model_core.config.run import Settings
from model_core.results.explanation import Explanation
from model_core.results.findings import Findings, SkyRead
from model_core.results.record import read_result
from model_core.results.scores import Scores
from model_core.sky.bodies import BODIES
from model_core.training.state import Progress
from tests.report.reading import words_of

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
CONFIGS = Path(__file__).parent.parent.parent / "configs"
ABLATIONS = sorted((CONFIGS / "ablations").glob("*.yaml"))
TINY = [
    "data.window={seq_len: 16, label_len: 8, pred_len: 3}",
    "data.synthetic={rows: 300}",
    *(f"model.{name}=1" for name in ("e_layers", "d_layers", "celestial_fusion_layers")),
    *("model.d_model=26", "model.n_heads=2", "model.d_ff=32", "model.celestial_dim=4"),
    *("training.train_epochs=1", "training.warmup_epochs=0", "training.train_window_stride=8"),
    # Of a few validation windows nothing would be kept, and this is about what the model does.
    *("training.tensorboard=false", "training.device=cpu", "training.shrinkage=false"),
    *("evaluation.device=cpu", "evaluation.importance_windows=8"),
    *("diagnostics.max_batches=1", "diagnostics.batch_size=12", "diagnostics.device=cpu"),
    *("diagnostics.attack_strengths=[0.05]", "diagnostics.pgd_steps=2"),
    "report.example_windows=1",
]
"""Settings under which a run takes seconds; what makes a model this model stays as its file says."""


@dataclass(frozen=True)
class Case:
    """A configuration file, what else is set, and what that is called."""

    path: Path
    more: tuple[str, ...] = ()
    but: str = ""

    @property
    def name(self) -> str:
        return f"{self.path.stem} {self.but}".strip()

    @property
    def settings(self) -> Settings:
        return load_settings(self.path, [*TINY, *self.more])


MIXTURE = ("model.use_mixture_decoder=true", "model.mixture.kind=mixture")
SEQUENTIAL = ("model.use_mixture_decoder=true", "model.mixture.kind=sequential_mixture")
BASE, NO_SKY = (CONFIGS / "ablations" / name for name in ("base_model.yaml", "no_sky.yaml"))
CASES = [
    Case(CONFIGS / "celestial_enhanced_pgat.yaml"),
    Case(CONFIGS / "celestial_enhanced_pgat_memory_optimized.yaml"),
    *(Case(path) for path in ABLATIONS),
    Case(BASE, MIXTURE, "mixture"),
    Case(BASE, SEQUENTIAL, "sequential mixture"),
    Case(BASE, ("model.use_future_sky=false",), "no future sky"),
    Case(NO_SKY, MIXTURE, "mixture"),
]


DRAWN: set[str] = set()
"""Which fields there were in the artifacts of the pages so far."""


def fields_of(*folders: Path) -> str:
    """Which fields the results in these folders have, and what stands in each: a number, a text, nothing."""

    def kinds(value: object) -> object:
        match value:
            case dict():
                return {name: kinds(inner) for name, inner in value.items()}
            case list():
                return sorted({json.dumps(kinds(inner), sort_keys=True) for inner in value})
            case int() | float():
                return "number"
            case _:
                return type(value).__name__

    files = sorted(path for folder in folders for path in folder.glob("*.json"))
    read = {
        path.name: json.loads(path.read_text(encoding="utf-8")) for path in files if path.name != MANIFEST
    }
    return json.dumps(kinds(read), sort_keys=True)


@pytest.fixture(scope="module", name="dataset")
def _dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("every-model") / "dataset"
    prepare_data(source="sample://synthetic", dataset=folder, settings=CASES[0].settings.data)
    return folder


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_model_is_trained_scored_diagnosed_and_reported(
    case: Case,
    dataset: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if case.path.parent.name == "ablations" and not case.more:
        request.getfixturevalue("unprinted")
    # Here the untrained model, whose forecasts no sky reaches, is no candidate for the best one.
    monkeypatch.setattr(Progress, "awaits_first_score", False)
    settings = case.settings
    model, evaluation, findings = (tmp_path / name for name in ("model", "evaluation", "findings"))
    given: dict[str, Any] = {"dataset": dataset, "model": model}
    train(Job(**given, model_settings=settings.model, training_settings=settings.training))
    evaluate(**given, evaluation=evaluation, settings=settings.evaluation)
    diagnose(**given, findings=findings, settings=settings.diagnostics)
    scores, found = read_result(Scores, evaluation), read_result(Findings, findings)
    the_scores_are_those_of_its_head(scores, settings)
    the_graph_has_the_nodes_of_its_kind(read_result(Explanation, evaluation), settings)
    the_findings_fit_what_it_reads(found, settings)
    if (fields := fields_of(model, evaluation, findings)) in DRAWN:
        return
    DRAWN.add(fields)
    report(
        **given,
        evaluation=evaluation,
        findings=findings,
        report=tmp_path / "report.html",
        summary=tmp_path / "summary.md",
        settings=settings.report,
        publish_uri=None,
        run_name="one-of-all",
    )
    said = words_of((tmp_path / "report.html").read_text(encoding="utf-8"))
    for sentence in (
        "one-of-all",
        scores.verdict.text,
        *found.left_out,
        *(row.title for row in found.perturbations),
    ):
        assert sentence in said


def the_scores_are_those_of_its_head(scores: Scores, settings: Settings) -> None:
    assert scores.candles.invalid_share == 0
    assert (scores.calibration.model is not None) == settings.model.use_mixture_decoder


def the_graph_has_the_nodes_of_its_kind(explanation: Explanation, settings: Settings) -> None:
    assert (explanation.bodies == BODIES) == sky_of(settings).past_sky
    assert sum(explanation.source_weights.values()) == pytest.approx(1, abs=1e-5)


def the_findings_fit_what_it_reads(findings: Findings, settings: Settings) -> None:
    reads, rows = findings.reads, findings.perturbations
    assert reads == sky_of(settings)
    assert len(findings.invariants) == 6
    assert all(invariant.passed for invariant in findings.invariants)
    masks = {row.parameters["mask"] for row in rows if "mask" in row.parameters}
    assert masks == {"all", "prices", "last_days"} | ({"sky"} if reads.past_sky else set())
    assert bool(findings.left_out) == (not reads.past_sky)
    for row in rows:
        assert row.perturbed.mae > 0
        assert row.degradation.ratio is not None


def sky_of(settings: Settings) -> SkyRead:
    """What ``docs/model.md`` says that a model with these settings reads of the sky."""
    celestial = settings.model.kind == "celestial_enhanced_pgat"
    past = not celestial or settings.model.use_celestial_graph
    return SkyRead(past_sky=past, future_sky=past and settings.model.use_future_sky)
