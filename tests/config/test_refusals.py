"""What a settings file or ``--set`` may get wrong is said as a person would say it."""

import pytest

from model_core.config.load import load_settings
from model_core.errors import SettingsError

REFUSED = {
    "data.format.header=0": "data.format.header is 0; input should be greater than or equal to 1 or 'none'",
    "data.format.header=first": "data.format.header is 'first'; input should be a valid integer or 'none'",
    "training.launcher.processes=all": "training.launcher.processes is 'all'; input should be a valid integer or 'gpu'",
    "data.columns=[Close]": "data.columns is ['Close']; it takes names with values, e.g. {name: value}",
    "data.columns={5: Close}": "data.columns.5 is 5; input should be a valid string",
    "data.window=": "data.window has no value; it takes names with values, e.g. {name: value}",
    "data.holidays=2018-02-26": "data.holidays is '2018-02-26'; it takes a list, e.g. [first, second]",
    "data.holidays=[2018-02-26, never]": "data.holidays.1 is 'never'; input should be a valid date or datetime",
    "data.splits={kind: ratio, train: 0.95}": "data.splits: train 0.95 and validation 0.1 leave nothing to test; make "
    "them smaller",
    "data.sort=maybe": "data.sort is 'maybe'; write true or false",
    "data.window.seq_len=16.5": "data.window.seq_len is 16.5; input should be a valid integer",
    "data.timezone=Mars": "data.timezone: 'Mars' is not a time zone; write one like America/New_York or UTC",
    "data.timezone=../etc": "data.timezone: '../etc' is not a time zone; write one like America/New_York or UTC",
    "data.format.encoding=hex": "data.format.encoding: 'hex' is not an encoding; write one like utf-8, latin-1 "
    "or utf-16",
    "data.format.encoding=undefined": "data.format.encoding: 'undefined' is not an encoding; write one like utf-8, "
    "latin-1 or utf-16",
} | {
    f"data.format.delimiter={text}": f"data.format.delimiter: '{text}' cannot separate cells; give one character "
    "such as ; or |, tab or space"
    for text in (";;", "/s+", '"', "blank")
}


@pytest.mark.parametrize("override", REFUSED)
def test_a_wrong_value_is_told_in_words(override: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(None, [override])
    assert str(caught.value) == REFUSED[override]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "cp1252"])
def test_an_encoding_is_kept_whether_or_not_it_starts_with_a_mark(encoding: str) -> None:
    assert load_settings(None, [f"data.format.encoding={encoding}"]).data.format.encoding == encoding
