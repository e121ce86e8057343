"""Step 3 as a KFP component. Nothing heavy is imported before the body runs."""

from typing import Any

from kfp import dsl


@dsl.component(base_image="pgat-evaluate", install_kfp_package=False)
def evaluate(
    dataset: dsl.Input[dsl.Dataset],
    model: dsl.Input[dsl.Model],
    evaluation_settings: dict[str, Any],
    code_version: str,
    evaluation: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
) -> None:
    """Score the best checkpoint on every test window beside baselines.

    ``code_version`` is not read: it makes KFP's cache notice an edit.
    """
    from pathlib import Path

    from components.entry_points import kfp_entry_point, section_of
    from components.evaluate.step import run
    from model_core.config.run import EvaluationSettings

    with kfp_entry_point(metrics) as headline:
        headline |= run(
            dataset=Path(dataset.path),
            model=Path(model.path),
            evaluation=Path(evaluation.path),
            settings=section_of(EvaluationSettings, evaluation_settings, "evaluation"),
            report_follows=True,
        )
