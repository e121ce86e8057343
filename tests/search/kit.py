"""A market of random numbers as two origins, and a grid of two small candidates for it."""

from pathlib import Path
from typing import Any

import yaml

from benchmarks.search.origins import ORIGINS, Origin, bars_of, to_json
from model_core.artifacts import write_json, write_manifest
from model_core.config.data import DataSettings
from model_core.config.run import Settings
from model_core.data.dataset import PRODUCER
from tests.training.prepared import MODEL
from tests.training.tiny import SETTINGS, WINDOW, tiny_dataset

ROOT = Path(__file__).parent.parent.parent
MIXTURE = MODEL.model_copy(update={"use_mixture_decoder": True, "dropout": 0.2})
TINY = Settings(
    data=DataSettings(window=WINDOW), model=MIXTURE, training=SETTINGS.model_copy(update={"batch_size": 4})
)


def tiny_origin(number: int = 0) -> Origin:
    dataset = tiny_dataset()
    return Origin("tiny", number, dataset, {"held_out": bars_of(dataset, dataset.splits.test)})


def write_tiny_origins(folder: Path) -> Path:
    """Two equal origins of one market, as ``prepare`` would have left them."""
    market = folder / "tiny"
    market.mkdir(parents=True)
    dataset = tiny_dataset()
    dataset.write(market)
    write_json(market / ORIGINS, {"origins": [to_json(dataset), to_json(dataset)]})
    write_manifest(market, producer=PRODUCER, settings={})
    return folder


def write_grid(folder: Path, **changes: Any) -> Path:
    """A grid of two candidates for the tiny market."""
    config = {
        "extends": str(ROOT / "configs/quickstart.yaml"),
        "data": {"window": WINDOW.model_dump()},
        "model": MIXTURE.model_dump(mode="json"),
        "training": TINY.training.model_dump(mode="json"),
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    grid = {
        "config": "config.yaml",
        "seeds": [1],
        "centre": {"training.train_epochs": 2},
        "candidates": {"crps": {"model.mixture.loss": "crps"}},
    }
    (folder / "grid.yaml").write_text(yaml.safe_dump(grid | changes), encoding="utf-8")
    return folder / "grid.yaml"
