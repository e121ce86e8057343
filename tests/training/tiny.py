"""A market of random numbers and a model of one layer, small enough to train in milliseconds."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from model_core.config.data import RatioSplit, WindowSettings
from model_core.config.model import ModelSettings
from model_core.config.run import TrainingSettings
from model_core.data.dataset import MarketDataset
from model_core.data.har import HarScale, har_days
from model_core.data.inputs import ModelInputs
from model_core.data.scaling import Scaler
from model_core.data.splits import make_splits
from model_core.data.walk import StructuredWalk
from model_core.data.windows import Window, WindowSet
from model_core.distributed import SINGLE_PROCESS, ProcessGroup
from model_core.nn.bundles import Forecast
from model_core.results.quality import Prices, Quality, Source, Statistics
from model_core.sky.waves import waves_of
from model_core.training.loop import train
from model_core.training.memory import memory_log
from model_core.training.outcome import TrainingResult
from tests.nn.kit import in_float64

WINDOW = WindowSettings(seq_len=16, label_len=8, pred_len=3)
SETTINGS = TrainingSettings(
    train_epochs=3,
    batch_size=8,
    gradient_accumulation_steps=2,
    learning_rate=1e-2,
    warmup_epochs=1,
    checkpoint_interval=1,
    keep_checkpoints=2,
    step_log_interval=1,
    memory_log_interval=2,
    tensorboard=False,
    device="cpu",
)


class TinyModel(nn.Module):
    """Last known prices and the coming sky, one hidden layer with dropout, a forecast."""

    def __init__(self, dropout: float = 0.2) -> None:
        super().__init__()
        self.hidden = nn.Linear(4 * WINDOW.seq_len, 8)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(8, 4 * WINDOW.pred_len)

    def forward(self, window: Window) -> Forecast:
        hidden = self.dropout(torch.tanh(self.hidden(window.past_waves[..., :4].flatten(1))))
        return Forecast(point=self.out(hidden).unflatten(1, (WINDOW.pred_len, 4)))


class InFloat64(nn.Module):
    """A model whose weights, and the windows it is given, are float64: for comparisons that no rounding blurs."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model.double()

    def forward(self, window: Window) -> Forecast:
        """The model's forecast in float64."""
        return self.model(in_float64(window))


def tiny_dataset(rows: int = 100) -> MarketDataset:
    """``rows`` weekdays of a random walk under a random sky."""
    random = np.random.default_rng(7)
    specs = waves_of("ephemeris")
    dates = np.busday_offset(np.datetime64("2001-01-01"), np.arange(rows + WINDOW.pred_len), roll="forward")
    waves = random.standard_normal((rows + WINDOW.pred_len, len(specs)))
    close = np.cumsum(0.01 * random.standard_normal(rows + WINDOW.pred_len))
    waves[:, :4] = close[:, None] + np.array([0.0, 0.005, -0.005, 0.0])
    return MarketDataset(
        dates=dates[:rows],
        waves=waves[:rows],
        layout="ephemeris",
        splits=make_splits(dates[:rows], WINDOW, RatioSplit(train=0.7, validation=0.15), 5),
        scaler=Scaler(mean=np.zeros(len(specs)), std=np.ones(len(specs))),
        walk=StructuredWalk(
            a=np.zeros((3, 4)),
            b=np.zeros((3, 4)),
            c=np.zeros((3, 3, 4)),
            days=har_days(WINDOW.seq_len),
            variant="geometry",
            drift_share=0.0,
            validation_mae={},
            validation_candle_rmse={},
        ),
        har_scale=HarScale(np.full((4, 3, 4), 0.5), har_days(WINDOW.seq_len)),
        window=WINDOW,
        scale_rows=5,
        future_dates=dates[rows:],
        future_waves=waves[rows:],
        quality=_quality(dates[:rows]),
    )


def _quality(dates: NDArray[np.datetime64]) -> Quality:
    """Of a table about which there is nothing to say."""
    return Quality(
        source=Source(uri="tiny", sha256="0" * 64),
        layout="ephemeris",
        sky=None,
        rows=len(dates),
        first_date=str(dates[0]),
        last_date=str(dates[-1]),
        prices=Prices(),
        statistics=Statistics(
            first_close=1.0, last_close=1.0, daily_volatility=0.01, largest_daily_move=0.01
        ),
        warnings=(),
        warning_counts={},
        constant_waves=(),
        out_of_train_range=(),
    )


@dataclass(frozen=True)
class Trained:
    """A trained model and how it went."""

    model: nn.Module
    result: TrainingResult


def train_tiny(
    folder: Path,
    settings: TrainingSettings = SETTINGS,
    model: nn.Module | None = None,
    group: ProcessGroup = SINGLE_PROCESS,
    rows: int = 100,
    **more: object,
) -> Trained:
    """Train the tiny model in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(settings.seed)
    model = TinyModel() if model is None else model
    dataset = tiny_dataset(rows)
    with memory_log(
        folder / "memory_diagnostics.log", torch.device("cpu"), settings.memory_log_interval
    ) as memory:
        result = train(
            model,
            WindowSet(dataset, "train"),
            WindowSet(dataset, "validation"),
            settings,
            folder,
            model_settings=ModelSettings(),
            inputs=ModelInputs.from_dataset(dataset),
            memory=memory,
            group=group,
            **more,  # type: ignore[arg-type]
        )
    return Trained(model, result)


def json_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a file with one JSON object a line."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
