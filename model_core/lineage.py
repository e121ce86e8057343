"""Whether the folders that a step is given belong together: what was made from what, as their manifests say."""

import logging
from pathlib import Path

from model_core.artifacts import MANIFEST, sha256_of
from model_core.errors import ArtifactError
from model_core.manifest import Manifest

log = logging.getLogger("pgat.lineage")


def made_from(manifest: Manifest, name: str, folder: Path) -> bool:
    """Whether the input ``name`` of what ``manifest`` vouches for was the artifact ``folder`` as it is now.

    An artifact that was made once more, from the same and to the same, is another one.
    """
    return manifest.inputs.get(name) == sha256_of(folder / MANIFEST)


def say_if_other_dataset(made: Manifest, dataset: Path) -> None:
    """A model may be tried on another dataset than it was trained on; whoever reads the result should know."""
    if not made_from(made, "dataset", dataset):
        log.warning(
            "what the %s step left was made from another dataset than %s, or from an earlier preparation of it",
            made.producer,
            dataset,
        )


def refuse_other_model(results: Manifest, model: Path) -> None:
    """Scores and findings say nothing about another model than the one they were made from.

    Raises:
        ArtifactError: they were made from another one.
    """
    if not made_from(results, "model", model):
        raise ArtifactError(
            f"what the {results.producer} step left was made from another model than {model}; "
            f"run the {results.producer} step again",
            path=model,
        )
