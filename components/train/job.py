"""What a training step is asked to do, as one record: an argument here, and text for another process or machine."""

import os
from typing import Annotated

from pydantic import BeforeValidator

from components.work import Work
from model_core.config.base import Section
from model_core.config.model import ModelSettings
from model_core.config.run import TrainingSettings


def _text_of(value: object) -> object:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


Location = Annotated[str, BeforeValidator(_text_of)]
"""A path; a URI only for a process that fetches and uploads (``components.train.worker``)."""


class Job(Section):
    """A training step. Every launcher takes one."""

    dataset: Location
    """Output folder of ``prepare_data``."""
    model: Location
    """Output folder; appears whole at the end."""
    model_settings: ModelSettings
    training_settings: TrainingSettings
    checkpoint_uri: str | None = None
    """Folder or ``s3://bucket/prefix`` where checkpoints outlive this machine."""
    kept: Work | None = None
    """Where to work instead of beside the model; what lies there is marked when the model is whole, and stays until
    ``discard_finished``."""
    failure: str | None = None
    """File for the error that ends the run, so that the launcher can repeat it."""
    credentials: str | None = None
    """Folder where the store's secret is mounted."""
