"""Rolling origins cut out of a market; it needs the sky, so that it is done where Skyfield is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.search.origins import ORIGINS, to_json
from model_core.artifacts import staged_folder, write_json, write_manifest
from model_core.config.data import DataSettings, DateSplit
from model_core.data.dataset import PRODUCER, MarketDataset
from model_core.data.prepare import prepare, prepare_table
from model_core.data.reading.sources import SourceTable, read_source
from model_core.errors import SourceError


@dataclass(frozen=True)
class Plan:
    """How many origins a market has, and how long their spans are, in rows."""

    origins: int = 4
    validation: int = 400
    held_out: int = 500


def market_of(source: str) -> str:
    """The name of a market: ``sample://nasdaq`` → ``nasdaq``, ``tables/dax.csv`` → ``dax``."""
    return source.rpartition("/")[2].partition(".")[0]


def prepare_market(source: str, settings: DataSettings, plan: Plan, out: Path) -> MarketDataset:
    """Write the origins of the table at ``source`` as the folder ``out``; returns the last origin's dataset.

    The folder is a prepared dataset, that of the last origin, with ``origins.json`` beside it.

    Raises:
        SourceError: the table is missing, refused, or too short for the plan.
        ArtifactError: ``out`` cannot be written.
    """
    whole = prepare(source, settings)
    # The first row that the product's test windows forecast.
    cut = whole.splits.test.first + 1
    table = _cut_off(read_source(source, settings), whole, cut)
    datasets = [
        prepare_table(table, settings.model_copy(update={"splits": split}))
        for split in date_splits(whole.dates[:cut], plan, settings.window.seq_len, source)
    ]
    last = datasets[-1]
    if not np.array_equal(last.dates, whole.dates[:cut]):
        raise SourceError(
            f"{source} does not hold one row a trading day in the order of time; prepare a sorted table"
        )
    with staged_folder(out) as folder:
        last.write(folder)
        _pack(folder / "waves.parquet")
        write_json(folder / ORIGINS, {"origins": [to_json(dataset) for dataset in datasets]})
        told = {"source": source, "data": settings.model_dump(mode="json"), "rows": cut}
        write_manifest(folder, producer=PRODUCER, settings=told)
    return last


def date_splits(
    dates: np.ndarray[Any, np.dtype[np.datetime64]], plan: Plan, known: int, source: str
) -> list[DateSplit]:
    """The splits of all origins of a table with these dates [R], the earliest first.

    Raises:
        SourceError: the first one would have fewer training rows than validation rows.
    """
    first = len(dates) - plan.origins * plan.held_out - plan.validation
    if first - known < plan.validation:
        raise SourceError(
            f"{source} has {len(dates)} rows before its test span, too few for {plan.origins} origins with "
            f"{plan.validation} rows to validate and {plan.held_out} to hold out; ask for fewer or shorter ones"
        )
    starts = range(first, len(dates) - plan.validation, plan.held_out)
    days = [date.item() for date in dates.astype("datetime64[D]")]
    splits = []
    for start in starts:
        held_out = start + plan.validation
        end = held_out + plan.held_out
        test_end = days[end] if end < len(days) else None
        splits.append(
            DateSplit(
                kind="dates", validation_start=days[start], test_start=days[held_out], test_end=test_end
            )
        )
    return splits


def _cut_off(table: SourceTable, whole: MarketDataset, cut: int) -> SourceTable:
    """The rows of a table before number ``cut``.

    Raises:
        SourceError: rows of the file and of the dataset made of it are not the same ones.
    """
    if len(table.frame) != len(whole.dates):
        raise SourceError(
            f"{table.uri} has {len(table.frame)} rows, of which the dataset takes {len(whole.dates)}; give a table "
            "without footers and empty rows"
        )
    return replace(table, frame=table.frame.iloc[:cut])


def _pack(path: Path) -> None:
    """Write a Parquet file of numbers anew in two thirds of its size: the same values, sorted by byte."""
    table = pq.read_table(path)
    pq.write_table(table, path, compression="zstd", use_dictionary=False, column_encoding="BYTE_STREAM_SPLIT")


def total_bytes(folders: Sequence[Path]) -> int:
    """Of all files in these folders."""
    return sum(path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file())
