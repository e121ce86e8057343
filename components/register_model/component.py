"""After the five steps, where a registry is named. Nothing heavy is imported before the body runs."""

from typing import Any

from kfp import dsl


@dsl.component(base_image="pgat-register-model", install_kfp_package=False)
def register_model(
    dataset: dsl.Input[dsl.Dataset],
    model: dsl.Input[dsl.Model],
    evaluation: dsl.Input[dsl.Artifact],
    evaluation_settings: dict[str, Any],
    model_registry: str,
    registered_name: str,
    run_name: str,
    code_version: str,
    registration: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    publish_uri: str = "",
    run_called: str = "",
) -> None:
    """Register the model in Kubeflow's Model Registry, unless it is worse than a baseline or the registered one.

    ``code_version`` is not read: it makes KFP's cache notice an edit. ``run_called`` is the name of a run that was
    given no ``run_name``, as the cluster calls it.
    """
    from pathlib import Path

    from components.entry_points import kfp_entry_point, section_of
    from components.register_model.step import run
    from model_core.config.run import EvaluationSettings
    from model_core.store.names import run_name_of, s3_uri

    with kfp_entry_point(metrics) as headline:
        headline |= run(
            dataset=Path(dataset.path),
            model=Path(model.path),
            model_uri=s3_uri(model.uri),
            evaluation=Path(evaluation.path),
            registration=Path(registration.path),
            settings=section_of(EvaluationSettings, evaluation_settings, "evaluation"),
            model_registry=model_registry,
            registered_name=registered_name,
            run_name=run_name or run_name_of(run_called),
            publish_uri=publish_uri or None,
        )
