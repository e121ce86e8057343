"""Markets without movement, without a range, or with one step only go through all five steps, and the report says why
there is no verdict instead of dividing by zero.

Warnings are errors here, so that a division by zero fails even where its result is thrown away.
"""

import html
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.diagnose.step import run as diagnose
from components.evaluate.step import run as evaluate
from components.prepare_data.step import run as prepare_data
from components.report.step import run as report
from components.train.job import Job
from components.train.step import run as train
from model_core.config.data import DataSettings, TailSplit, WindowSettings
from model_core.config.run import DiagnosticsSettings, EvaluationSettings, ReportSettings
from model_core.results.findings import Findings
from model_core.results.record import read_result
from model_core.results.scores import Scores
from model_core.training.state import Progress
from tests.data.market import saved, table
from tests.report.reading import words_of
from tests.training.prepared import MODEL, TRAINING

TEST, VALIDATION = 40, 20
DATA = DataSettings(
    window=WindowSettings(seq_len=16, label_len=8, pred_len=3),
    scale_rows=10,
    splits=TailSplit(kind="tail", validation=VALIDATION, test=TEST),
)
TRAIN = TRAINING.model_copy(update={"train_epochs": 1, "tensorboard": False, "train_window_stride": 8})
EVALUATION = EvaluationSettings(device="cpu", importance_windows=8)
DIAGNOSTICS = DiagnosticsSettings(
    device="cpu", attack_strengths=(0.05,), attack_masks=("prices",), attacks=False, batch_size=64
)
pytestmark = pytest.mark.slow
ROWS = 160
PRICES = ("Open", "High", "Low", "Close")
FIRST_TEST_ROW = ROWS - TEST


@pytest.fixture(autouse=True)
def _a_trained_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """The untrained one, which is its base and makes exactly the base's errors, is no candidate here."""
    monkeypatch.setattr(Progress, "awaits_first_score", False)


def one_price(close: np.ndarray) -> pd.DataFrame:
    """Open = High = Low = Close, as funds and fixings are written."""
    return table(len(close)).assign(**dict.fromkeys(PRICES, close))


def flat_between(first: int, stop: int) -> pd.DataFrame:
    """A lively market whose price does not move in some rows."""
    frame = table(ROWS)
    still = range(first, stop)
    return frame.assign(
        **{name: frame[name].where(~frame.index.isin(still), frame["Close"].iloc[first]) for name in PRICES}
    )


def one_step(row: int) -> pd.DataFrame:
    """A peg that is changed once."""
    return one_price(np.where(np.arange(ROWS) < row, 1.0, 1.1))


def ticks() -> pd.DataFrame:
    """A penny stock: a price of two to four ticks, the same on most days."""
    moves = np.random.default_rng(3).choice([0, 0, 0, 0, 1, -1], ROWS)
    return one_price(0.01 * (3 + np.clip(np.cumsum(moves), -1, 1)))


def walk(scale: float = 1.0) -> np.ndarray:
    return scale * table(ROWS)["Close"].to_numpy()


MARKETS: dict[str, Callable[[], pd.DataFrame]] = {
    "constant price": lambda: one_price(np.ones(ROWS)),
    "Open = High = Low = Close": lambda: one_price(walk()),
    "constant in test only": lambda: flat_between(FIRST_TEST_ROW - 30, ROWS),
    "constant in train only": lambda: flat_between(0, FIRST_TEST_ROW - VALIDATION),
    "constant in validation only": lambda: flat_between(FIRST_TEST_ROW - VALIDATION - 30, FIRST_TEST_ROW),
    "one step in train": lambda: one_step(60),
    "one step in test": lambda: one_step(ROWS - 20),
    "exact exponential growth": lambda: one_price(np.exp(0.01 * np.arange(ROWS))),
    "two to four ticks": ticks,
    "nearly constant": lambda: one_price((walk() / 100) ** 1e-6),
    "very small prices": lambda: one_price(walk(1e-9)),
    "very large prices": lambda: one_price(walk(1e9)),
}
NO_VERDICT = {
    "constant price": "makes no error",
    "constant in test only": "makes no error",
    "one step in train": "makes no error",
    "one step in test": "varies too much",
    "exact exponential growth": "makes no error",
    "two to four ticks": "varies too much",
}
"""Why: the best baseline is exact, or errs on too few days. The other markets move in all of the test span."""


def through_all_steps(
    source: str, folder: Path, data: DataSettings = DATA, *, mixture: bool = False
) -> tuple[Scores, Findings, str]:
    """Scores, findings and page of a tiny run."""
    names = ("dataset", "model", "evaluation", "findings", "report.html", "summary.md")
    dataset, model, evaluation, findings, page, summary = (folder / name for name in names)
    prepare_data(source=source, dataset=dataset, settings=data)
    train(
        Job(
            dataset=dataset,
            model=model,
            model_settings=MODEL.model_copy(update={"use_mixture_decoder": mixture}),
            training_settings=TRAIN,
        )
    )
    evaluate(dataset=dataset, model=model, evaluation=evaluation, settings=EVALUATION)
    diagnose(dataset=dataset, model=model, findings=findings, settings=DIAGNOSTICS)
    report(
        dataset=dataset,
        model=model,
        evaluation=evaluation,
        findings=findings,
        report=page,
        summary=summary,
        settings=ReportSettings(example_windows=1),
        publish_uri=None,
        run_name="degenerate",
    )
    return (
        read_result(Scores, evaluation),
        read_result(Findings, findings),
        page.read_text(encoding="utf-8"),
    )


@pytest.mark.parametrize(
    ("market", "mixture"),
    [(market, True) for market in MARKETS]
    + [("constant price", False), ("Open = High = Low = Close", False)],
)
def test_a_degenerate_market_goes_through_all_steps(market: str, mixture: bool, tmp_path: Path) -> None:
    scores, findings, page = through_all_steps(saved(MARKETS[market](), tmp_path), tmp_path, mixture=mixture)
    verdict = scores.verdict
    assert (verdict.outcome == "no verdict") == (verdict.reason is not None)
    if market in NO_VERDICT:
        assert verdict.outcome == "no verdict"
        assert NO_VERDICT[market] in (verdict.reason or "")
    assert verdict.text in words_of(page)
    for row in findings.perturbations:
        assert (row.fragile is None) == (row.fragile_reason is not None)
    shown = page[: page.index('<h2 id="provenance">')]
    assert re.findall(r">[^<]*\b(?:nan|inf|None)\b\s*[^a-z ]", shown) == []
    assert re.findall(r"\d{5,}(?:\.\d+)? %", verdict.text + shown) == []


def test_four_columns_mapped_to_one_go_through_all_steps(tmp_path: Path) -> None:
    frame = table(ROWS)[["Date", "Close"]]
    data = DATA.model_copy(update={"columns": dict.fromkeys(("Open", "High", "Low"), "Close")})
    scores, _, _ = through_all_steps(saved(frame, tmp_path), tmp_path, data, mixture=True)
    errors = [scores.forecasts[name].metrics.log.overall.mse for name in ("last_close", "own_last")]
    assert errors[0] == errors[1]


@pytest.mark.parametrize("test", [3, 4, 10])
def test_a_test_span_of_a_few_windows_is_scored_without_a_verdict(test: int, tmp_path: Path) -> None:
    data = DATA.model_copy(update={"splits": TailSplit(kind="tail", validation=3, test=test)})
    scores, findings, page = through_all_steps(saved(table(ROWS), tmp_path), tmp_path, data)
    assert scores.windows == test - 2
    assert scores.verdict.outcome == "no verdict"
    assert scores.confidence_set is None
    rows = [
        row
        for by in scores.skill.values()
        for row in (*by.squared_log_error.values(), *by.absolute_log_error.values())
    ]
    assert {row.outcome for row in rows} == {"no verdict"}
    assert {row.fragile for row in findings.perturbations} == {None}
    reasons = {scores.verdict.reason, scores.confidence_set_reason}
    reasons |= {row.fragile_reason for row in findings.perturbations}
    for reason in reasons:
        assert reason is not None
        assert "independent" in reason
        assert reason in html.unescape(page)
