"""Origins end before the test span, and are what the product makes of the rows before them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.search.origins import ORIGINS, open_origins
from benchmarks.search.preparation import Plan, market_of, prepare_market
from model_core.axes import CLOSE
from model_core.config.data import DataSettings, DateSplit, SyntheticSettings, WindowSettings
from model_core.data.inputs import ModelInputs
from model_core.data.prepare import prepare
from model_core.data.reading.synthetic import synthetic_table
from model_core.evaluation.distributions import baseline_distributions

DATA = DataSettings(window=WindowSettings(seq_len=22, label_len=8, pred_len=3))
PLAN = Plan(origins=2, validation=60, held_out=80)


@pytest.fixture(scope="module", name="table")
def _table() -> pd.DataFrame:
    return synthetic_table(SyntheticSettings(rows=500), DATA.sky)


def prepared(folder: Path, table: pd.DataFrame) -> Path:
    """The origins of a table, in ``folder / out``."""
    folder.mkdir()
    table.to_csv(folder / "some.csv", index=False)
    prepare_market(str(folder / "some.csv"), DATA, PLAN, folder / "out" / "some")
    return folder / "out"


def test_what_the_test_span_holds_reaches_no_origin(tmp_path: Path, table: pd.DataFrame) -> None:
    """A test span of other prices leaves the same bytes."""
    cut = 400  # 80 % of 500 rows
    other = table.copy()
    prices = ["Open", "High", "Low", "Close"]
    other.loc[cut:, prices] = other.loc[cut:, prices] * 3
    for name in (ORIGINS, "waves.parquet", "splits.json", "scaler.json"):
        paths = [tmp_path / folder / "out" / "some" / name for folder in ("a", "b")]
        if not paths[0].exists():
            prepared(tmp_path / "a", table), prepared(tmp_path / "b", other)
        assert paths[0].read_bytes() == paths[1].read_bytes()


def test_held_out_spans_follow_one_another_up_to_the_test_span(tmp_path: Path, table: pd.DataFrame) -> None:
    whole = prepare(str(prepared(tmp_path / "a", table).parent / "some.csv"), DATA)
    first_tested = whole.splits.test.first + 1
    origins = list(open_origins(tmp_path / "a" / "out").values())
    horizon = DATA.window.pred_len
    targets = [
        (origin.dataset.splits.test.first + 1, origin.dataset.splits.test.stop + horizon)
        for origin in origins
    ]
    assert [len(origin.dataset.dates) for origin in origins] == [first_tested, first_tested]
    # The purge of a horizon is part of the span: its last target row is stop − 1 + horizon.
    assert [stop - first for first, stop in targets] == [PLAN.held_out, PLAN.held_out]
    assert targets[0][1] == targets[1][0]
    assert targets[1][1] == first_tested
    for origin in origins:
        splits = origin.dataset.splits
        assert splits.train.stop - 1 + horizon < splits.validation.first + 1
        assert splits.validation.stop - 1 + horizon < splits.test.first + 1


def test_an_origin_is_what_the_product_makes_of_the_rows_before_it(
    tmp_path: Path, table: pd.DataFrame
) -> None:
    origin = open_origins(prepared(tmp_path / "a", table))["some", 0]
    days = origin.dataset.dates
    splits = origin.dataset.splits
    table.iloc[: len(days)].to_csv(tmp_path / "short.csv", index=False)
    split = DateSplit(
        kind="dates",
        validation_start=days[splits.validation.first + 1].item(),
        test_start=days[splits.test.first + 1].item(),
        test_end=days[splits.test.stop + DATA.window.pred_len].item(),
    )
    expected = prepare(str(tmp_path / "short.csv"), DATA.model_copy(update={"splits": split}))
    assert ModelInputs.from_dataset(origin.dataset) == ModelInputs.from_dataset(expected)
    assert origin.dataset.splits == expected.splits
    np.testing.assert_array_equal(origin.dataset.waves, expected.waves)


def test_the_bars_are_those_of_the_evaluation(tmp_path: Path, table: pd.DataFrame) -> None:
    origin = open_origins(prepared(tmp_path / "a", table))["some", 1]
    dataset, span = origin.dataset, origin.dataset.splits.test
    forecasts = {found.name: found for found in baseline_distributions(dataset, span)[0]}
    rows = np.arange(span.first, span.stop)[:, None]
    close = dataset.log_prices[:, CLOSE]
    true = close[rows + np.arange(1, DATA.window.pred_len + 1)] - close[rows]
    for name, bar in (("har_gaussian", "har_crps_close"), ("ewma_random_walk", "ewma_crps_close")):
        crps = forecasts[name].targets["Close"].crps(true).mean()
        assert origin.bars["held_out"][bar] == pytest.approx(crps, rel=1e-9)


def test_the_name_of_a_market_is_the_last_word_of_its_source() -> None:
    assert [market_of(source) for source in ("sample://nasdaq", "a/dax.csv.gz")] == ["nasdaq", "dax"]
