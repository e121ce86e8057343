"""From a checkpoint to a model that forecasts: what everything that forecasts reads a model with."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from pydantic import ValidationError

from model_core.build import build_model
from model_core.checkpoints.control import Damage, Ensemble, SavedInfo, load
from model_core.checkpoints.files import (
    ENSEMBLE,
    SETTINGS,
    WEIGHTS,
    load_weights,
    saved_settings,
    verify_checkpoint,
)
from model_core.checkpoints.measure import refuse_other_shapes
from model_core.config.model import ModelSettings
from model_core.data.inputs import ModelInputs
from model_core.errors import CheckpointError
from model_core.nn.bundles import Reads
from model_core.nn.ensemble import EnsembleModel
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
    members: int = 1
    """How many models forecast together."""

    @property
    def reads(self) -> Reads:
        """Which parts of a window reach the forecast: of the untrained model, whose head says 0, no sky does."""
        return self.model.reads if self.info.epoch > 0 else Reads(past_sky=False, future_sky=False)

    @property
    def checkpoint(self) -> Checkpoint:
        """Whose weights these are, as results name them."""
        return Checkpoint(
            epoch=self.info.epoch, validation_loss=self.info.validation_loss, members=self.members
        )


def load_model(folder: Path, device: torch.device | str = "cpu") -> LoadedModel:
    """Rebuild the model of a checkpoint, load its weights, and shrink its forecasts as it says.

    That of an ensemble is the model that all its members are together.

    Raises:
        ArtifactError: how much is kept cannot be read.
        CheckpointError: the checkpoint is missing, damaged, or of another version of the model.
    """
    folder = Path(folder)
    files = verify_checkpoint(folder)
    shrinkage = read_result(Shrinkage, folder) if Shrinkage.file in files else None
    loaded = _ensemble(folder, shrinkage) if ENSEMBLE in files else _single(folder, shrinkage)
    return replace(loaded, model=loaded.model.to(device).eval())


def _single(folder: Path, shrinkage: Shrinkage | None) -> LoadedModel:
    saved = saved_settings(folder)
    try:
        settings = ModelSettings.model_validate(saved.model)
        inputs = ModelInputs.model_validate(saved.inputs)
    except ValidationError as error:
        raise CheckpointError(
            f"{folder / SETTINGS} was written by another version; train again", path=folder / SETTINGS
        ) from error
    refuse_other_shapes(folder / WEIGHTS, settings, inputs)
    model: Forecaster = build_model(settings, inputs)
    load_weights(folder, model)
    if shrinkage is not None:
        model = ShrunkModel(model, shrinkage.shares)
    return LoadedModel(model, settings, inputs, saved.info, shrinkage)


def _ensemble(folder: Path, shrinkage: Shrinkage | None) -> LoadedModel:
    try:
        found = load(Ensemble, folder / ENSEMBLE)
    except Damage as damage:
        raise CheckpointError(
            f"{folder / ENSEMBLE} names no members ({damage}); choose another checkpoint",
            path=folder / ENSEMBLE,
        ) from damage
    members = []
    for name in found.members:
        verify_checkpoint(folder / name)
        members.append(_single(folder / name, shrinkage))
    first = members[0]
    for name, member in zip(found.members, members, strict=True):
        if (member.settings, member.inputs) != (first.settings, first.inputs):
            raise CheckpointError(
                f"{folder / name} is another model than the first member of {folder}; train again",
                path=folder / name,
            )
    # Epoch 0 only if every member is untrained.
    epoch = max(member.info.epoch for member in members)
    info = SavedInfo(epoch=epoch, validation_loss=found.validation_loss)
    model = EnsembleModel([member.model for member in members])
    return LoadedModel(model, first.settings, first.inputs, info, shrinkage, len(members))
