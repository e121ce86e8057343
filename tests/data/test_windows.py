"""What a window shows, and what it can't show."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from model_core.axes import FIRST_SKY
from model_core.data.calendar import (
    CALENDAR_FEATURES,
    WEEKDAYS,
    calendar_features,
    next_trading_dates,
    trading_week,
    week_name,
)
from model_core.data.dataset import MarketDataset
from model_core.data.windows import Window, WindowSet
from tests.data.market import WINDOW, noise_dataset

INPUTS = ("past_waves", "past_calendar", "future_sky", "future_calendar", "anchor", "scale")


def changed(dataset: MarketDataset, rows: slice, columns: slice, factor: float) -> MarketDataset:
    waves = dataset.waves.copy()
    waves[rows, columns] *= factor
    return replace(dataset, waves=waves)


def slow_window(dataset: MarketDataset, row: int) -> dict[str, np.ndarray]:
    """One window by the definition, a row and a column at a time."""
    prices = dataset.log_prices
    anchor = prices[row, 3]
    scale = np.mean([prices[r, 1] - prices[r, 2] for r in range(row - dataset.scale_rows + 1, row + 1)])
    past = np.empty((WINDOW.seq_len, 118))
    for s in range(WINDOW.seq_len):
        r = row - WINDOW.seq_len + 1 + s
        for k in range(118):
            raw = dataset.waves[r, k]
            if k < 4:
                past[s, k] = (raw - anchor) / scale
            else:
                past[s, k] = (raw - dataset.scaler.mean[k]) / dataset.scaler.std[k]
    target = np.array(
        [[(prices[row + h, k] - anchor) / scale for k in range(4)] for h in range(1, WINDOW.pred_len + 1)]
    )
    sky = slice(FIRST_SKY, None)
    future = (
        dataset.waves[row + 1 : row + 1 + WINDOW.pred_len, sky] - dataset.scaler.mean[sky]
    ) / dataset.scaler.std[sky]
    return {
        "past_waves": past,
        "target": target,
        "future_sky": future,
        "anchor": np.array(anchor),
        "scale": np.array(scale),
    }


def test_gathered_batches_equal_windows_built_by_the_definition() -> None:
    dataset = noise_dataset()
    windows = WindowSet(dataset, "test")
    chosen = torch.tensor([7, 0, len(windows) - 1])
    batch = windows.batch(chosen)
    for position, index in enumerate(chosen):
        expected = slow_window(dataset, int(windows.anchor_rows[index]))
        for name, value in expected.items():
            np.testing.assert_allclose(
                getattr(batch, name)[position], value, rtol=1e-4, atol=1e-5, err_msg=name
            )
        row = int(windows.anchor_rows[index])
        np.testing.assert_array_equal(
            batch.dates[position].numpy().astype("datetime64[D]"),
            dataset.dates[row : row + 1 + WINDOW.pred_len],
        )


def test_corrupting_prices_after_the_anchor_changes_no_bit_of_the_input() -> None:
    dataset = noise_dataset()
    row = dataset.splits.test.first
    clean = WindowSet(dataset, "test").batch(torch.tensor([0]))
    corrupted = changed(dataset, slice(row + 1, None), slice(0, 4), 1.7)
    spoiled = WindowSet(corrupted, "test").batch(torch.tensor([0]))
    for name in INPUTS:
        assert torch.equal(getattr(clean, name), getattr(spoiled, name)), name
    assert not torch.equal(clean.target, spoiled.target)


def test_the_sky_of_the_horizon_reaches_the_input() -> None:
    dataset = noise_dataset()
    row = dataset.splits.test.first
    other = changed(dataset, slice(row + 1, row + 2), slice(FIRST_SKY, FIRST_SKY + 1), -1.0)
    clean, moved = (WindowSet(d, "test").batch(torch.tensor([0])) for d in (dataset, other))
    assert torch.equal(clean.past_waves, moved.past_waves)
    assert not torch.equal(clean.future_sky, moved.future_sky)


def test_multiplying_all_prices_changes_nothing_but_the_anchor() -> None:
    dataset = noise_dataset()
    waves = dataset.waves.copy()
    waves[:, :4] += np.log(1.25)
    clean, scaled = (
        WindowSet(d, "test").batch(torch.arange(5)) for d in (dataset, replace(dataset, waves=waves))
    )
    for name in ("past_waves", "target", "scale"):
        torch.testing.assert_close(getattr(scaled, name), getattr(clean, name), rtol=0, atol=1e-5)
    torch.testing.assert_close(
        scaled.anchor - clean.anchor, torch.full((5,), np.log(1.25), dtype=torch.float64)
    )


def test_every_window_comes_once_and_the_last_batch_is_kept() -> None:
    windows = WindowSet(noise_dataset(), "test")
    batches = list(windows.batches(7))
    assert sum(len(batch) for batch in batches) == len(windows)
    anchors = torch.cat([batch.dates[:, 0] for batch in batches])
    assert len(anchors.unique()) == len(windows)
    assert len(batches[-1]) == len(windows) % 7 or len(windows) % 7 == 0


def test_a_stride_keeps_every_nth_window() -> None:
    dataset = noise_dataset()
    all_rows, some_rows = (
        WindowSet(dataset, "train").anchor_rows,
        WindowSet(dataset, "train", stride=3).anchor_rows,
    )
    assert torch.equal(all_rows[::3], some_rows)


def test_the_window_after_the_table_knows_its_sky_and_no_target() -> None:
    dataset = noise_dataset()
    window: Window = WindowSet.after_the_table(dataset).batch(torch.tensor([0]))
    assert window.past_waves.isfinite().all()
    assert window.future_sky.isfinite().all()
    assert window.target.isnan().all()
    np.testing.assert_array_equal(window.dates[0, 1:].numpy().astype("datetime64[D]"), dataset.future_dates)


def test_per_item_views_share_the_table() -> None:
    """No window is copied until it is asked for."""
    windows = WindowSet(noise_dataset(), "train")
    views = windows._past_waves
    assert views[1].data_ptr() - views[0].data_ptr() == views.stride(0) * views.element_size()
    assert views[0].untyped_storage().data_ptr() == views[-1].untyped_storage().data_ptr()


def test_calendar_features_stay_below_their_cardinality() -> None:
    dates = np.arange(np.datetime64("1999-12-25"), np.datetime64("2033-01-10"))
    features = calendar_features(dates)
    assert (features >= 0).all()
    assert (features < np.array([count for _, count in CALENDAR_FEATURES])).all()


@pytest.mark.parametrize(
    ("date", "month_end", "quarter_end"),
    [("2018-08-31", 1, 0), ("2018-09-28", 1, 1), ("2018-09-27", 0, 0), ("2016-02-29", 1, 0)],
)
def test_the_last_weekday_of_a_month_is_its_end(date: str, month_end: int, quarter_end: int) -> None:
    features = calendar_features(np.array([date], dtype="datetime64[D]"))[0]
    assert (features[4], features[5]) == (month_end, quarter_end)


EVERY_DAY = np.arange(np.datetime64("2022-01-01"), np.datetime64("2023-05-16"))


def only(*days_of_week: int) -> np.ndarray:
    return EVERY_DAY[np.isin((EVERY_DAY.astype(int) + 3) % 7, days_of_week)]


@pytest.mark.parametrize(
    ("dates", "name"),
    [
        (EVERY_DAY, "every day"),
        (only(0, 1, 2, 3, 4), "Mon–Fri"),
        (only(6, 0, 1, 2, 3), "Sun–Thu"),
        (only(5, 6, 0, 1, 2), "Sat–Wed"),
        (only(6, 0, 1, 2, 3, 4), "Sun–Fri"),
        (only(4), "Fri"),
        (only(0, 2), "Mon, Wed"),
    ],
)
def test_a_market_trades_in_its_own_week_also_after_the_table(dates: np.ndarray, name: str) -> None:
    week = trading_week(dates)
    assert week_name(week) == name
    following = next_trading_dates(dates[-1], 20, week=week)
    assert week_name(trading_week(np.concatenate([dates, following]))) == name
    assert (np.diff(following).astype(int) <= 7).all()


def test_special_sessions_and_holidays_make_no_other_week() -> None:
    weekdays = only(0, 1, 2, 3, 4)
    saturdays = only(5)[::10]
    rest = np.delete(weekdays, slice(0, None, 9))
    assert trading_week(np.sort(np.concatenate([rest, saturdays]))) == WEEKDAYS


def test_the_week_of_the_last_year_counts() -> None:
    """The United Arab Emirates went from Sunday–Thursday to Monday–Friday in 2022."""
    earlier = only(6, 0, 1, 2, 3) - np.timedelta64(364 * 2, "D")
    assert trading_week(np.concatenate([earlier, only(0, 1, 2, 3, 4)])) == WEEKDAYS


def test_one_row_a_month_is_followed_by_weekdays() -> None:
    months = np.arange(np.datetime64("2005-01"), np.datetime64("2017-07")).astype("datetime64[D]")
    assert trading_week(months) == WEEKDAYS


def test_the_end_of_a_month_is_the_last_day_that_the_market_trades() -> None:
    dates = np.array(["2023-04-28", "2023-04-30", "2023-03-30"], dtype="datetime64[D]")
    assert calendar_features(dates, WEEKDAYS)[:, 4].tolist() == [1, 1, 0]
    assert calendar_features(dates, (True,) * 7)[:, 4].tolist() == [0, 1, 0]
    assert calendar_features(dates, trading_week(only(6, 0, 1, 2, 3)))[:, 4].tolist() == [0, 1, 1]


def test_trading_dates_after_a_friday_skip_the_weekend_and_holidays() -> None:
    import datetime as dt

    dates = next_trading_dates(np.datetime64("2018-12-21"), 3, [dt.date(2018, 12, 25)])
    assert list(dates.astype(str)) == ["2018-12-24", "2018-12-26", "2018-12-27"]
