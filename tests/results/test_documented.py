"""What ``docs/artifacts.md`` and the schemas say of a run's files holds for a real one."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import pytest

from docs.generate.artifacts import DOCUMENTS, PANDAS, TABLES, Document
from docs.generate.pages import ROOT
from model_core.results.record import VERSION_FIELD, Result
from model_core.results.tables import Table
from tests.evaluation.small_run import small_run
from tests.results.every_artifact import every_artifact

SNIPPETS = re.findall(
    r"^```python\n(.*?)^```", (ROOT / "docs/artifacts.md").read_text(encoding="utf-8"), re.M | re.S
)
TABLE_FOLDERS = {"train": "model", "evaluate": "evaluation", "diagnose": "findings"}


def test_every_file_has_an_example() -> None:
    assert len(SNIPPETS) == len(PANDAS) == len(DOCUMENTS) + len(TABLES)


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_an_example_reads_the_file_in_three_lines(snippet: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(every_artifact())
    *before, last = snippet.splitlines()
    assert len(before) < 3
    names: dict[str, object] = {"pd": pd, "np": np}
    exec("\n".join(before), names)
    found = eval(last, names)
    assert isinstance(found, pd.DataFrame | pd.Series)
    assert len(found)


def contents(document: Document) -> list[Any]:
    """What the file holds; one value for each line of a log."""
    text = (every_artifact() / document.path).read_text(encoding="utf-8")
    return [json.loads(text)] if document.path.endswith(".json") else list(map(json.loads, text.splitlines()))


def validator_of(document: Document) -> Any:
    schema = json.loads((ROOT / document.schema_path).read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.path)
def test_a_written_file_fits_its_published_schema_and_a_changed_one_does_not(document: Document) -> None:
    """Every field of it is documented, too; logs and settings grow new ones from version to version."""
    validator = validator_of(document)
    first = next(name for name in validator.schema["required"] if name != VERSION_FIELD)
    for content in contents(document):
        assert list(validator.iter_errors(content)) == []
        if validator.schema.get("additionalProperties") is not True:
            assert content.keys() <= validator.schema["properties"].keys()
        for wrong in (content | {first: True}, {name: v for name, v in content.items() if name != first}):
            assert list(validator.iter_errors(wrong)) != []


@pytest.mark.parametrize(
    "document", [d for d in DOCUMENTS if issubclass(d.kind, Result)], ids=lambda document: document.path
)
def test_a_result_has_no_field_that_its_schema_does_not_know_and_says_its_version(document: Document) -> None:
    validator, (content,) = validator_of(document), contents(document)
    for wrong in (
        content | {"color": "blue"},
        content | {VERSION_FIELD: 99},
        {name: value for name, value in content.items() if name != VERSION_FIELD},
    ):
        assert list(validator.iter_errors(wrong)) != []


def test_every_json_file_of_a_run_is_documented() -> None:
    """Those of the folder that are not stand elsewhere under the same name; what is packed holds records of runs."""
    documented = {Path(document.path).name for document in DOCUMENTS}
    found = {path.name for path in every_artifact().rglob("*.json*") if path.suffix != ".gz"}
    assert found == {name for name in documented if ".json" in name}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.file)
def test_a_table_has_the_columns_that_are_documented(table: Table) -> None:
    columns = (
        pd.read_parquet(small_run()[TABLE_FOLDERS[table.step]] / table.file).columns.astype(str).tolist()
    )
    documented = [column.name for column in table.columns]
    assert columns[: len(documented)] == documented
    others = columns[len(documented) :]
    assert bool(others) == bool(table.others)
    assert [
        name
        for name in others
        if not re.match("(train|validation|squared_log_error|close_crps|close_held_90)_", name)
    ] == []
