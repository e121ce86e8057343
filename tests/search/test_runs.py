"""A run of the search trains as the product does, and is scored as the product scores."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.search.origins import bars_of
from benchmarks.search.runs import OriginWindows, OutOfTimeError, scores, train_candidate
from model_core.axes import CLOSE
from model_core.build import build_model
from model_core.config.model import MixtureSettings
from model_core.data.inputs import ModelInputs
from model_core.data.windows import WindowSet
from model_core.losses import forecast_loss
from model_core.metrics.probabilistic import GaussianMixture
from model_core.training.loop import train
from model_core.training.memory import memory_log
from model_core.training.precision import resolve_precision
from model_core.training.seeds import seed_everything
from tests.search.kit import MIXTURE, TINY, tiny_origin
from tests.training.prepared import MODEL
from tests.training.tiny import tiny_dataset

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("mixture", "changes"),
    [
        (MixtureSettings(), {}),
        (MixtureSettings(loss="crps"), {"ema_decay": 0.9}),
        (MixtureSettings(), {"train_epochs": 9, "patience": 1, "learning_rate": 0.1}),
    ],
    ids=["nll", "crps, averaged", "stopped early"],
)
def test_a_run_is_the_products_own_training(
    tmp_path: Path, mixture: MixtureSettings, changes: dict[str, object]
) -> None:
    model = MIXTURE.model_copy(update={"mixture": mixture})
    settings = TINY.model_copy(update={"model": model, "training": TINY.training.model_copy(update=changes)})
    found = train_candidate(settings, OriginWindows(tiny_origin(), CPU))

    dataset, inputs = tiny_dataset(), ModelInputs.from_dataset(tiny_dataset())
    seed_everything(settings.training.seed)
    network = build_model(model, inputs)
    train_windows, validation = WindowSet(dataset, "train"), WindowSet(dataset, "validation")
    with memory_log(tmp_path / "memory.log", CPU, 10) as memory:
        result = train(
            network,
            train_windows,
            validation,
            settings.training,
            tmp_path,
            model_settings=model,
            inputs=inputs,
            memory=memory,
        )
    untrained = found["epochs"][0]["validation"]["loss"]
    assert untrained == pytest.approx(result.untrained_validation_loss, rel=1e-5)
    assert (found["best_epoch"], found["stopped_because"]) == (result.best_epoch, result.stopped_because)
    for row, epoch in zip(result.history, found["epochs"][1:], strict=True):
        assert epoch["train_loss"] == pytest.approx(row["train_loss"], rel=1e-9)
        # Validated in batches of another size.
        assert epoch["validation"]["loss"] == pytest.approx(row["validation_loss"], rel=1e-5)


def test_the_untrained_model_forecasts_the_walk() -> None:
    windows = OriginWindows(tiny_origin(), CPU)
    epoch = train_candidate(TINY, windows)["epochs"][0]
    bars = bars_of(tiny_dataset(), tiny_dataset().splits.test)
    # A candle has a least range, and this walk has none.
    assert epoch["held_out"]["mse"] == pytest.approx(bars["walk_mse"], rel=1e-4)
    assert epoch["held_out"]["mse_close"] == pytest.approx(bars["walk_mse_close"], rel=1e-5)


def test_scores_are_those_of_the_product_in_log_price() -> None:
    dataset = tiny_dataset()
    seed_everything(3)
    model, windows = build_model(MIXTURE, ModelInputs.from_dataset(dataset)), WindowSet(dataset, "test")
    precision = resolve_precision(TINY.training)
    found = scores(model, windows, lambda f, t: forecast_loss(f, t, MIXTURE.mixture), precision)
    indices = torch.arange(len(windows))
    with torch.no_grad():
        mixture = model(batch := windows.batch(indices)).mixture
    assert mixture is not None
    unit = batch.scale.numpy().astype(np.float64)[:, None, None]
    pieces = (mixture.logits.numpy(), mixture.mean.numpy(), mixture.log_scale.numpy())
    crps = GaussianMixture.from_head(*pieces).scaled(unit).crps(windows.displacements(indices).numpy())
    assert found["crps"] == pytest.approx(crps.mean(), rel=1e-5)
    assert found["crps_close"] == pytest.approx(crps[..., CLOSE].mean(), rel=1e-5)
    assert found["nll"] == pytest.approx(found["loss"], rel=1e-6)


def test_a_point_head_has_no_crps() -> None:
    settings = TINY.model_copy(update={"model": MODEL})
    epoch = train_candidate(settings, OriginWindows(tiny_origin(), CPU))["epochs"][0]
    assert epoch["validation"]["crps_close"] is None
    assert epoch["validation"]["mse"] > 0


def test_a_run_stops_when_it_brings_no_gain() -> None:
    training = TINY.training.model_copy(
        update={"train_epochs": 9, "patience": 2, "learning_rate": 0.5, "warmup_epochs": 0}
    )
    found = train_candidate(TINY.model_copy(update={"training": training}), OriginWindows(tiny_origin(), CPU))
    losses = [epoch["validation"]["loss"] for epoch in found["epochs"]]
    losses = [math.inf if loss is None else loss for loss in losses]
    assert len(losses) < 10
    assert min(losses) == losses[-3]


def test_a_run_without_time_leaves_nothing() -> None:
    with pytest.raises(OutOfTimeError):
        train_candidate(TINY, OriginWindows(tiny_origin(), CPU), lambda: False)


@pytest.mark.gpu
def test_a_run_of_recorded_steps_is_one_of_plain_steps() -> None:
    found = []
    for recorded in (True, False):
        training = TINY.training.model_copy(
            update={"device": "cuda", "precision": "fp32", "cuda_graph": recorded, "train_epochs": 5}
        )
        windows = OriginWindows(tiny_origin(), torch.device("cuda"))
        found.append(train_candidate(TINY.model_copy(update={"training": training}), windows)["epochs"])
    for one, other in zip(*found, strict=True):
        assert one["held_out"]["loss"] == pytest.approx(other["held_out"]["loss"], rel=1e-3)
