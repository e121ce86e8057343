"""The five steps on the command line of this process, with the tiny settings."""

from importlib import import_module
from pathlib import Path

TINY = str(Path(__file__).parents[1] / "pipeline" / "tiny.yaml")
INPUTS: dict[str, tuple[str, ...]] = {
    "prepare_data": (),
    "train": ("dataset",),
    "evaluate": ("dataset", "model"),
    "diagnose": ("dataset", "model"),
    "report": ("dataset", "model", "evaluation", "findings"),
}
OUTPUTS: dict[str, dict[str, str]] = {
    "prepare_data": {"dataset": "dataset"},
    "train": {"model": "model"},
    "evaluate": {"evaluation": "evaluation"},
    "diagnose": {"findings": "findings"},
    "report": {"report": "report.html", "summary": "summary.md"},
}
"""Of each step: its flags, and what they name in a folder or below a URI."""


def words(step: str, made: object, out: object) -> list[str]:
    """The command line of a step that reads from ``made`` and writes to ``out``, folders or URIs."""
    places = {name: f"{made}/{name}" for name in INPUTS[step]}
    places |= {flag: f"{out}/{name}" for flag, name in OUTPUTS[step].items()}
    more = {"prepare_data": ["--source", "sample://synthetic"], "report": ["--run-name", "x"]}.get(step, [])
    return [
        "--config",
        TINY,
        *(word for flag, place in places.items() for word in (f"--{flag}", place)),
        *more,
    ]


def output_of(step: str) -> str:
    """The name of what a step makes, a report's summary left out."""
    return next(iter(OUTPUTS[step].values()))


def do(step: str, line: list[str]) -> None:
    """Run a step in this process, which saves it its imports."""
    import_module(f"components.{step}.__main__").main(line)
