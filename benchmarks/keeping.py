"""What epoch 0, averaged weights, shrinkage and several seeds are worth, each alone and all together; JSON lines.

    python -m benchmarks.keeping [--source sample://nasdaq …] [--seeds 3] [--epochs 3] [--set model.… …]

Models of the quickstart's size with a mixture head are trained on each market. From the same epochs of the same seeds
come all variants: ``plain`` has the best epoch after training began, of the weights themselves, with all that was
learned; the others change one thing, ``all`` every one. Skill is of the test windows, with the interval that
``scores.json`` would give: of the point forecast in squared log error, of the distribution of Close in CRPS. Without
several seeds the numbers are those of the first seed and, as ``each_seed``, of every one.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model_core.axes import CLOSE, TARGETS
from model_core.build import build_model
from model_core.checkpoints.files import load_training, load_weights
from model_core.config.load import load_settings
from model_core.config.run import Settings
from model_core.data.dataset import MarketDataset
from model_core.data.inputs import ModelInputs
from model_core.data.prepare import prepare
from model_core.data.windows import WindowSet
from model_core.evaluation.baselines import baseline_forecasts
from model_core.evaluation.distributions import baseline_distributions
from model_core.evaluation.significance import Losses, compare
from model_core.losses import forecast_loss
from model_core.metrics.probabilistic import GaussianMixture
from model_core.nn.bundles import Forecast
from model_core.nn.ensemble import combined
from model_core.nn.forecaster import Forecaster
from model_core.nn.shrinkage import shrunk
from model_core.training.loop import train
from model_core.training.memory import memory_log
from model_core.training.seeds import seed_everything
from model_core.training.shrinkage import Validated, fit_shrinkage

QUICKSTART = Path(__file__).parent.parent / "configs" / "quickstart.yaml"
BATCH = 128
EMA_DECAY = 0.95
"""With the average's warm-up: some twenty steps, an epoch of these short ones."""


@dataclass(frozen=True)
class Epoch:
    """The forecasts of one epoch's weights."""

    loss: float
    """Mean over the validation windows."""
    validated: Validated
    model: Forecaster


def validated_by(model: Forecaster, windows: WindowSet) -> Validated:
    """Forecasts of all windows."""
    with torch.no_grad():
        return Validated.joined([(model(w), model.at_rest(w), w.target) for w in windows.batches(BATCH)])


def epochs_of(dataset: MarketDataset, settings: Settings, seed: int, folder: Path) -> dict[str, list[Epoch]]:
    """Train once; epochs 0, 1, … of the weights themselves (``weights``) and of their average (``average``)."""
    inputs = ModelInputs.from_dataset(dataset)
    training = settings.training.model_copy(update={"seed": seed})
    seed_everything(seed)
    model = build_model(settings.model, inputs)
    validation = WindowSet(dataset, "validation")
    with memory_log(folder / "memory.log", torch.device("cpu"), 10**6) as memory:
        train(
            model,
            WindowSet(dataset, "train", stride=training.train_window_stride),
            validation,
            training,
            folder,
            model_settings=settings.model,
            inputs=inputs,
            memory=memory,
        )
    seed_everything(seed)

    def epoch(state: Path | None, averaged: bool) -> Epoch:
        one = build_model(settings.model, inputs)
        if state is not None:
            load_weights(state, one)
            if not averaged:
                one.load_state_dict(load_training(state)["weights"])
        found = validated_by(one.eval(), validation)
        loss = forecast_loss(found.forecast, found.target, settings.model.mixture).total
        return Epoch(float(loss), found, one)

    states = sorted(folder.glob("epoch-*"))
    untrained = epoch(None, averaged=True)
    return {
        name: [untrained, *(epoch(state, averaged=name == "average") for state in states)]
        for name in ("weights", "average")
    }


def best(epochs: list[Epoch], first: int) -> tuple[int, Epoch]:
    """The epoch from ``first`` on with the lowest validation loss."""
    number = min(range(first, len(epochs)), key=lambda n: epochs[n].loss)
    return number, epochs[number]


def variants(by_seed: list[dict[str, list[Epoch]]]) -> Iterator[tuple[str, list[tuple[int, Epoch]], bool]]:
    """Name, chosen epochs of the members, and whether they are shrunk."""
    plain = [best(epochs["weights"], 1) for epochs in by_seed]
    yield "plain", plain, False
    yield "epoch 0", [best(epochs["weights"], 0) for epochs in by_seed], False
    yield "averaged weights", [best(epochs["average"], 1) for epochs in by_seed], False
    yield "shrinkage", plain, True
    yield "seeds", plain, False
    yield "all", [best(epochs["average"], 0) for epochs in by_seed], True


def measure(source: str, settings: Settings, seeds: int) -> Iterator[dict[str, Any]]:
    """A line a variant."""
    dataset = prepare(source, settings.data)
    with tempfile.TemporaryDirectory() as scratch:
        by_seed = []
        for number in range(seeds):
            folder = Path(scratch) / str(number)
            folder.mkdir()
            by_seed.append(epochs_of(dataset, settings, settings.training.seed + number, folder))
    windows, span = WindowSet(dataset, "test"), dataset.splits.test
    true = windows.displacements(torch.arange(len(windows))).numpy()
    scale = torch.cat([w.scale for w in windows.batches(BATCH)]).double().numpy()
    points = {b.name: b.displacement for b in baseline_forecasts(dataset, span, settings.evaluation)}
    bars = {name: np.square(forecast - true).mean(axis=(1, 2)) for name, forecast in points.items()}
    best_bar = min(bars, key=lambda name: float(bars[name].mean()))
    distributions, _ = baseline_distributions(dataset, span)
    close = TARGETS[CLOSE]
    crps_bars = {d.name: d.targets[close].crps(true[..., CLOSE]).mean(axis=1) for d in distributions}

    def skill(ours: Losses, theirs: Losses) -> list[float | None]:
        found = compare(
            ours, theirs, horizon=dataset.window.pred_len, confidence=settings.evaluation.confidence
        )
        return [None if v is None else round(100 * v, 2) for v in (found.skill, found.low, found.high)]

    tested: dict[int, Validated] = {}

    def test_forecasts(epoch: Epoch) -> Validated:
        if id(epoch) not in tested:
            tested[id(epoch)] = validated_by(epoch.model, windows)
        return tested[id(epoch)]

    def scored(members: list[Epoch], shrinks: bool) -> dict[str, Any]:
        shares = fit_shrinkage([m.validated for m in members]).shares if shrinks else None
        forecasts: list[Forecast] = []
        for member in members:
            found = test_forecasts(member)
            forecasts.append(found.forecast if shares is None else shrunk(found.forecast, found.base, shares))
        forecast = combined(forecasts)
        point = forecast.point.numpy() * scale[:, None, None]
        squared = np.square(point - true).mean(axis=(1, 2))
        assert forecast.mixture is not None
        head = (forecast.mixture.logits, forecast.mixture.mean, forecast.mixture.log_scale)
        marginal = GaussianMixture.from_head(*(part.numpy() for part in head)).scaled(scale[:, None, None])
        crps = marginal.element(CLOSE).crps(true[..., CLOSE]).mean(axis=1)
        return {
            "shares": None if shares is None else shares.model_dump(),
            "point_vs_walk": skill(squared, bars["structured_walk"]),
            f"point_vs_{best_bar}": skill(squared, bars[best_bar]),
            "crps_vs_ewma": skill(crps, crps_bars["ewma_random_walk"]),
            "crps_vs_har_gaussian": skill(crps, crps_bars["har_gaussian"]),
        }

    for name, chosen, shrinks in variants(by_seed):
        epochs = [epoch for _, epoch in chosen]
        line = {"source": source, "variant": name, "best_epochs": [number for number, _ in chosen]}
        if name in ("seeds", "all"):
            yield line | scored(epochs, shrinks)
        else:
            each = [scored([epoch], shrinks) for epoch in epochs]
            short = {key: [one[key][0] for one in each] for key in each[0] if key != "shares"}
            yield line | each[0] | {"each_seed": short}


def main() -> None:
    """Measure each source that was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--source", action="append", help="may be given more than once")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], dest="changes", metavar="NAME=VALUE")
    given = parser.parse_args()
    settings = load_settings(
        QUICKSTART,
        [
            "model.use_mixture_decoder=true",
            f"training.ema_decay={EMA_DECAY}",
            f"training.train_epochs={given.epochs}",
            f"training.keep_checkpoints={given.epochs}",
            *("training.checkpoint_interval=1", "training.patience=999", "training.tensorboard=false"),
            *given.changes,
        ],
    )
    for source in given.source or ("sample://nasdaq", "sample://sp500"):
        for line in measure(source, settings, given.seeds):
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
