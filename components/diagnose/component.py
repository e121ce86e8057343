"""Step 4 as a KFP component. Nothing heavy is imported before the body runs."""

from typing import Any

from kfp import dsl


@dsl.component(base_image="pgat-diagnose", install_kfp_package=False)
def diagnose(
    dataset: dsl.Input[dsl.Dataset],
    model: dsl.Input[dsl.Model],
    diagnostics_settings: dict[str, Any],
    code_version: str,
    findings: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
) -> None:
    """Perturb the inputs of the best checkpoint and check what must always hold.

    ``code_version`` is not read: it makes KFP's cache notice an edit.
    """
    from pathlib import Path

    from components.diagnose.step import run
    from components.entry_points import kfp_entry_point, section_of
    from model_core.config.run import DiagnosticsSettings

    with kfp_entry_point(metrics) as headline:
        headline |= run(
            dataset=Path(dataset.path),
            model=Path(model.path),
            findings=Path(findings.path),
            settings=section_of(DiagnosticsSettings, diagnostics_settings, "diagnostics"),
            report_follows=True,
        )
