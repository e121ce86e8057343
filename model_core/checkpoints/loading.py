"""From a checkpoint to a model that forecasts: what everything that forecasts reads a model with."""

from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import ValidationError

from model_core.build import build_model
from model_core.checkpoints.control import SavedInfo
from model_core.checkpoints.files import SETTINGS, WEIGHTS, load_weights, saved_settings, verify_checkpoint
from model_core.checkpoints.measure import refuse_other_shapes
from model_core.config.model import ModelSettings
from model_core.data.inputs import ModelInputs
from model_core.errors import CheckpointError
from model_core.nn.bundles import Reads
from model_core.nn.forecaster import Forecaster
from model_core.nn.shrinkage import ShrunkModel
from model_core.results.record import read_result
from model_core.results.shrinkage import Shrinkage
from model_core.results.training import Checkpoint


@dataclass(frozen=True)
class LoadedModel:
    """A model as it was saved, in evaluation mode."""

    model: Forecaster
    settings: ModelSettings
    inputs: ModelInputs
    info: SavedInfo
    """What was known when it was saved."""
    shrinkage: Shrinkage | None = None
    """How much of what was learned its forecasts keep; all of it if there is none."""

    @property
    def reads(self) -> Reads:
        """Which parts of a window reach the forecast: of the untrained model, whose head says 0, no sky does."""
        return self.model.reads if self.info.epoch > 0 else Reads(past_sky=False, future_sky=False)

    @property
    def checkpoint(self) -> Checkpoint:
        """Whose weights these are, as results name them."""
        return Checkpoint(epoch=self.info.epoch, validation_loss=self.info.validation_loss)


def load_model(folder: Path, device: torch.device | str = "cpu") -> LoadedModel:
    """Rebuild the model of a checkpoint, load its weights, and let its forecasts keep what they are to keep.

    Raises:
        ArtifactError: how much that is cannot be read.
        CheckpointError: the checkpoint is missing, damaged, or of another version of the model.
    """
    folder = Path(folder)
    files = verify_checkpoint(folder)
    saved = saved_settings(folder)
    try:
        settings = ModelSettings.model_validate(saved.model)
        inputs = ModelInputs.model_validate(saved.inputs)
    except ValidationError as error:
        raise CheckpointError(f"{folder / SETTINGS} was written by another version; train again") from error
    refuse_other_shapes(folder / WEIGHTS, settings, inputs)
    model: Forecaster = build_model(settings, inputs)
    load_weights(folder, model)
    shrinkage = read_result(Shrinkage, folder) if Shrinkage.file in files else None
    if shrinkage is not None:
        model = ShrunkModel(model, shrinkage.shares)
    return LoadedModel(model.to(device).eval(), settings, inputs, saved.info, shrinkage)
