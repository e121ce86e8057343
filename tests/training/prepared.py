"""A prepared dataset on disk, the smallest real model that fits it, and the job that trains it."""

from pathlib import Path

from components.train.job import Job
from model_core.artifacts import write_manifest
from model_core.config.model import ModelSettings
from model_core.data.dataset import PRODUCER
from tests.training.tiny import SETTINGS, tiny_dataset

MODEL = ModelSettings(d_model=26, n_heads=2, e_layers=1, d_layers=1, d_ff=32, celestial_dim=4, dropout=0.0)
TRAINING = SETTINGS.model_copy(
    update={"train_epochs": 2, "tensorboard": True, "threads": 1, "shrinkage": False}
)
"""All that is learned is kept: a few validation windows would speak for none of it."""


def write_tiny_dataset(folder: Path, note: str = "") -> Path:
    """What ``prepare_data`` would have left."""
    folder.mkdir(parents=True)
    tiny_dataset().write(folder)
    write_manifest(folder, producer=PRODUCER, settings={"note": note})
    return folder


def job_for(dataset: Path, model: Path, **more: object) -> Job:
    """To train that model on ``dataset`` into ``model``, with ``more`` of the job."""
    return Job.model_validate(
        {"dataset": dataset, "model": model, "model_settings": MODEL, "training_settings": TRAINING, **more}
    )
