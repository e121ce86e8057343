"""``docs/artifacts.md`` and ``docs/schemas/``: what each file of a run holds, from the records that read and write it.

A record is shown once, below the file that it stands in first; elsewhere its name leads there.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from pydantic import BaseModel

from components.notes import StepNote
from components.steps import STEPS
from model_core.checkpoints.control import (
    CheckpointManifest,
    Ensemble,
    MemoryLine,
    MirroredCheckpoint,
    Owner,
    Saved,
    StepLine,
)
from model_core.manifest import Manifest
from model_core.results.dataset import ScalerResult, SplitResult
from model_core.results.explanation import Explanation
from model_core.results.findings import Findings
from model_core.results.quality import Quality
from model_core.results.record import VERSION_FIELD, Result
from model_core.results.registration import Registration
from model_core.results.run import RunRecord
from model_core.results.scores import Scores
from model_core.results.shrinkage import Shrinkage
from model_core.results.tables import FINDINGS, HISTORY, LOSSES, PREDICTIONS, Table
from model_core.results.training import NonFiniteStep, TrainResults

Schema = dict[str, object]


@dataclass(frozen=True)
class Document:
    """A JSON file that a step or a run leaves."""

    path: str
    """As an example of this page finds it."""
    kind: type[BaseModel]
    name: str = ""
    """Of its schema; that of the file if empty."""

    @property
    def schema_name(self) -> str:
        """Of its JSON schema in ``docs/schemas``."""
        return f"{self.name or PurePosixPath(self.path).stem}.schema.json"

    @property
    def schema_path(self) -> str:
        """Where its schema stands, from the repository's root."""
        return f"docs/schemas/{self.schema_name}"


DOCUMENTS: tuple[Document, ...] = (
    Document("dataset/manifest.json", Manifest),
    Document("dataset/splits.json", SplitResult),
    Document("dataset/scaler.json", ScalerResult),
    Document("dataset/quality.json", Quality),
    Document("model/results.json", TrainResults),
    Document("model/best/checkpoint.json", CheckpointManifest),
    Document("model/best/settings.json", Saved),
    Document("model/best/shrinkage.json", Shrinkage),
    Document("model/best/ensemble.json", Ensemble),
    Document("model/steps.jsonl", StepLine),
    Document("model/memory_diagnostics.log", MemoryLine),
    Document("checkpoints/nonfinite.json", NonFiniteStep),
    Document("mirror/owner.json", Owner),
    Document("mirror/checkpoints/000001-00000000.json", MirroredCheckpoint, "mirrored-checkpoint"),
    Document("evaluation/scores.json", Scores),
    Document("evaluation/explanation.json", Explanation),
    Document("findings/findings.json", Findings),
    Document("registration/registration.json", Registration),
    Document("notes/train.json", StepNote, "note"),
    Document("run/run.json", RunRecord),
)
_DRAFT = "https://json-schema.org/draft/2020-12/schema"
TABLES: tuple[Table, ...] = (HISTORY, PREDICTIONS, LOSSES, FINDINGS)
FOLDERS = {name: step.output for name, step in STEPS.items()}
"""Step → what its folder is called in `run.json`, and here."""
PANDAS = {
    "dataset/manifest.json": """\
manifest = pd.read_json("dataset/manifest.json", typ="series")
pd.DataFrame(manifest["files"]).T""",
    "dataset/splits.json": 'pd.DataFrame(pd.read_json("dataset/splits.json", typ="series")["spans"]).T',
    "dataset/scaler.json": """\
scaler = pd.read_json("dataset/scaler.json", typ="series")
pd.DataFrame(scaler["structured_walk"]["b"], columns=["Open", "High", "Low", "Close"])""",
    "model/best/checkpoint.json": 'pd.DataFrame(pd.read_json("model/best/checkpoint.json")["files"].to_dict()).T',
    "model/best/settings.json": """\
saved = pd.read_json("model/best/settings.json", typ="series")
pd.Series(saved["versions"])""",
    "model/best/shrinkage.json": """\
shrinkage = pd.read_json("model/best/shrinkage.json", typ="series")
pd.DataFrame({name: shrinkage[name] for name in ("close", "candle")}).T""",
    "model/best/ensemble.json": 'pd.Series(pd.read_json("model/best/ensemble.json", typ="series")["members"])',
    "model/steps.jsonl": 'pd.read_json("model/steps.jsonl", lines=True).set_index(["epoch", "step"])["loss_total"]',
    "model/memory_diagnostics.log": """\
memory = pd.read_json("model/memory_diagnostics.log", lines=True)
memory.groupby("stage")["process_rss_mb"].max()""",
    "checkpoints/nonfinite.json": 'pd.Series(pd.read_json("checkpoints/nonfinite.json", typ="series")["losses"])',
    "mirror/owner.json": 'pd.read_json("mirror/owner.json", typ="series")',
    "mirror/checkpoints/000001-00000000.json": """\
record = pd.read_json("mirror/checkpoints/000001-00000000.json", typ="series")
pd.DataFrame(record["files"]).T""",
    "registration/registration.json": 'pd.read_json("registration/registration.json", typ="series")',
    "notes/train.json": 'pd.read_json("notes/train.json", typ="series")',
    "run/run.json": 'pd.Series(pd.read_json("run/run.json", typ="series")["step_seconds"])',
    "dataset/quality.json": 'pd.DataFrame(pd.read_json("dataset/quality.json", typ="series")["out_of_train_range"])',
    "model/results.json": 'pd.Series(pd.read_json("model/results.json", typ="series")["parameters"]["by_part"])',
    "evaluation/scores.json": """\
scores = pd.read_json("evaluation/scores.json", typ="series")
errors = pd.DataFrame({name: s["metrics"]["price"]["overall"] for name, s in scores["forecasts"].items()})
errors.T.join(pd.DataFrame({n: s["squared_log_error"]["overall"] for n, s in scores["skill"].items()}).T)""",
    "evaluation/explanation.json": """\
said = pd.read_json("evaluation/explanation.json", typ="series")
pd.DataFrame(said["adjacency"], index=said["bodies"], columns=said["bodies"])""",
    "findings/findings.json": """\
found = pd.read_json("findings/findings.json", typ="series")
pd.json_normalize(found["perturbations"]).set_index("name")""",
    "model/history.parquet": """\
history = pd.read_parquet("model/history.parquet").set_index("epoch")
history[["train_loss", "validation_loss"]]""",
    "evaluation/predictions.parquet": """\
frame = pd.read_parquet("evaluation/predictions.parquet")
frame[["close_true", "close_forecast"]] = np.exp(frame[["close_true", "close_forecast"]])  # prices
(frame["close_forecast"] - frame["close_true"]).abs().groupby(frame["step"]).mean()""",
    "evaluation/losses.parquet": """\
frame = pd.read_parquet("evaluation/losses.parquet").set_index("anchor_date")
frame["squared_log_error_last_close"].sub(frame["squared_log_error_model"]).cumsum()""",
    "findings/findings.parquet": """\
frame = pd.read_parquet("findings/findings.parquet").set_index("title")
frame[["degradation_ratio", "walk_degradation_ratio", "fragile"]]""",
}
"""How each file is read; the test of this page runs them in a run's folder."""
_INTRODUCTION = f"""# Artifacts

Generated by `make docs` from the records that write and read these files.

Every result has a `{VERSION_FIELD}`, raised whenever a field changes; this code also reads earlier versions, and
refuses anything else with one sentence that names the field and the step to run again. Numbers are never NaN or
infinite: where there is none, the field is `null`, with a reason beside it. Errors are shares or in the unit of their
scale, not in percent; dates are ISO dates. [schemas](schemas) holds the JSON schemas, and
[evaluation.md](evaluation.md) says what the numbers mean.

The examples begin with `import pandas as pd` and, where it is used, `import numpy as np`, in a folder that holds the
`dataset`, `model`, `evaluation` and `findings` of a run; `python -m pipelines runs show NAME` says where they are.
There, `run` is the run's own folder, `checkpoints` its working folder while training goes on, `mirror` what
`--checkpoint-uri` named, and `published` what `--publish-uri` named. The folder of every step has a `manifest.json`.
"""


def artifacts_page() -> str:
    """Every file by step: what it holds, and how to read it."""
    shown: set[str] = set()
    documents = ["\n".join(_document(document, shown)) + "\n" for document in DOCUMENTS]
    return "\n".join([_INTRODUCTION, *documents, *map(_table, TABLES)])


def schema_text(document: Document) -> str:
    """The JSON schema of a document."""
    return json.dumps(schema_of(document), indent=2, ensure_ascii=False) + "\n"


def schema_of(document: Document) -> Schema:
    """The JSON schema of a document, the version of a result included."""
    kind, title = document.kind, PurePosixPath(document.path).name
    schema: Schema = kind.model_json_schema(
        mode="serialization" if issubclass(kind, Result) else "validation"
    )
    if not issubclass(kind, Result):
        return {"$schema": _DRAFT, **schema, "title": title}
    version: Schema = {"const": kind.version, "description": "Of this file's fields."}
    properties, required = _object(schema["properties"]), schema["required"]
    assert isinstance(required, list)
    return {
        "$schema": _DRAFT,
        **schema,
        "title": title,
        "properties": {VERSION_FIELD: version, **properties},
        "required": [VERSION_FIELD, *required],
    }


def _document(document: Document, shown: set[str]) -> Iterator[str]:
    schema, kind = schema_of(document), document.kind
    yield f"## `{document.path}`"
    yield ""
    _, _, said = _said(schema).partition(": ")
    version = f"Version {kind.version}; " if issubclass(kind, Result) else ""
    link = f"[{'schema' if version else 'Schema'}](schemas/{document.schema_name})"
    yield f"{said[:1].upper()}{said[1:]} {version}{link}."
    yield ""
    yield from _example(document.path)
    yield from _fields(schema)
    definitions = _object(schema.get("$defs", {}))
    for name in _records(schema, definitions):
        if name not in shown:
            shown.add(name)
            record = _object(definitions[name])
            yield from ("", f"### {name}", "", _said(record), "", *_fields(record))


def _table(table: Table) -> str:
    lines = [
        f"## `{FOLDERS[table.step]}/{table.file}`",
        "",
        f"One row is {table.row}.",
        "",
        *_example(f"{FOLDERS[table.step]}/{table.file}"),
        "| column | value | meaning |",
        "|---|---|---|",
    ]
    lines += [f"| `{column.name}` | {column.kind} | {column.meaning} |" for column in table.columns]
    if table.others:
        lines += ["", f"Further columns: {table.others}."]
    return "\n".join(lines) + "\n"


def _example(path: str) -> list[str]:
    return ["```python", PANDAS[path], "```", ""]


def _fields(record: Schema) -> Iterator[str]:
    """A table of a record's own fields."""
    yield "| field | value | meaning |"
    yield "|---|---|---|"
    for name, field in _object(record["properties"]).items():
        if name != VERSION_FIELD:
            yield f"| `{name}` | {_value(_object(field))} | {_said(_object(field))} |"


def _records(node: object, definitions: Schema) -> Iterator[str]:
    """Names of the records within a schema, those within them included, in the order of their fields."""
    if isinstance(node, list):
        for item in node:
            yield from _records(item, definitions)
    if not isinstance(node, dict):
        return
    if "$ref" in node:
        name = str(node["$ref"]).rpartition("/")[2]
        yield name
        yield from _records(definitions[name], definitions)
    for key, value in node.items():
        if key != "$defs":
            yield from _records(value, definitions)


_PLAIN = {
    "integer": "whole number",
    "string": "text",
    "boolean": "true or false",
    "array": "list of two whole numbers",
}


def _value(field: Schema) -> str:
    """What a field holds, in words; a record is named."""
    if isinstance(options := field.get("anyOf"), list):
        return " or ".join(_value(_object(option)) for option in options)
    if "$ref" in field:
        name = str(field["$ref"]).rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "items" in field:
        return f"list: {_value(_object(field['items']))}"
    if isinstance(field.get("additionalProperties"), dict):
        return f"by name: {_value(_object(field['additionalProperties']))}"
    if isinstance(words := field.get("enum"), list):
        return ", ".join(f"`{word}`" for word in words)
    kind = str(field.get("type", "value"))
    return _PLAIN.get(kind, kind)


def _said(node: Schema) -> str:
    """The documentation of a field or record on one line, in Markdown's quotes."""
    text = " ".join(str(node.get("description", "")).split())
    return text.replace("``", "`").replace("|", "\\|")


def _object(value: object) -> Schema:
    assert isinstance(value, dict)
    return value
