"""The tables that steps leave beside their results: which columns they have, and what those mean."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from model_core.axes import TARGETS
from model_core.errors import ArtifactError
from model_core.parquet import read_frame
from model_core.results.record import LARGEST


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    name: str
    kind: Literal["date", "count", "number", "text", "flag"]
    meaning: str


@dataclass(frozen=True)
class Table:
    """A Parquet file that a step leaves."""

    file: str
    step: str
    row: str
    """What one row is."""
    columns: tuple[Column, ...]
    others: str = ""
    """What further columns hold, if there may be any."""
    renamed: dict[str, str] = field(default_factory=dict)
    """What a column was called by earlier code → its name."""
    later: frozenset[str] = frozenset()
    """Columns that files of earlier code lack."""

    @property
    def always(self) -> tuple[str, ...]:
        """Names of the columns that every file has, whoever wrote it."""
        return tuple(column.name for column in self.columns if column.name not in self.later)


def price_column(target: str, what: str) -> str:
    """``high_q05`` for High and ``q05``: a column of ``predictions.parquet``."""
    return f"{target.lower()}_{what}"


def loss_column(loss: str, forecast: str) -> str:
    """``squared_log_error_model``: a column of ``losses.parquet``."""
    return f"{loss}_{forecast}"


_PARTS = {
    "true": "what came",
    "forecast": "forecast of the model",
    "walk": "forecast of the structured random walk",
    "q05": "lower end of the model's 90 % interval",
    "q25": "lower end of its 50 % interval",
    "q50": "its median",
    "q75": "upper end of its 50 % interval",
    "q95": "upper end of its 90 % interval",
}
_LATER_PARTS = ("q25", "q50", "q75")
_EARLIER_PARTS = {"q05": "low", "q95": "high"}

HISTORY = Table(
    file="history.parquet",
    step="train",
    row="an epoch",
    columns=(
        Column("epoch", "count", "from 1"),
        Column("learning_rate", "number", "at the end of the epoch, per step"),
        Column("train_loss", "number", "mean over the epoch's training windows while the weights moved"),
        Column("validation_loss", "number", "mean over all validation windows at the end of the epoch"),
        Column("gradient_norm", "number", "mean over the steps, before clipping"),
        Column("skipped_steps", "count", "steps whose loss or gradient was not finite"),
        Column("seconds", "number", "spent in training steps"),
        Column("samples_per_second", "number", "training windows a second"),
        Column("peak_memory_mb", "number", "MiB, of the run so far"),
    ),
    others="`train_<part>` and `validation_<part>`: each part of the loss; `member`: number of the model, where "
    "several were trained",
)
PREDICTIONS = Table(
    file="predictions.parquet",
    step="evaluate",
    row="a forecast day of a test window",
    columns=(
        Column("anchor_date", "date", "last known day of the window"),
        Column("date", "date", "the day that is forecast"),
        Column("step", "count", "trading days ahead, from 1"),
        Column("anchor", "number", "log Close of the last known day"),
        Column("scale", "number", "recent daily range in log price: the unit of the scaled errors"),
        *(
            Column(price_column(target, part), "number", f"log {target}: {meaning}")
            for target in TARGETS
            for part, meaning in _PARTS.items()
        ),
    ),
    renamed={
        f"{target}_{_EARLIER_PARTS.get(part, part)}": price_column(target, part)
        for target in TARGETS
        for part in _PARTS
        if part not in _LATER_PARTS
    },
    later=frozenset(price_column(target, part) for target in TARGETS for part in _LATER_PARTS),
)
LOSSES = Table(
    file="losses.parquet",
    step="evaluate",
    row="a test window",
    columns=(
        Column("anchor_date", "date", "last known day of the window"),
        Column("last_date", "date", "last day that is forecast"),
        Column("scale", "number", "recent daily range in log price: how wild the market was"),
        Column("squared_log_error_model", "number", "of the model, mean over days and targets"),
    ),
    others="`squared_log_error_<forecast>`: the same of each baseline in `scores.json`; `close_crps_<distribution>` "
    "and `close_held_90_<distribution>`: CRPS of Close in log price, and the share of the days whose Close lay "
    "inside the 90 % interval, of each distribution in `calibration` and of a `model` that forecasts one",
)
FINDINGS = Table(
    file="findings.parquet",
    step="diagnose",
    row="a perturbation, as in `findings.json`",
    columns=(
        Column("name", "text", ""),
        Column("title", "text", ""),
        Column("group", "text", "`published`, `noise`, `data` or `attack`"),
        Column("windows", "count", "test windows behind the row"),
        *(
            Column(f"{state}_{metric}", "number", f"{metric.upper()} in units of the price, {words}")
            for state, words in (("clean", "unperturbed"), ("perturbed", "perturbed"))
            for metric in ("mae", "mse", "rmse", "mape", "mspe")
        ),
        *(
            Column(
                f"{who}degradation_{part}", "number", f"{words} of the {whose} error, perturbed over clean"
            )
            for who, whose in (("", "model's"), ("walk_", "random walk's"))
            for part, words in (("ratio", "ratio"), ("low", "lower end"), ("high", "upper end"))
        ),
        Column("walk_reads", "flag", "whether the walk reads what is perturbed, so that it is a comparator"),
        Column("excess", "number", "the model's ratio minus the walk's"),
        Column("excess_low", "number", "lower end of its interval"),
        Column("excess_high", "number", "upper end of its interval"),
        Column("fragile", "flag", ""),
        Column("fragile_reason", "text", "why that is unknown"),
    ),
)


def read_table(table: Table, folder: Path, needed: Sequence[str]) -> pd.DataFrame:
    """The table in ``folder``; its ``needed`` columns are there, whole, and of numbers that can be drawn.

    Raises:
        ArtifactError: the file is missing or damaged, a column is missing or has gaps, or there is no row.
    """
    path = folder / table.file
    frame = read_frame(path).rename(columns=table.renamed)
    again = f"run the {table.step} step again"
    dates = {column.name for column in table.columns if column.kind == "date"}
    for name in needed:
        fits = name in frame and (name in dates or pd.api.types.is_numeric_dtype(frame[name]))
        if not fits or frame[name].isna().any() or frame.empty:
            raise ArtifactError(
                f"{path} does not hold what a report shows (column {name}); {again}", path=path
            )
    numbers = frame[[name for name in needed if name not in dates]].to_numpy(dtype=np.float64)
    if not (np.abs(numbers) <= LARGEST).all():
        raise ArtifactError(f"{path} holds numbers that cannot be drawn; {again}", path=path)
    return frame
