"""Rolling origins of a market: what settings may be chosen by, cut off before the span that a run is tested on.

    rows      0 ─────────────────────────────────────────── cut ───────── end
    product   train 70 %                       | validation 10 %| test 20 %      never written here
    origin 0  train ……… | validation | held out
    origin 1  train …………………………… | validation | held out
    origin 2  train ………………………………………………… | validation | held out

Held-out spans follow one another up to the cut, so that each of their days is forecast once. Training stops by the
validation span and is judged by the held-out one: a minimum over epochs flatters itself on the windows it was taken on.
Walk, scaling and scale of each origin are fitted by the product's own ``prepare_table``
(``preparation.py``). Reading them takes neither torch nor the sky.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from model_core.artifacts import MANIFEST, read_json
from model_core.axes import CLOSE
from model_core.data.dataset import MarketDataset
from model_core.data.har import HarScale
from model_core.data.scaling import Scaler
from model_core.data.splits import Span, Splits
from model_core.data.walk import StructuredWalk, displacements
from model_core.errors import ArtifactError, shortened
from model_core.metrics.probabilistic import GaussianMixture, ewma_random_walk

ORIGINS = "origins.json"
SPANS: dict[str, Literal["validation", "test"]] = {"validation": "validation", "held_out": "test"}
"""What a span is called here → which split of the origin's dataset it is."""


@dataclass(frozen=True)
class Origin:
    """One rolling origin of one market."""

    market: str
    number: int
    dataset: MarketDataset
    """Its ``test`` split is the held-out span, and its table ends before the product's test span."""
    bars: dict[str, dict[str, float]]
    """What costs nothing, by span: squared error of the walk, CRPS of HAR Gaussian and EWMA walk (log price)."""


def open_origins(data: Path) -> dict[tuple[str, int], Origin]:
    """All origins in ``data``, by market and number.

    Raises:
        ArtifactError: there are none, or a folder is damaged or of another version.
    """
    folders = sorted(path.parent for path in data.glob(f"*/{MANIFEST}"))
    if not folders:
        raise ArtifactError(f"{data} holds no origins; make them with: settings_search.py prepare {data}")
    return {(origin.market, origin.number): origin for folder in folders for origin in _open(folder)}


def _open(folder: Path) -> list[Origin]:
    dataset = MarketDataset.open(folder)
    found: Any = read_json(folder / ORIGINS)
    try:
        return [
            Origin(
                market=folder.name,
                number=number,
                dataset=replace(
                    dataset,
                    splits=Splits.from_json(written["splits"]),
                    scaler=Scaler.from_json(written["scaler"], dataset.specs),
                    walk=StructuredWalk.from_json(written["walk"]),
                    har_scale=HarScale.from_json(written["har_scale"]),
                ),
                bars=written["bars"],
            )
            for number, written in enumerate(found["origins"])
        ]
    except (LookupError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"{folder / ORIGINS} is of another version ({shortened(repr(error))}); make it again with: "
            f"settings_search.py prepare {folder.parent}"
        ) from error


def to_json(dataset: MarketDataset) -> dict[str, object]:
    """An origin as it stands in ``origins.json``; its market's table is not in it."""
    return {
        "splits": dataset.splits.to_json(),
        "scaler": dataset.scaler.to_json(dataset.specs),
        "walk": dataset.walk.to_json(),
        "har_scale": dataset.har_scale.to_json(),
        "bars": {name: bars_of(dataset, dataset.span(split)) for name, split in SPANS.items()},
    }


def bars_of(dataset: MarketDataset, span: Span) -> dict[str, float]:
    """Scores, in log price, of what costs nothing on the windows of ``span``; ``evaluation/`` has them all."""
    known, horizon = dataset.known_ranges, dataset.window.pred_len
    true = displacements(dataset.log_prices, span, horizon)  # [n, P, T]
    walk = known.displacement(dataset.walk, span)
    sigma = dataset.har_scale.sigma(known.ranges[span.first : span.stop])
    har = GaussianMixture(
        np.ones_like(walk[..., CLOSE, None]), walk[..., CLOSE, None], sigma[..., CLOSE, None]
    )
    ewma = ewma_random_walk(dataset.log_prices[:, CLOSE], np.arange(span.first, span.stop), horizon)
    squares = np.square(walk - true)
    return {
        "walk_mse": float(squares.mean()),
        "walk_mse_close": float(squares[..., CLOSE].mean()),
        "har_crps_close": float(har.crps(true[..., CLOSE]).mean()),
        "ewma_crps_close": float(ewma.crps(true[..., CLOSE]).mean()),
    }
