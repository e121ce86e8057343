"""Step 5 as a KFP component. Nothing heavy is imported before the body runs."""

from typing import Any

from kfp import dsl


@dsl.component(base_image="pgat-report", install_kfp_package=False)
def report(
    dataset: dsl.Input[dsl.Dataset],
    model: dsl.Input[dsl.Model],
    evaluation: dsl.Input[dsl.Artifact],
    findings: dsl.Input[dsl.Artifact],
    report_settings: dict[str, Any],
    run_name: str,
    code_version: str,
    report: dsl.Output[dsl.HTML],
    summary: dsl.Output[dsl.Markdown],
    metrics: dsl.Output[dsl.Metrics],
    publish_uri: str = "",
    run_called: str = "",
) -> str:
    """Write one self-contained page for whoever reviews the run, and publish it.

    ``code_version`` is not read: it makes KFP's cache notice an edit. ``run_called`` is the name of a run that was
    given no ``run_name``, as the cluster calls it.

    Returns:
        ``not_worse`` if no comparison shows the model to be worse than the best baselines, else ``worse``.
    """
    from pathlib import Path

    from components.entry_points import kfp_entry_point, section_of
    from components.notes import REPORT, SUMMARY
    from components.report.step import run
    from components.steps import NOT_WORSE
    from model_core.config.run import ReportSettings
    from model_core.store.names import run_name_of

    left = {REPORT: report.path, SUMMARY: summary.path}
    with kfp_entry_point(metrics, left) as headline:
        headline |= run(
            dataset=Path(dataset.path),
            model=Path(model.path),
            evaluation=Path(evaluation.path),
            findings=Path(findings.path),
            report=Path(report.path),
            summary=Path(summary.path),
            settings=section_of(ReportSettings, report_settings, "report"),
            publish_uri=publish_uri or None,
            run_name=run_name or run_name_of(run_called),
        )
    return NOT_WORSE if headline[NOT_WORSE] else "worse"
