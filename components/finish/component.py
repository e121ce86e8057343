"""The end of a run as KFP's exit handler. Nothing heavy is imported before the body runs."""

from typing import Any

from kfp import dsl


@dsl.component(base_image="pgat-finish", install_kfp_package=False)
def finish(
    status: dsl.PipelineTaskFinalStatus,
    source: str,
    data_settings: dict[str, Any],
    model_settings: dict[str, Any],
    training_settings: dict[str, Any],
    evaluation_settings: dict[str, Any],
    diagnostics_settings: dict[str, Any],
    report_settings: dict[str, Any],
    run_name: str,
    code_version: str,
    page: dsl.Output[dsl.HTML],
    publish_uri: str = "",
    run_called: str = "",
) -> None:
    """Write how the run ended: its record, a page that says so, and a message to a webhook.

    It never fails the run: what it could not do stands in its log. ``code_version`` is not read: every step has it.
    ``run_called`` is the name of a run that was given no ``run_name``, as the cluster calls it.
    """
    import os
    from pathlib import Path

    from components.entry_points import NeverFailing, settings_of, start_logging
    from components.finish.step import FinalStatus, run
    from components.notes import notes_beside
    from model_core.store.names import run_name_of
    from model_core.variables import WEBHOOK

    start_logging()
    with NeverFailing():
        run(
            status=FinalStatus(
                status.state, run=status.pipeline_job_resource_name or "", message=status.error_message or ""
            ),
            settings=settings_of(
                data=data_settings,
                model=model_settings,
                training=training_settings,
                evaluation=evaluation_settings,
                diagnostics=diagnostics_settings,
                report=report_settings,
            ),
            source=source,
            run_name=run_name or run_name_of(run_called),
            page=Path(page.path),
            notes=notes_beside(page.uri, "finish"),
            publish_uri=publish_uri or None,
            webhook=os.environ.get(WEBHOOK) or None,
        )
