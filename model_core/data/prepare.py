"""From a table to a prepared dataset: waves, splits, scaler, structured walk with its scale, and what is odd."""

from model_core.config.data import DataSettings
from model_core.data.dataset import MarketDataset
from model_core.data.describing.quality import quality_of
from model_core.data.har import fit_har_scale, har_days
from model_core.data.layouts.ephemeris import computed_waves
from model_core.data.layouts.published import imported_waves
from model_core.data.reading.sources import SourceTable, read_source
from model_core.data.scaling import Scaler
from model_core.data.walk import KnownRanges, displacements, fit_structured_walk


def prepare(source: str, settings: DataSettings) -> MarketDataset:
    """Read, check and prepare the table at ``source``.

    Raises:
        SourceError: the table is missing, refused, or too short for one window of each split.
        SkyError: a date lies outside the ephemeris.
        SettingsError: the column map, date format or time zone cannot be used.
    """
    return prepare_table(read_source(source, settings), settings)


def prepare_table(source: SourceTable, settings: DataSettings) -> MarketDataset:
    """Check and prepare a table that was read already; raises as ``prepare`` does."""
    match settings.layout:
        case "ephemeris":
            table = computed_waves(source, settings)
        case "published":
            table = imported_waves(source, settings)
    horizon = settings.window.pred_len
    # The last train window's targets end here; nothing after them is looked at.
    train = table.splits.train
    train_rows = slice(0, train.stop + horizon)
    known = KnownRanges.of(table.log_prices, settings.scale_rows, har_days(settings.window.seq_len))
    walk = fit_structured_walk(known, table.splits, horizon)
    left_over = displacements(table.log_prices, train, horizon) - known.displacement(walk, train)
    return MarketDataset(
        dates=table.dates,
        waves=table.waves,
        layout=table.layout,
        splits=table.splits,
        scaler=Scaler.fit(table.waves, table.specs, train_rows),
        walk=walk,
        har_scale=fit_har_scale(known.ranges[train.first : train.stop], left_over, known.days),
        window=settings.window,
        scale_rows=settings.scale_rows,
        future_dates=table.future_dates,
        future_waves=table.future_waves,
        quality=quality_of(source, table, settings),
    )
