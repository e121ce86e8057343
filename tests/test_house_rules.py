"""What a linter cannot say about how this code reads."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("model_core", "components", "pipelines")
LINES_AT_MOST = 300
LONGER: dict[str, str] = {}
"""File → why it may be longer than LINES_AT_MOST lines."""


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def parsed(folders: tuple[str, ...] = PACKAGES) -> Iterator[tuple[str, ast.Module]]:
    for path in sources(*folders):
        yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def test_init_files_are_empty() -> None:
    """Nothing happens on import, and the import line is the map; one has to come before torch's."""
    allowed = ["components/__init__.py"]
    full = [p.relative_to(ROOT).as_posix() for p in sources(*PACKAGES, "tests") if p.name == "__init__.py"]
    assert [name for name in full if (ROOT / name).read_text(encoding="utf-8").strip()] == allowed


def test_every_file_can_be_read_in_one_sitting() -> None:
    """Longer files stand in LONGER with their reason, and a reason without need is removed."""
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in sources(*PACKAGES, "benchmarks")
    }
    assert {name for name, length in lengths.items() if length > LINES_AT_MOST} == set(LONGER)


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        name
        for name, tree in parsed()
        if not name.endswith("__init__.py") and ast.get_docstring(tree) is None
    ]
    assert silent == []


def test_every_public_function_and_class_says_what_it_does() -> None:
    silent = []
    for name, tree in parsed():
        for node in tree.body:
            if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
                continue
            if node.name != "main" and ast.get_docstring(node) is None:
                silent.append(f"{name}: {node.name}")
    assert silent == []


def test_settings_are_read_by_name_without_a_second_default() -> None:
    """A default stands in the settings model; ``getattr(settings, "x", 3)`` would hide a misspelt name."""
    guilty = []
    for name, tree in parsed():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "getattr" and len(node.args) == 3:
                guilty.append(f"{name}:{node.lineno}")
    assert guilty == []


def test_no_forward_asks_a_flag() -> None:
    """Variants are modules in a slot, chosen in ``build.py``."""
    guilty = []
    for name, tree in parsed(("model_core",)):
        for function in functions(tree):
            if function.name != "forward":
                continue
            flags = [
                a.arg for a in function.args.args if a.annotation and ast.unparse(a.annotation) == "bool"
            ]
            asks = [
                ast.unparse(node.test)
                for node in ast.walk(function)
                if isinstance(node, ast.If) and re.search(r"self\.(use_|kind)", ast.unparse(node.test))
            ]
            guilty += [f"{name}:{function.lineno} {what}" for what in flags + asks]
    assert guilty == []


def test_only_build_reads_a_kind_of_the_model_settings() -> None:
    """A switch or a ``kind`` of the model is read in ``build.py`` alone."""
    guilty = []
    for path in sources("model_core/nn"):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if re.search(r"settings\.(kind|use_)", line):
                guilty.append(f"{path.relative_to(ROOT).as_posix()}:{number}")
    assert guilty == []


def test_every_letter_of_a_shape_stands_in_the_legend() -> None:
    """Axes of one letter are those of ``model_core.axes``, listed once each; others are words or numbers."""
    legend = re.findall(r"^    (\w)  ", (ROOT / "model_core/axes.py").read_text(encoding="utf-8"), re.M)
    assert len(legend) == len(set(legend))
    strange = set()
    for name, tree in parsed():
        for node in ast.walk(tree):
            if isinstance(node, ast.Subscript) and ast.unparse(node.value) in {"Float", "Int", "Bool"}:
                axes = ast.unparse(node.slice).strip("()").partition(", ")[2].strip("'")
                letters = re.findall(r"(?<!\w)[A-Za-z](?!\w)", axes)
                strange |= {f"{name}:{node.lineno} {axis}" for axis in letters if axis not in legend}
    assert sorted(strange) == []


def test_no_broad_except_swallows_an_error() -> None:
    """An ``except Exception`` or a bare ``except`` raises again, and no handler is ``pass`` alone."""
    guilty = []
    for name, tree in parsed():
        for handler in (node for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler)):
            kind = ast.unparse(handler.type) if handler.type else "everything"
            broad = kind in {"everything", "Exception", "BaseException"}
            raises = any(isinstance(node, ast.Raise) for node in ast.walk(handler))
            if (broad and not raises) or all(isinstance(node, ast.Pass) for node in handler.body):
                guilty.append(f"{name}:{handler.lineno} {kind}")
    assert guilty == []


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_happens_on_import(package: str) -> None:
    """At module level stand definitions and constants; calls that print, log in, or touch files do not."""
    doers = {"print", "basicConfig", "mkdir", "write_text", "manual_seed", "set_num_threads", "open", "seed"}
    doers |= {"setdefault", "bound_spinning"}
    # OpenMP reads its environment when torch is imported, so an earlier import has to set it.
    allowed = {("components/__init__.py", "bound_spinning")}
    guilty = []
    for name, tree in parsed((package,)):
        for node in tree.body:
            if isinstance(node, ast.Expr | ast.Assign | ast.AnnAssign):
                for call in (inner for inner in ast.walk(node) if isinstance(inner, ast.Call)):
                    called = ast.unparse(call.func).rpartition(".")[2]
                    if called in doers and (name, called) not in allowed:
                        guilty.append(f"{name}:{call.lineno} {called}")
    assert guilty == []


def test_names_carry_no_version_or_praise() -> None:
    """One thing, one word: no ``_v2``, ``_fixed``, ``_new``, and none of the words of a brochure in prose."""
    bad = re.compile(
        r"\b\w+_(v\d|fixed|new|old|final)\b|\b(blazing|seamless|cutting-edge|world-class)\b", re.I
    )
    guilty = []
    for path in [*sources(*PACKAGES), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")]:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if match := bad.search(line):
                guilty.append(f"{path.relative_to(ROOT).as_posix()}:{number} {match[0]}")
    assert guilty == []


def test_a_place_is_where_the_sky_is_observed_from() -> None:
    """Files, stores, rows and bodies have words of their own: path, folder, URI, index, position."""
    guilty = []
    for name, tree in parsed():
        if name in {"model_core/config/data.py", "model_core/results/quality.py"}:
            continue
        for node in ast.walk(tree):
            match node:
                case ast.Name(id=word, ctx=ast.Store()) | ast.arg(arg=word) | ast.FunctionDef(name=word):
                    if re.search(r"(?<![a-z])places?(?![a-z])", word.lower()):
                        guilty.append(f"{name}:{node.lineno} {word}")
    assert guilty == []


def test_a_change_of_the_known_days_is_a_perturbation() -> None:
    """One word; an attack is the one that a gradient chose. What was published under other words is still read."""
    published = {
        "components/diagnose/step.py": "fragile_scenarios",
        "model_core/results/findings.py": "scenarios",
        "model_core/results/headline.py": "disturbances",
    }
    pages = [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", *(ROOT / "model_core/report").glob("*.j2")]
    guilty = []
    for path in [*sources(*PACKAGES, "benchmarks", "docs"), *pages, *(ROOT / "configs").rglob("*.yaml")]:
        name = path.relative_to(ROOT).as_posix()
        words = set(re.findall(r"\w*(?:scenario|disturb)\w*", path.read_text(encoding="utf-8").lower()))
        guilty += [f"{name} {word}" for word in words if word != published.get(name)]
    assert guilty == []


def test_no_two_public_classes_share_a_name() -> None:
    names = [
        node.name
        for _, tree in parsed()
        for node in tree.body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]
    assert [name for name in sorted(set(names)) if names.count(name) > 1] == []


def test_words_are_spelled_as_in_america() -> None:
    """As torch spells them; ``geocentre`` is the published value of a setting."""
    british = re.compile(
        r"(?<![a-z])(colour|neighbour|behaviour|favour|honour|centred?\b|licence|grey|modell|labell(?!edby)|cancelled"
        r"|[a-z]{2,}is(ed|ing|ation)\b)"
    )
    known = {
        "raised",
        "raising",
        "praised",
        "promised",
        "surprised",
        "rising",
        "arising",
        "advertised",
        "noising",
    }
    guilty = []
    for path in [*sources(*PACKAGES), *(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md")]:
        for number, line in enumerate(path.read_text(encoding="utf-8").lower().splitlines(), 1):
            for match in british.finditer(line):
                if match[0] not in known:
                    guilty.append(f"{path.relative_to(ROOT).as_posix()}:{number} {match[0]}")
    assert guilty == []
