"""The pipeline: five steps, written once, run on a cluster, in containers or on this machine.

On a cluster they stand within an exit handler, which tells how the run ended: on one machine whoever started the run
sees that. KFP lets nothing out of an exit handler, so there the pipeline as a whole has no outputs.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

from kfp import dsl
from kfp.dsl import HTML, Artifact, Dataset, Markdown, Model, PipelineTask
from kfp.dsl.graph_component import GraphComponent

from components.diagnose.component import diagnose
from components.entry_points import parameters_of
from components.evaluate.component import evaluate
from components.finish.component import finish
from components.prepare_data.component import prepare_data
from components.register_model.component import register_model
from components.report.component import report
from components.steps import NOT_WORSE, REGISTERED_NAME
from components.train.component import train
from model_core.config.run import Settings
from model_core.variables import STEP_NOTES

PIPELINE_NAME = "celestial-training-pipeline"
TaskConfigurator = Callable[[PipelineTask, str], object]
"""Gives a step's task its image and resources: ``Cluster.configure_task``, or less for a run on one machine."""


class Outputs(NamedTuple):
    """What a run leaves behind."""

    dataset: Dataset
    model: Model
    evaluation: Artifact
    findings: Artifact
    report: HTML
    summary: Markdown


def settings_parameters(settings: Settings) -> dict[str, dict[str, Any]]:
    """The pipeline's parameters that hold settings: one per section that results depend on."""
    return {f"{name}_settings": parameters_of(section) for name, section in settings.of_steps().items()}


def training_pipeline(
    settings: Settings,
    configure_task: TaskConfigurator,
    code_version: str,
    *,
    run_called: str = "run",
    tells_its_end: bool = False,
) -> GraphComponent:
    """The pipeline with the given settings as its parameters' defaults.

    Args:
        settings: each step gets its own section only, so that an edit of another one leaves it cached.
        configure_task: called with each task and the name of its step.
        code_version: part of every step's cache key.
        run_called: name of a run that is given none; on a cluster a placeholder that it fills in, so that two runs of a
            schedule have two.
        tells_its_end: whether the steps stand within an exit handler, for which each notes how it fares.
    """
    default = settings_parameters(settings)

    def celestial_training_pipeline(
        source: str = "sample://nasdaq",
        source_version: str = "",
        code_version: str = code_version,
        run_name: str = "",
        checkpoint_uri: str = "",
        launcher: str = "",
        publish_uri: str = "",
        model_registry: str = "",
        registered_name: str = REGISTERED_NAME,
        data_settings: dict = default["data_settings"],  # type: ignore[type-arg]
        model_settings: dict = default["model_settings"],  # type: ignore[type-arg]
        training_settings: dict = default["training_settings"],  # type: ignore[type-arg]
        evaluation_settings: dict = default["evaluation_settings"],  # type: ignore[type-arg]
        diagnostics_settings: dict = default["diagnostics_settings"],  # type: ignore[type-arg]
        report_settings: dict = default["report_settings"],  # type: ignore[type-arg]
    ) -> Outputs | None:
        """From a table of daily prices to a page that says what the model is worth.

        1. prepare_data checks the table and computes the sky of every trading day: 118 waves.
        2. train fits the model and keeps the checkpoint with the lowest validation loss.
        3. evaluate scores that checkpoint on every test window beside baselines.
        4. diagnose perturbs its inputs and checks what must always hold.
        5. report gathers all of it on one page and publishes the page under the run's name.

        On a cluster register_model offers the model to a registry, if one is named and it is not worse than the best
        baselines, and finish writes how the run ended, whatever became of the others.
        """
        ending: AbstractContextManager[object] = nullcontext()
        if tells_its_end:
            finished = finish(
                source=source,
                data_settings=data_settings,
                model_settings=model_settings,
                training_settings=training_settings,
                evaluation_settings=evaluation_settings,
                diagnostics_settings=diagnostics_settings,
                report_settings=report_settings,
                run_name=run_name,
                run_called=run_called,
                publish_uri=publish_uri,
                code_version=code_version,
            )
            configure_task(finished, "finish")
            finished.set_caching_options(False)
            ending = dsl.ExitHandler(finished, name="training")
        with ending:
            prepared = prepare_data(
                source=source,
                source_version=source_version,
                data_settings=data_settings,
                code_version=code_version,
            )
            trained = train(
                dataset=prepared.outputs["dataset"],
                model_settings=model_settings,
                training_settings=training_settings,
                checkpoint_uri=checkpoint_uri,
                launcher=launcher,
                code_version=code_version,
            )
            evaluated = evaluate(
                dataset=prepared.outputs["dataset"],
                model=trained.outputs["model"],
                evaluation_settings=evaluation_settings,
                code_version=code_version,
            )
            diagnosed = diagnose(
                dataset=prepared.outputs["dataset"],
                model=trained.outputs["model"],
                diagnostics_settings=diagnostics_settings,
                code_version=code_version,
            )
            reported = report(
                dataset=prepared.outputs["dataset"],
                model=trained.outputs["model"],
                evaluation=evaluated.outputs["evaluation"],
                findings=diagnosed.outputs["findings"],
                report_settings=report_settings,
                run_name=run_name,
                run_called=run_called,
                publish_uri=publish_uri,
                code_version=code_version,
            )
            tasks = {
                "prepare_data": prepared,
                "train": trained,
                "evaluate": evaluated,
                "diagnose": diagnosed,
                "report": reported,
            }
            for step, task in tasks.items():
                configure_task(task, step)
            if tells_its_end:
                with (
                    dsl.If(model_registry != "", name="registry"),
                    dsl.If(reported.outputs["Output"] == NOT_WORSE),
                ):
                    registered = register_model(
                        dataset=prepared.outputs["dataset"],
                        model=trained.outputs["model"],
                        evaluation=evaluated.outputs["evaluation"],
                        evaluation_settings=evaluation_settings,
                        model_registry=model_registry,
                        registered_name=registered_name,
                        run_name=run_name,
                        run_called=run_called,
                        publish_uri=publish_uri,
                        code_version=code_version,
                    )
                    configure_task(registered, "register_model")
                for step, task in (*tasks.items(), ("register_model", registered)):
                    task.set_env_variable(STEP_NOTES, step)
        if tells_its_end:
            return None
        return Outputs(
            dataset=prepared.outputs["dataset"],
            model=trained.outputs["model"],
            evaluation=evaluated.outputs["evaluation"],
            findings=diagnosed.outputs["findings"],
            report=reported.outputs["report"],
            summary=reported.outputs["summary"],
        )

    celestial_training_pipeline.__annotations__["return"] = None if tells_its_end else Outputs
    decorated = dsl.pipeline(name=PIPELINE_NAME, display_name="Celestial training pipeline")
    return decorated(celestial_training_pipeline)
