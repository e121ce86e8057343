"""Step 1: a market table in, a prepared dataset of 118 waves out."""

import logging
from pathlib import Path

from model_core.artifacts import read_manifest, staged_folder, write_manifest
from model_core.config.data import DataSettings
from model_core.config.load import validated
from model_core.data.dataset import PRODUCER, MarketDataset
from model_core.data.describing.card import data_card
from model_core.data.prepare import prepare, prepare_table
from model_core.data.reading.sources import read_source
from model_core.data.splits import independent_windows
from model_core.errors import ArtifactError, SourceError
from model_core.manifest import Manifest

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
        _write(folder, prepared, source, settings)
    return _log_summary(source, prepared)


def inspect(*, source: str, settings: DataSettings) -> tuple[str, dict[str, float]]:
    """The data card of ``source`` under ``settings``, and what ``run`` returns; nothing is written.

    Raises:
        SourceError: the table is missing or refused.
        SkyError: a date lies outside the ephemeris.
    """
    prepared = prepare(source, settings)
    return data_card(prepared), _headline(prepared)


def rebuild(*, manifest: Path, dataset: Path) -> dict[str, float]:
    """Prepare again, bit for bit, what another dataset's manifest describes.

    Args:
        manifest: ``manifest.json`` of a dataset, alone; its other files are not needed.
        dataset: output folder; appears only if every file has the SHA-256 that the manifest names.

    Raises:
        ArtifactError: the manifest is not one of ``prepare_data``, or a file came out differently.
        SourceError: the table is missing, or no longer the one that was prepared.
    """
    wanted = read_manifest(manifest, producer=PRODUCER)
    source = str(wanted.settings["source"])
    section = wanted.settings["data"]
    assert isinstance(section, dict)
    settings = validated(DataSettings, section, "data")
    with staged_folder(dataset) as folder:
        table = read_source(source, settings)
        if table.sha256 != wanted.settings["source_sha256"]:
            raise SourceError(
                f"{source} has changed since {manifest} was written (SHA-256 {table.sha256[:12]}… instead of "
                f"{str(wanted.settings['source_sha256'])[:12]}…); bring back the table of that time"
            )
        prepared = prepare_table(table, settings)
        made = _write(folder, prepared, source, settings)
        _refuse_differences(made, wanted, manifest)
    return _log_summary(source, prepared)


def _write(folder: Path, prepared: MarketDataset, source: str, settings: DataSettings) -> Manifest:
    prepared.write(folder)
    recorded = {
        "source": source,
        "source_sha256": prepared.quality.source.sha256,
        "data": settings.model_dump(mode="json"),
    }
    return write_manifest(folder, producer=PRODUCER, settings=recorded)


def _refuse_differences(made: Manifest, wanted: Manifest, manifest: Path) -> None:
    files = sorted(made.files.keys() | wanted.files.keys())
    differ = [name for name in files if made.files.get(name) != wanted.files.get(name)]
    if not differ:
        return
    changed = [
        f"{name} {wanted.versions.get(name)} → {version}"
        for name, version in made.versions.items()
        if wanted.versions.get(name) != version
    ]
    if made.code_version != wanted.code_version:
        changed.append(f"code {wanted.code_version} → {made.code_version}")
    raise ArtifactError(
        f"{', '.join(differ)} differ from {manifest}; rebuild with the versions that made it "
        f"({', '.join(changed) or 'the versions are the same'})",
        path=manifest,
    )


def _log_summary(source: str, prepared: MarketDataset) -> dict[str, float]:
    """Log what was prepared and return its headline numbers."""
    splits = prepared.splits
    log.info(
        "%s: %d rows %s … %s; %d train, %d validation, %d test windows (%g independent ones to test)",
        source,
        len(prepared.dates),
        prepared.dates[0],
        prepared.dates[-1],
        len(splits.train),
        len(splits.validation),
        len(splits.test),
        independent_windows(len(splits.test), prepared.window.pred_len),
    )
    if prepared.layout == "published":
        log.info("the price columns hold %s", prepared.quality.prices.found)
    for warning in prepared.quality.warnings:
        log.warning("%s (%d): %s", warning.code, warning.count, warning.message)
    return _headline(prepared)


def _headline(prepared: MarketDataset) -> dict[str, float]:
    splits = prepared.splits
    return {
        "rows": float(len(prepared.dates)),
        "train_windows": float(len(splits.train)),
        "validation_windows": float(len(splits.validation)),
        "test_windows": float(len(splits.test)),
        "quality_warnings": float(len(prepared.quality.warnings)),
    }
