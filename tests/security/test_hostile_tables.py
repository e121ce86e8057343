"""Tables made to break a reader: each is refused in one short sentence, by the command with exit code 2."""

import io
import json
import pickle
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model_core.data.prepare import prepare
from model_core.errors import TEXT_CHARACTERS, SourceError, printable
from tests.data.market import SETTINGS, table


def parquet_with_notes(notes: object) -> bytes:
    """A sound table whose notes for pandas are ``notes``."""
    buffer = io.BytesIO()
    columns = pa.Table.from_pandas(table())
    pq.write_table(columns.replace_schema_metadata({"pandas": json.dumps(notes)}), buffer)
    return buffer.getvalue()


CSV = table().to_csv(index=False)
HOSTILE = {
    "a byte order mark alone": b"\xef\xbb\xbf",
    "a byte order mark of UTF-16 alone": b"\xff\xfe",
    "a header of 200 kB": b"Date,Open,High,Low," + b"C" * 200_000 + b"\n2020-01-01,1,1,1,1\n",
    "a quoted header of 200 kB": b'Date,Open,High,Low,"' + b"C" * 200_000 + b'"\n2020-01-01,1,1,1,1\n',
    "a quote without end": b'"' + CSV.encode(),
    "30,000 columns": (",".join(f"column {n}" for n in range(30_000)) + "\n").encode(),
    "9,000 long columns": (",".join(f"{n}{'x' * 100}" for n in range(9_000)) + "\n1\n").encode(),
    "a cell of 1 MB": (CSV + "2030-01-01," + "9" * 1_000_000 + ",1,1,1\n").encode(),
    "controls in a column": CSV.replace("Close", "\x1b[2J\u202eClose").encode(),
    "no columns among pandas' notes": parquet_with_notes({}),
    "a column that is null": parquet_with_notes(
        {"index_columns": [], "column_indexes": [], "columns": [None]}
    ),
    "an index that is none": parquet_with_notes(
        {"index_columns": ["nowhere"], "column_indexes": [{}], "columns": [{}]}
    ),
    "notes that are a list": parquet_with_notes([1]),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_table_is_refused_in_one_short_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "market"
    path.write_bytes(content)
    with pytest.raises(SourceError) as caught:
        prepare(str(path), SETTINGS)
    text = str(caught.value)
    assert len(text) <= TEXT_CHARACTERS
    assert printable(text) == text


@pytest.mark.slow
def test_the_command_ends_with_one_line_and_exit_code_2(tmp_path: Path) -> None:
    path = tmp_path / "market.csv"
    path.write_bytes(HOSTILE["a quoted header of 200 kB"])
    command = [sys.executable, "-m", "components.prepare_data", "--source", str(path)]
    done = subprocess.run(
        [*command, "--dataset", str(tmp_path / "dataset")], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "dataset").exists()


def test_no_code_in_a_parquet_file_runs(tmp_path: Path) -> None:
    """Arrow once unpickled a column's type."""

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return Path.touch, (tmp_path / "ran",)

    frame = table().assign(Date=lambda frame: pd.to_datetime(frame["Date"]))
    columns = pa.Table.from_pandas(frame, preserve_index=False)
    marks = {
        "ARROW:extension:name": "arrow.py_extension_type",
        "ARROW:extension:metadata": pickle.dumps(Trap()),
    }
    fields = [field.with_metadata(marks) if field.name == "Close" else field for field in columns.schema]
    path = tmp_path / "market.parquet"
    pq.write_table(columns.cast(pa.schema(fields)), path)
    with suppress(SourceError):
        prepare(str(path), SETTINGS)
    assert not (tmp_path / "ran").exists()


def test_the_table_itself_is_sound(tmp_path: Path) -> None:
    """What the tests above change is all that is wrong with their tables."""
    path = tmp_path / "market"
    path.write_text(CSV)
    assert len(prepare(str(path), SETTINGS).dates) == len(pd.read_csv(path))
