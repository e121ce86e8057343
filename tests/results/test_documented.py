"""What ``docs/artifacts.md`` and the schemas say of a run's files holds for a real one."""

import json
import re
from pathlib import Path

import jsonschema
import numpy as np
import pandas as pd
import pytest

from docs.generate.artifacts import PANDAS, RESULTS, TABLES, schema_path
from docs.generate.pages import ROOT
from model_core.results.record import Result
from model_core.results.tables import Table
from tests.evaluation.small_run import small_run
from tests.results.test_records import FOLDERS

SNIPPETS = re.findall(
    r"^```python\n(.*?)^```", (ROOT / "docs/artifacts.md").read_text(encoding="utf-8"), re.M | re.S
)
TABLE_FOLDERS = {"train": "model", "evaluate": "evaluation", "diagnose": "findings"}


def test_every_file_has_an_example() -> None:
    assert len(SNIPPETS) == len(PANDAS) == len(RESULTS) + len(TABLES)


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_an_example_reads_the_file_in_three_lines(
    snippet: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, folder in small_run().items():
        (tmp_path / name).symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    *before, last = snippet.splitlines()
    assert len(before) < 3
    names: dict[str, object] = {"pd": pd, "np": np}
    exec("\n".join(before), names)
    found = eval(last, names)
    assert isinstance(found, pd.DataFrame | pd.Series)
    assert len(found)


@pytest.mark.parametrize("kind", RESULTS, ids=lambda kind: kind.file)
def test_a_written_file_fits_its_published_schema_and_a_changed_one_does_not(kind: type[Result]) -> None:
    schema = json.loads((ROOT / schema_path(kind)).read_text(encoding="utf-8"))
    content = json.loads((small_run()[FOLDERS[kind]] / kind.file).read_text(encoding="utf-8"))
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    assert list(validator.iter_errors(content)) == []
    first = schema["required"][1]
    for wrong in (
        content | {"colour": "blue"},
        content | {first: True},
        content | {"schema_version": 99},
        {name: value for name, value in content.items() if name != "schema_version"},
    ):
        assert list(validator.iter_errors(wrong)) != []


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.file)
def test_a_table_has_the_columns_that_are_documented(table: Table) -> None:
    columns = (
        pd.read_parquet(small_run()[TABLE_FOLDERS[table.step]] / table.file).columns.astype(str).tolist()
    )
    documented = [column.name for column in table.columns]
    assert columns[: len(documented)] == documented
    others = columns[len(documented) :]
    assert bool(others) == bool(table.others)
    assert [name for name in others if not re.match("(train|validation)_", name)] == []
