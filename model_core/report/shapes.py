"""What a page needs of the files of a run, whoever wrote them: checked once, before anything is drawn.

The scores have the module ``score_shapes`` to themselves. Only the fields that a page shows are named;
whatever else a file holds is left alone.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from model_core.axes import TARGETS
from model_core.errors import ArtifactError, shortened
from model_core.sky.bodies import BODIES

HISTORY = ("epoch", "train_loss", "validation_loss", "learning_rate")
"""Columns of ``history.parquet``."""
PREDICTIONS = (
    *("step", "Close_walk", "Close_low", "Close_high"),
    *(f"{target}_{what}" for target in TARGETS for what in ("true", "forecast")),
)
"""Columns of ``predictions.parquet`` beside the dates."""
DATES = ("anchor_date", "date")
_LARGEST = 1e15
"""Beyond any price, loss or count; figures cannot be drawn to scale with more."""

Number = Annotated[float, Field(ge=-_LARGEST, le=_LARGEST, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=10**15)]
Words = Annotated[str, Field(max_length=2_000, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$")]
Day = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]


class Shape(BaseModel):
    """Fields as JSON has them: no text is taken for a number."""

    model_config = ConfigDict(strict=True, frozen=True, protected_namespaces=())


class Interval(Shape):
    """Both ends or none."""

    low: Number | None
    high: Number | None

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.low is None) != (self.high is None):
            raise ValueError("an interval has two ends or none")
        return self


class Growth(Interval):
    """How much an error grew."""

    ratio: Annotated[float, Field(gt=1e-9, le=1e9, allow_inf_nan=False)] | None


class Scenario(Shape):
    """One disturbance."""

    title: Words
    group: Words
    windows: Count | None = None
    degradation: Growth
    walk_degradation: Growth
    excess: Number | None
    excess_low: Number | None
    excess_high: Number | None
    fragile: bool | None
    fragile_reason: Words | None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.fragile is None and self.fragile_reason is None:
            raise ValueError("what cannot be judged needs a reason")
        if (self.excess_low is None) != (self.excess_high is None):
            raise ValueError("an interval has two ends or none")
        return self


class Invariant(Shape):
    """One property that must always hold."""

    name: Words
    detail: Words
    passed: bool


class Findings(Shape):
    """``findings.json``"""

    windows: Count
    test_windows: Count | None = None
    overlap: Count | None = None
    reads: dict[str, bool] = Field(default_factory=dict)
    left_out: list[Words] = Field(default_factory=list)
    scenarios: list[Scenario]
    invariants: list[Invariant]

    @model_validator(mode="after")
    def _choice_is_told(self) -> Self:
        if self.test_windows not in (None, self.windows) and self.overlap is None:
            raise ValueError("overlap is missing")
        return self


class Parameters(Shape):
    """How many numbers a model has."""

    total: Count
    without_gradient: Count
    by_part: dict[str, Count]


class Training(Shape):
    """``results.json``"""

    best_epoch: Count
    epochs_run: Count
    train_windows: Count
    validation_windows: Count
    stopped_because: Words
    seconds: Number
    device: Words
    precision: Words
    peak_memory_mb: Number
    gradient_checkpointing: bool
    d_model_requested: Count
    d_model_used: Count
    parameters: Parameters


class Explanation(Shape):
    """``explanation.json``"""

    adjacency: list[list[Number]]
    target_to_body: list[list[Number]]
    bodies: list[Words] = list(BODIES)
    source_weights: dict[str, Number] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _matrices(self) -> Self:
        size = len(self.bodies)
        for rows, matrix in ((size, self.adjacency), (len(TARGETS), self.target_to_body)):
            if not 0 < size <= 100 or [len(row) for row in matrix] != [size] * rows:
                raise ValueError("its matrices have not one row and column for each body")
        return self


class Source(Shape):
    """Where the market table came from."""

    uri: Words
    sha256: Words


class Warned(Shape):
    """Something odd about the table."""

    message: Words
    count: Count


class Outside(Shape):
    """A wave that leaves its train range."""

    wave: Words
    share_outside: Number
    train_min: Number
    train_max: Number
    test_min: Number
    test_max: Number


class Prices(Shape):
    """What the price columns held."""

    found: Words


class Quality(Shape):
    """``quality.json``"""

    source: Source
    warnings: list[Warned]
    constant_waves: list[Words]
    out_of_train_range: list[Outside]
    prices: Prices = Prices(found="prices")


def check_columns(table: pd.DataFrame, names: Sequence[str], path: Path, step: str) -> pd.DataFrame:
    """``table`` itself, if it has the columns that a page draws, with numbers in them and at least one row.

    Raises:
        ArtifactError: it has not.
    """
    for name in names:
        fits = name in table and (name in DATES or pd.api.types.is_numeric_dtype(table[name]))
        if not fits or table[name].isna().any() or table.empty:
            raise ArtifactError(
                f"{path} does not hold what a report shows (column {name}); run the {step} step again"
            )
    numbers = table[[name for name in names if name not in DATES]].to_numpy(dtype=np.float64)
    if not (np.abs(numbers) <= _LARGEST).all():
        raise ArtifactError(f"{path} holds numbers that cannot be drawn; run the {step} step again")
    return table


def check_shape(shape: type[Shape], content: dict[str, Any], path: Path, step: str) -> dict[str, Any]:
    """``content`` itself, if a page can be made of it.

    Raises:
        ArtifactError: a field that the page shows is missing or another kind of value.
    """
    try:
        shape.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        more = f" and {error.error_count() - 1} more" if error.error_count() > 1 else ""
        raise ArtifactError(
            f"{path} does not hold what a report shows ({shortened(place)}: {shortened(first['msg'])}{more}); "
            f"run the {step} step again"
        ) from error
    return content
