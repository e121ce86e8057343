"""The data card: what a person wants to know of a prepared dataset, as plain text for a terminal."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from model_core.data.dataset import MarketDataset
from model_core.data.splits import independent_windows
from model_core.results.quality import OutsideWave, Prices, Quality, Sky

_LISTED = 20
"""Waves that leave their train range, listed by name; the rest are counted."""


def data_card(dataset: MarketDataset) -> str:
    """Rows, dates, quality, splits, the wave table by quantity, and what leaves the train range."""
    parts = [
        ("Table", _table(dataset)),
        ("As read", _columns(dataset.quality.reading.items()) or ["not recorded"]),
        ("Quality", _quality(dataset.quality)),
        ("Splits", _splits(dataset)),
        (f"Waves: {len(dataset.specs)} in layout {dataset.layout}", _waves(dataset)),
        ("Constant over the train rows", [", ".join(dataset.quality.constant_waves) or "none"]),
        ("Leave the train range in the test rows", _outside(dataset.quality.out_of_train_range)),
    ]
    return _page(parts)


def reading_card(reading: Mapping[str, str]) -> str:
    """How a table that was refused had been understood."""
    return _page([("As read", _columns(reading.items()))])


def _page(parts: Iterable[tuple[str, list[str]]]) -> str:
    return "\n\n".join("\n".join([title, *(f"  {line}" for line in lines)]) for title, lines in parts)


def _table(dataset: MarketDataset) -> list[str]:
    quality = dataset.quality
    numbers, sky = quality.statistics, quality.sky
    rows = [
        ("source", quality.source.uri),
        ("SHA-256", quality.source.sha256),
        ("rows", f"{quality.rows:,}, {quality.first_date} … {quality.last_date}"),
        ("Close", f"{numbers.first_close:.6g} … {numbers.last_close:.6g}"),
        ("daily volatility", f"{numbers.daily_volatility:.2%}"),
        ("largest daily move", f"{numbers.largest_daily_move:.2%} in log price"),
        ("price columns", quality.prices.found + _told_by(quality.prices)),
        ("sky", _sky(sky) if sky else "as in the table; ends with it"),
    ]
    return _columns(rows)


def _told_by(held: Prices) -> str:
    if held.lag_1_autocorrelation is None or held.median_size is None:
        return ""
    return f" (lag-1 autocorrelation {held.lag_1_autocorrelation:.2f}, median size {held.median_size:.3g})"


def _sky(sky: Sky) -> str:
    seen_from = "the center of the Earth"
    if sky.place == "observer":
        seen_from = f"{sky.latitude_deg}°, {sky.longitude_deg}°, {sky.elevation_m:g} m"
    return f"{sky.hour_utc:g} h UTC from {seen_from}"


def _quality(quality: Quality) -> list[str]:
    lines = []
    for warning in quality.warnings:
        lines.append(f"{warning.code} ({warning.count:,}): {warning.message}")
        if warning.examples:
            lines.append(f"    e.g. {', '.join(warning.examples)}")
    return lines or ["nothing to warn about"]


def _splits(dataset: MarketDataset) -> list[str]:
    rows = [("split", "windows", "independent", "first target date", "last target date")]
    for name in ("train", "validation", "test"):
        span = dataset.span(name)
        last = span.stop - 1 + dataset.window.pred_len
        independent = independent_windows(len(span), dataset.window.pred_len)
        rows.append(
            (
                name,
                f"{len(span):,}",
                f"{independent:,g}",
                str(dataset.dates[span.first + 1]),
                str(dataset.dates[last]),
            )
        )
    window = dataset.window
    note = (
        f"a window knows {window.seq_len} rows and forecasts {window.pred_len}; "
        f"{window.pred_len} rows are purged between two splits"
    )
    return [*_columns(rows), note]


def _waves(dataset: MarketDataset) -> list[str]:
    kinds = Counter((wave.quantity, wave.unit, wave.known_in_advance, wave.scaled) for wave in dataset.specs)
    rows = [("quantity", "columns", "unit", "known in advance", "scaled")]
    for (quantity, unit, known, scaled), count in kinds.items():
        rows.append((quantity, str(count), unit, "yes" if known else "no", "yes" if scaled else "no"))
    return _columns(rows)


def _outside(found: Sequence[OutsideWave]) -> list[str]:
    if not found:
        return ["none"]
    rows = [("wave", "test rows outside", "train range", "test range")]
    for row in found[:_LISTED]:
        trained, tested = _range(row.train_min, row.train_max), _range(row.test_min, row.test_max)
        rows.append((row.wave, f"{row.share_outside:.0%}", trained, tested))
    more = [f"and {len(found) - _LISTED} more"] if len(found) > _LISTED else []
    return [*_columns(rows), *more]


def _range(low: float, high: float) -> str:
    return f"{low:.6g} … {high:.6g}"


def _columns(rows: Iterable[Sequence[str]]) -> list[str]:
    """Rows of words, each column as wide as its widest word."""
    listed = list(rows)
    widths = [max(map(len, column)) for column in zip(*listed, strict=True)]
    return [
        "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip()
        for row in listed
    ]
