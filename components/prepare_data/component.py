"""Step 1 as a KFP component. Nothing heavy is imported before the body runs."""

from typing import Any

from kfp import dsl


@dsl.component(base_image="pgat-prepare-data", install_kfp_package=False)
def prepare_data(
    source: str,
    data_settings: dict[str, Any],
    source_version: str,
    code_version: str,
    dataset: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
) -> None:
    """Prepare a market table into a dataset of 118 waves.

    ``code_version`` and ``source_version`` are not read: they make KFP's cache notice an edit.
    """
    from pathlib import Path

    from components.entry_points import kfp_entry_point, section_of
    from components.prepare_data.step import run
    from model_core.config.data import DataSettings

    with kfp_entry_point(metrics) as headline:
        headline |= run(
            source=source,
            dataset=Path(dataset.path),
            settings=section_of(DataSettings, data_settings, "data"),
        )
