"""A sky that another user could have written into a shared cache is not taken for a computed one."""

import hashlib
import logging
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model_core.config.data import SkySettings
from model_core.sky.ephemeris import sky_waves

DAYS = np.arange("2015-03-01", "2015-03-11", dtype="datetime64[D]")


@pytest.fixture
def computed(tmp_path: Path) -> pd.DataFrame:
    return sky_waves(DAYS, SkySettings(cache=str(tmp_path / "another")))


@pytest.fixture
def forged(tmp_path: Path, computed: pd.DataFrame) -> Path:
    """A whole file of a sky that stands still, under the name of what it is."""
    folder = tmp_path / "cache" / "sky"
    sky_waves(DAYS, SkySettings(cache=str(folder.parent)))
    (honest,) = folder.iterdir()
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pandas(computed * 0 + 0.5, preserve_index=False), sink)
    content = sink.getvalue().to_pybytes()
    path = folder / f"{honest.name.split('.')[0]}.{hashlib.sha256(content).hexdigest()}.parquet"
    honest.unlink()
    path.write_bytes(content)
    return path


def read_again(forged: Path) -> pd.DataFrame:
    return sky_waves(DAYS, SkySettings(cache=str(forged.parent.parent)))


def test_a_file_of_ones_own_is_taken(forged: Path, computed: pd.DataFrame) -> None:
    """The forged file would work: its name fits its content."""
    assert not read_again(forged).equals(computed)


@pytest.mark.parametrize("place", ["sky", "its parent"])
def test_a_cache_where_others_may_write_is_neither_read_nor_written(
    forged: Path, computed: pd.DataFrame, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    opened = forged.parent if place == "sky" else forged.parent.parent
    opened.chmod(0o777)
    with caplog.at_level(logging.WARNING, "pgat.sky"):
        assert read_again(forged).equals(computed)
    assert f"{opened} can be written by others (mode 777); set data.sky.cache" in caplog.text
    assert list(forged.parent.iterdir()) == [forged]


def test_a_file_that_others_may_write_is_computed_again(
    forged: Path, computed: pd.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    forged.chmod(0o666)
    with caplog.at_level(logging.WARNING, "pgat.sky"):
        assert read_again(forged).equals(computed)
    assert f"{forged} is not used, since it can be written by others (mode 666)" in caplog.text
    assert len(list(forged.parent.iterdir())) == 2


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("given_away", ["file", "folder"])
def test_what_belongs_to_another_user_is_computed_again(
    forged: Path, computed: pd.DataFrame, given_away: str, caplog: pytest.LogCaptureFixture
) -> None:
    os.chown(forged if given_away == "file" else forged.parent, 12345, -1)
    with caplog.at_level(logging.WARNING, "pgat.sky"):
        assert read_again(forged).equals(computed)
    assert "belongs to another user (12345)" in caplog.text


def test_a_sticky_folder_around_the_cache_is_enough_as_tmp_is(forged: Path, computed: pd.DataFrame) -> None:
    forged.parent.parent.chmod(0o1777)
    assert not read_again(forged).equals(computed)
