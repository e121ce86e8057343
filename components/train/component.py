"""Step 2 as a KFP component. Nothing heavy is imported before the body runs."""

from typing import Any

from kfp import dsl


@dsl.component(base_image="pgat-train", install_kfp_package=False)
def train(
    dataset: dsl.Input[dsl.Dataset],
    model_settings: dict[str, Any],
    training_settings: dict[str, Any],
    code_version: str,
    model: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    checkpoint_uri: str = "",
    launcher: str = "",
) -> None:
    """Train the model on a prepared dataset; leaves the best and the last checkpoint.

    ``code_version`` is not read: it makes KFP's cache notice an edit.
    """
    from components.entry_points import kfp_entry_point, section_of
    from components.train.job import Job
    from components.train.launchers import launch_from_settings
    from components.work import work_of_local_run
    from model_core.config.model import ModelSettings
    from model_core.config.run import TrainingSettings

    with kfp_entry_point(metrics) as headline:
        job = Job(
            dataset=dataset.path,
            model=model.path,
            model_settings=section_of(ModelSettings, model_settings, "model"),
            training_settings=section_of(TrainingSettings, training_settings, "training"),
            checkpoint_uri=checkpoint_uri or None,
            kept=work_of_local_run(),
        )
        headline |= launch_from_settings(job, launcher or None)
