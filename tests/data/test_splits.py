"""Splits are chronological, purged and complete, whatever the table and the settings."""

import datetime as dt
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import settings as run
from hypothesis import strategies as st
from pydantic import ValidationError

from model_core.config.data import (
    DateSplit,
    RatioSplit,
    RollingSplit,
    SplitSettings,
    TailSplit,
    WindowSettings,
)
from model_core.data.prepare import prepare
from model_core.data.scaling import Scaler
from model_core.data.splits import Splits, independent_windows, make_splits
from model_core.data.windows import Split, WindowSet
from model_core.errors import SourceError
from model_core.results.quality import TableWarning
from tests.data.market import SETTINGS, WINDOW, noise_dataset

SPLITS: tuple[Split, ...] = ("train", "validation", "test")
DATES = np.busday_offset(np.datetime64("2001-01-01"), np.arange(1500))

split_settings: st.SearchStrategy[SplitSettings] = st.one_of(
    st.builds(
        RatioSplit,
        train=st.floats(0.3, 0.8),
        validation=st.floats(0.05, 0.19),
    ),
    st.builds(TailSplit, kind=st.just("tail"), validation=st.integers(1, 80), test=st.integers(1, 80)),
    st.builds(
        lambda start, gap: DateSplit(
            kind="dates", validation_start=start, test_start=start + dt.timedelta(days=gap)
        ),
        st.dates(dt.date(2002, 1, 1), dt.date(2005, 1, 1)),
        st.integers(20, 300),
    ),
    st.builds(
        lambda folds, share, test: RollingSplit(
            kind="rolling", folds=folds, fold=int(share * folds), test=test, validation=test
        ),
        st.integers(1, 5),
        st.floats(0, 0.99),
        st.integers(20, 80),
    ),
)
windows = st.builds(
    lambda s, p: WindowSettings(seq_len=s, label_len=s, pred_len=p), st.integers(16, 120), st.integers(1, 15)
)


def split(rows: int, window: WindowSettings, settings: SplitSettings) -> Splits:
    try:
        return make_splits(DATES[:rows], window, settings, 20)
    except SourceError:
        assume(False)
        raise


@given(rows=st.integers(300, 1500), window=windows, settings=split_settings)
def test_no_target_row_is_in_two_splits_and_the_purge_is_kept(
    rows: int, window: WindowSettings, settings: SplitSettings
) -> None:
    splits = split(rows, window, settings)
    for earlier, later in ((splits.train, splits.validation), (splits.validation, splits.test)):
        last_target_before = earlier.stop - 1 + window.pred_len
        first_target_after = later.first + 1
        assert first_target_after > last_target_before
        assert later.first - (earlier.stop - 1) >= window.pred_len


@given(rows=st.integers(300, 1500), window=windows, settings=split_settings)
def test_every_window_lies_inside_the_table(
    rows: int, window: WindowSettings, settings: SplitSettings
) -> None:
    splits = split(rows, window, settings)
    assert splits.train.first >= window.seq_len - 1
    assert splits.test.stop - 1 + window.pred_len <= rows - 1
    assert min(len(splits.train), len(splits.validation), len(splits.test)) >= 1


def test_the_published_tail_split_holds_41_test_windows() -> None:
    settings = TailSplit(kind="tail", validation=50, test=50)
    assert len(make_splits(DATES, WindowSettings(), settings, 20).test) == 41


def test_rolling_folds_test_every_row_of_the_end_once() -> None:
    spans = [
        make_splits(
            DATES,
            WindowSettings(seq_len=60, label_len=30, pred_len=5),
            RollingSplit(kind="rolling", folds=4, fold=fold, test=100, validation=100),
            20,
        ).test
        for fold in range(4)
    ]
    rows = np.concatenate([np.arange(s.first + 1, s.stop + 5) for s in spans])
    np.testing.assert_array_equal(rows, np.arange(1100, 1500))


def test_dates_start_the_splits_where_they_say() -> None:
    settings = DateSplit(
        kind="dates",
        validation_start=dt.date(2004, 1, 1),
        test_start=dt.date(2005, 1, 3),
        test_end=dt.date(2005, 7, 1),
    )
    splits = make_splits(DATES, WindowSettings(), settings, 20)
    assert DATES[splits.validation.first + 1] == np.datetime64("2004-01-01")
    assert DATES[splits.test.first + 1] == np.datetime64("2005-01-03")
    assert DATES[splits.test.stop - 1 + 10] == np.datetime64("2005-06-30")


def test_a_split_without_a_window_is_refused() -> None:
    with pytest.raises(SourceError, match="too few for one test window"):
        make_splits(DATES, WindowSettings(), TailSplit(kind="tail", validation=50, test=5), 20)


KINDS: dict[str, st.SearchStrategy[SplitSettings]] = {
    "ratio": st.builds(
        lambda train, share: RatioSplit(train=train, validation=(1 - train) * share),
        st.floats(0.3, 0.8),
        st.floats(0.2, 0.8),
    ),
    "tail": st.builds(
        TailSplit, kind=st.just("tail"), validation=st.integers(10, 60), test=st.integers(10, 60)
    ),
    "dates": st.builds(
        lambda start, gap: DateSplit(
            kind="dates", validation_start=start, test_start=start + dt.timedelta(days=gap)
        ),
        st.dates(dt.date(2001, 9, 1), dt.date(2001, 12, 1)),
        st.integers(20, 60),
    ),
    "rolling": st.builds(
        lambda fold, test: RollingSplit(kind="rolling", folds=3, fold=fold, test=test, validation=test),
        st.integers(0, 2),
        st.integers(10, 30),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), seed=st.integers(0, 999), size=st.integers(1, 40))
@run(max_examples=15, deadline=None)
def test_every_kind_is_disjoint_purged_scored_once_and_blind_to_what_comes_later(
    kind: str, data: st.DataObject, seed: int, size: int
) -> None:
    """On windows as they are handed out, for each way of splitting by itself."""
    whole = noise_dataset()
    rows, horizon, scale_rows = len(whole.dates), WINDOW.pred_len, whole.scale_rows
    dates = DATES[:rows]
    splits = make_splits(dates, WINDOW, data.draw(KINDS[kind]), scale_rows)
    dataset = replace(whole, splits=splits)

    targets: dict[str, set[int]] = {}
    for name in SPLITS:
        span, windows = dataset.span(name), WindowSet(dataset, name)
        batches = list(windows.batches(size))
        anchors = [int(day) for batch in batches for day in batch.dates[:, 0]]
        expected = whole.dates[span.first : span.stop].astype("datetime64[D]").astype(int).tolist()
        assert anchors == expected, "every window once, in order"
        targets[name] = {row + h for row in range(span.first, span.stop) for h in range(1, horizon + 1)}
    train, validation, test = (targets[name] for name in SPLITS)
    assert max(train) < min(validation), "no target row twice"
    assert max(validation) < min(test), "no target row twice"
    for earlier, later in ((splits.train, splits.validation), (splits.validation, splits.test)):
        assert later.first - (earlier.stop - 1) >= horizon, "pred_len rows between neighboring windows"

    train_rows = slice(0, splits.train.stop + horizon)
    other = whole.waves.copy()
    other[train_rows.stop :] = np.random.default_rng(seed).standard_normal(other[train_rows.stop :].shape)
    scaler, blind = (Scaler.fit(waves, whole.specs, train_rows) for waves in (whole.waves, other))
    np.testing.assert_array_equal(scaler.mean, blind.mean)
    np.testing.assert_array_equal(scaler.std, blind.std)


def test_where_many_rows_make_the_scale_their_setting_is_named() -> None:
    days = np.busday_offset(np.datetime64("2010-01-04"), np.arange(300))
    with pytest.raises(SourceError, match=r"of 290 known .* or smaller data\.scale_rows or data\.splits"):
        make_splits(days, WindowSettings(seq_len=16, label_len=8, pred_len=3), RatioSplit(), 290)


def test_a_test_span_too_short_for_a_verdict_is_warned_of_and_the_remedy_removes_the_warning() -> None:
    def few_windows(test_rows: int) -> list[TableWarning]:
        splits = TailSplit(kind="tail", validation=20, test=test_rows)
        quality = prepare("sample://synthetic", SETTINGS.model_copy(update={"splits": splits})).quality
        assert quality.independent_windows is not None
        assert quality.independent_windows.test == independent_windows(test_rows - 2, 3)
        return [warning for warning in quality.warnings if warning.code == "few_windows"]

    (warning,) = few_windows(16)
    assert "14 windows of 3 days, worth 4.6 independent ones" in warning.message
    assert "data.splits" in warning.message
    needed = re.search(r"at least (\d+) rows", warning.message)
    assert needed is not None
    assert few_windows(int(needed[1])) == []


@pytest.mark.parametrize(("test_start", "test_end"), [("2012-01-02", None), ("2014-01-02", "2013-06-03")])
def test_spans_whose_dates_do_not_ascend_are_refused(test_start: str, test_end: str | None) -> None:
    dates = {"validation_start": "2013-01-02", "test_start": test_start, "test_end": test_end}
    with pytest.raises(ValidationError, match=f"must ascend; they are 2013-01-02, {test_start}"):
        DateSplit.model_validate({"kind": "dates", **dates})
