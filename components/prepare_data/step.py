"""Step 1: a market table in, a prepared dataset of 118 waves out."""

import logging
from pathlib import Path

from model_core.artifacts import staged_folder, write_manifest
from model_core.config.run import DataSettings
from model_core.data.dataset import PRODUCER
from model_core.data.prepare import prepare

log = logging.getLogger("pgat.prepare_data")


def run(*, source: str, dataset: Path, settings: DataSettings) -> dict[str, float]:
    """Prepare the market table at ``source`` into the folder ``dataset``.

    Args:
        source: ``sample://nasdaq``, a path or ``s3://…``; CSV or Parquet with Open, High, Low, Close.
        dataset: output folder; appears whole at the end.
        settings: the ``data`` section.

    Returns:
        Rows, windows per split and the number of kinds of warning.

    Raises:
        SourceError: the table is missing or refused; nothing is written.
        SkyError: a date lies outside the ephemeris.
    """
    with staged_folder(dataset) as folder:
        prepared = prepare(source, settings)
        prepared.write(folder)
        write_manifest(
            folder, producer=PRODUCER, settings={"source": source, "data": settings.model_dump(mode="json")}
        )
    splits = prepared.splits
    log.info(
        "%s: %d rows %s … %s; %d train, %d validation, %d test windows",
        source,
        len(prepared.dates),
        prepared.dates[0],
        prepared.dates[-1],
        len(splits.train),
        len(splits.validation),
        len(splits.test),
    )
    for warning in prepared.quality["warnings"]:
        log.warning("%s (%d): %s", warning["code"], warning["count"], warning["message"])
    return {
        "rows": float(len(prepared.dates)),
        "train_windows": float(len(splits.train)),
        "validation_windows": float(len(splits.validation)),
        "test_windows": float(len(splits.test)),
        "quality_warnings": float(len(prepared.quality["warnings"])),
    }
