"""Prepare a market table into a dataset of 118 waves."""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping

from components.cli import Files, command, execute
from model_core.config.run import Settings


def main(arguments: list[str] | None = None) -> None:
    """Parse ``arguments`` (of the process, if None) and run the step."""
    execute(step_parser(), _run, arguments, inputs=("source", "like"), outputs=("dataset",))


def step_parser() -> ArgumentParser:
    """The step's inputs, outputs and settings as flags."""
    parser = command(
        "prepare_data",
        __doc__,
        "%(prog)s --config configs/quickstart.yaml --source my.csv --dataset runs/mine/dataset",
        "%(prog)s --source s3://market/prices.parquet --inspect",
    )
    table = parser.add_mutually_exclusive_group(required=True)
    table.add_argument(
        "--source",
        metavar="URI",
        help="sample://nasdaq, a path or s3://…; CSV or Parquet with a date, Open, High, Low, Close",
    )
    table.add_argument(
        "--like",
        metavar="MANIFEST",
        help="manifest.json of a dataset: prepare the same table with the same settings, bit for bit",
    )
    parser.add_argument("--dataset", metavar="OUT", help="output folder")
    parser.add_argument(
        "--inspect", action="store_true", help="print the data card; without --dataset nothing is written"
    )
    return parser


def _run(given: Namespace, settings: Settings, files: Files) -> Mapping[str, float]:
    from components.prepare_data import step
    from model_core.data.dataset import MarketDataset
    from model_core.data.describing.card import data_card, reading_card
    from model_core.errors import SettingsError, SourceError
    from model_core.store.locate import local_path

    if given.like and (given.config or given.set):
        raise SettingsError("--like takes its settings from the manifest; leave out --config and --set")
    manifest = local_path(given.like) if given.like else None
    if given.like and manifest is None:
        raise SettingsError(f"--like reads a local file; download {given.like} and give its path")
    if not given.dataset:
        if given.like or not given.inspect:
            raise SettingsError("no output folder is given; name one with --dataset")
        try:
            card, headline = step.inspect(source=given.source, settings=settings.data)
        except SourceError as error:
            if error.reading:
                print(reading_card(error.reading), end="\n\n", flush=True)
            raise
        print(card, end="\n\n")
        return headline
    folder = files.output(given.dataset)
    if manifest is not None:
        headline = step.rebuild(manifest=manifest, dataset=folder)
    else:
        headline = step.run(source=given.source, dataset=folder, settings=settings.data)
    if given.inspect:
        print(data_card(MarketDataset.open(folder)), end="\n\n")
    return headline


if __name__ == "__main__":
    main()
