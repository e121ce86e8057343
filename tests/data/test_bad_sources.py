"""A source that is no table, and settings that do not fit one, get a sentence that names what to do."""

import re
import shlex
from pathlib import Path

import pytest

from model_core.config.table import FormatSettings
from model_core.data.prepare import prepare
from model_core.documents import parse_yaml
from model_core.errors import SettingsError, SourceError
from tests.data.market import SETTINGS, saved, table

FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "blank lines": (b"\n\n  \n", "is empty"),
    "binary": (bytes(range(128, 256)) * 10, "is not a table"),
    "ragged": (b"Date,Open,High,Low,Close\n1,2,3\n1,2,3,4,5,6,7\n", "is not a table"),
    "prose": (
        b"this is a letter and no table\nsecond line\n",
        "lacks Date, Open, High, Low and Close",
    ),
    "broken Parquet": (b"PAR1 and then nothing", "is a damaged Parquet file"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_table_is_refused(name: str, tmp_path: Path) -> None:
    content, message = FILES[name]
    path = tmp_path / "market.csv"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=message):
        prepare(str(path), SETTINGS)


def test_a_missing_file_is_named_beside_the_samples(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"nowhere\.csv does not exist; .*sample://nasdaq"):
        prepare(str(tmp_path / "nowhere.csv"), SETTINGS)


def test_a_folder_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is a folder"):
        prepare(str(tmp_path), SETTINGS)


def test_an_unknown_sample_is_answered_with_the_known_ones() -> None:
    with pytest.raises(SourceError, match="sample://dax is not a sample; choose one of sample://nasdaq"):
        prepare("sample://dax", SETTINGS)


@pytest.mark.parametrize(
    ("changes", "key", "message"),
    [
        ({"date_format": "%Q"}, "data.date_format", "'%Q' cannot read dates"),
        ({"columns": {"Clsoe": "c"}}, "data.columns.Clsoe", "did you mean Close"),
        ({"columns": {"Tag": "date"}}, "data.columns.Tag", "comes first: --set 'data.columns={Date: Tag}'"),
        (
            {"format": FormatSettings(epoch_unit="s")},
            "data.format.epoch_unit",
            "are not numbers; leave it out",
        ),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(
    changes: dict[str, object], key: str, message: str, tmp_path: Path
) -> None:
    frame = table()
    path = saved(frame.assign(Date=frame["Date"] + "T01:00:00Z"), tmp_path)
    with pytest.raises(SettingsError, match=message) as refused:
        prepare(path, SETTINGS.model_copy(update=changes))
    assert refused.value.keys == (key,)
    assert str(refused.value).startswith(key)


def test_a_mapped_column_that_is_not_there_is_named_with_the_map(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"columns": {"Close": "settle"}})
    with pytest.raises(SourceError, match=r"lacks Close \(data\.columns calls it settle\)"):
        prepare(saved(table(), tmp_path), settings)


THEIRS = {"Date": "Handelstag", "Open": "Erster", "High": "Hoch: Tag", "Low": "D'Or", "Close": "on"}


@pytest.mark.parametrize("told", [[], ["Date"], ["Low", "High"], ["Open", "Date", "Close"]])
def test_the_map_in_the_message_names_all_columns_that_are_missing_and_keeps_those_that_are_told(
    told: list[str], tmp_path: Path
) -> None:
    path = saved(table().rename(columns=THEIRS), tmp_path)
    settings = SETTINGS.model_copy(update={"columns": {name: THEIRS[name] for name in told}})
    with pytest.raises(SourceError) as refused:
        prepare(path, settings)
    remedy = shlex.split(re.findall(r"--set ('data\.columns=.*?')", str(refused.value))[0])[0]
    columns = parse_yaml(remedy.partition("=")[2])
    assert columns == {name: THEIRS[name] if name in told else "its name" for name in THEIRS}
    assert prepare(path, SETTINGS.model_copy(update={"columns": columns | THEIRS})).quality
