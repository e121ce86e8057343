"""After the five steps: register the model, if it is worse neither than the best baselines nor than the champion."""

import logging
from pathlib import Path

from components.register_model.champion import Champion, champion_predictions
from components.register_model.registry import ModelVersion, RegisteredModel, Registry
from model_core.artifacts import open_artifact, sha256_of, staged_folder, write_manifest
from model_core.checkpoints.files import CHECKPOINT_MANIFEST, verify_checkpoint
from model_core.checkpoints.local import BEST
from model_core.config.run import EvaluationSettings
from model_core.data.dataset import MarketDataset
from model_core.errors import UserError, quoted
from model_core.evaluation.gate import against_baselines, against_champion
from model_core.evaluation.paired import paired_tables, predictions_in
from model_core.lineage import made_from, refuse_other_model
from model_core.results.record import read_result, write_result
from model_core.results.registration import AgainstChampion, Registration
from model_core.results.scores import Scores
from model_core.store.names import refuse_bad_run_name
from model_core.training.threads import use_threads

log = logging.getLogger("pgat.register")
_LEARNED_UNTIL = "learned_until"
_DESCRIPTION = "Forecasts Open, High, Low and Close; each version says on which windows it was tried."


def run(
    *,
    dataset: Path,
    model: Path,
    model_uri: str,
    evaluation: Path,
    registration: Path,
    settings: EvaluationSettings,
    model_registry: str,
    registered_name: str,
    run_name: str,
    publish_uri: str | None,
) -> dict[str, float]:
    """Offer the model to a registry; the same model twice is one version there.

    The newest version that is not archived is the champion. It forecasts the test windows of ``dataset`` anew, and the
    two are compared window by window.

    Args:
        dataset, model, evaluation: output folders of prepare_data, train and evaluate.
        model_uri: where ``model`` stays, for the registry to keep.
        registration: output folder, with ``registration.json``.
        settings: the ``evaluation`` section: batch size, and the confidence of intervals.
        model_registry: URL of Kubeflow's Model Registry.
        registered_name: what the registry calls the model.
        run_name: of the run that trained it.
        publish_uri: where its report is; None: nowhere.

    Returns:
        ``registered``: 1 if the registry holds it now, else 0.

    Raises:
        ArtifactError, CheckpointError: an input is missing, damaged, or was made from another one.
        StoreError: the registry or the champion's store cannot be reached, or something else answers there.
        UserError: a name cannot be used, the registry refuses, or its champion cannot be read.
    """
    refuse_bad_run_name(run_name, "--run-name")
    refuse_bad_run_name(registered_name, "--registered-name")
    scores = _checked_scores(dataset, model, evaluation)
    registry = Registry(model_registry)
    registry.check()
    use_threads()
    with staged_folder(registration) as folder:
        offer = _Offer(registry, registered_name, sha256_of(model / BEST / CHECKPOINT_MANIFEST)[:12])
        reasons, champion = against_baselines(scores), None
        if not reasons and not offer.is_known:
            reasons, champion = _tried(offer, dataset, evaluation, settings, scores.confidence)
        if not reasons:
            offer.register(model_uri, run_name, _properties(dataset, scores, run_name, publish_uri))
        result = Registration(
            registered=not reasons,
            model_name=registered_name,
            model_version=offer.version_name,
            version_id=None if reasons else offer.version_id,
            reasons=reasons,
            champion=champion,
        )
        write_result(folder, result)
        write_manifest(
            folder,
            producer="register_model",
            settings={"evaluation": settings.model_dump(mode="json")},
            inputs={"dataset": dataset, "model": model, "evaluation": evaluation},
        )
    for sentence in reasons:
        log.info("not registered: %s", sentence)
    if not reasons:
        log.info("%s %s is registered in %s", registered_name, offer.version_name, registry.url)
    return {"registered": float(not reasons)}


class _Offer:
    """One version that may be registered, and what the registry holds of its model."""

    def __init__(self, registry: Registry, name: str, version_name: str) -> None:
        self._registry, self._name, self.version_name = registry, name, version_name
        self._model: RegisteredModel | None = registry.model(name)
        versions = [] if self._model is None else registry.versions(self._model)
        self._version = next((each for each in versions if each.name == version_name), None)
        if self._version is not None and self._version.state == "ARCHIVED":
            raise UserError(
                f"{name} {version_name} was archived in the registry, and is not registered again; restore it there"
            )
        self._champion = next(
            (each for each in versions if each.state == "LIVE" and each.name != version_name), None
        )

    @property
    def is_known(self) -> bool:
        """Whether it was registered before, and passed then."""
        return self._version is not None

    @property
    def version_id(self) -> str | None:
        """The registry's own, once it has one."""
        return None if self._version is None else self._version.id

    @property
    def champion(self) -> tuple[ModelVersion, Champion] | None:
        """The newest other version that is in use."""
        if (version := self._champion) is None:
            return None
        until = version.properties.get(_LEARNED_UNTIL)
        name = f"the registered {self._name} {quoted(version.name).strip(chr(39))}"
        uri = self._registry.model_uri(version)
        return version, Champion(name, uri, (until and until.string_value) or "")

    def register(self, uri: str, run_name: str, properties: dict[str, str]) -> None:
        """Make what the registry lacks of it, so that a registration that was cut off is completed."""
        if self._model is None:
            self._model = self._registry.create_model(self._name, _DESCRIPTION)
        if self._version is None:
            said = properties["verdict"]
            self._version = self._registry.create_version(self._model, self.version_name, said, properties)
        if self._registry.model_uri(self._version) is None:
            name = f"{self._name}-{self.version_name}"
            self._registry.add_artifact(self._version, name, uri, run_name)


def _checked_scores(dataset: Path, model: Path, evaluation: Path) -> Scores:
    scored = open_artifact(evaluation, producer="evaluate")
    open_artifact(model, producer="train")
    verify_checkpoint(model / BEST)
    refuse_other_model(scored, model)
    if not made_from(scored, "dataset", dataset):
        raise UserError(
            f"what the evaluate step left was made from another dataset than {dataset}; run the evaluate step again"
        )
    return read_result(Scores, evaluation)


def _tried(
    offer: _Offer, dataset: Path, evaluation: Path, settings: EvaluationSettings, confidence: float
) -> tuple[tuple[str, ...], AgainstChampion | None]:
    """Why the champion stays, and how the two compare; nothing if there is no champion."""
    if (found := offer.champion) is None:
        return (), None
    version, champion = found
    theirs = champion_predictions(champion, dataset, settings)
    pair = paired_tables(predictions_in(evaluation), theirs, confidence)
    compared = AgainstChampion(
        version=version.name, windows=pair.windows, point=pair.point, distribution=pair.distribution
    )
    return against_champion(pair, champion.name), compared


def _properties(dataset: Path, scores: Scores, run_name: str, publish_uri: str | None) -> dict[str, str]:
    """What the registry keeps with the version, as text."""
    prepared = MarketDataset.open(dataset)
    until = prepared.dates[prepared.splits.validation.stop - 1 + prepared.window.pred_len]
    known = {
        "run": run_name,
        "verdict": " ".join(scores.verdict.sentences),
        "test_windows": f"{scores.windows} from {scores.first_date} to {scores.last_date}",
        "source_sha256": prepared.quality.source.sha256,
        _LEARNED_UNTIL: str(until),
    }
    return known | ({"report": f"{publish_uri.rstrip('/')}/{run_name}/report.html"} if publish_uri else {})
