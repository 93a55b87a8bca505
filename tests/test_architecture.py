"""The shape of the house: who may import whom, what stays out of a quick start, who may speak to the terminal."""

from __future__ import annotations

import ast
import itertools
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT, clean_environment

PACKAGE = ROOT / "exoclass"
FILES = sorted(PACKAGE.rglob("*.py"))
COMMANDS = (
    "predict", "triage", "decide", "export", "suggest", "train", "retrain", "evaluate", "check", "info",
    "adapt", "warm-up", "distil", "bench", "benchmark",
)  # fmt: skip
SUBCOMMANDS = (
    ("data", "hydrate"), ("data", "silver"), ("data", "split"),
    ("labels", "migrate"),
    ("models", "list"), ("models", "promote"), ("models", "rollback"), ("models", "diff"), ("models", "prune"),
    ("query", "add"), ("query", "list"), ("query", "remove"),
)  # fmt: skip
MAX_LINES = 300
HEAVY = {"torch", "transformers", "datasets", "sklearn", "ray"}

# The ranks of the design; a module imports strictly lower ones only. Where members of one rank build on each other, the
# rank is split: taxonomy is read by config, arrays get their names in backend, corpus and mesh
# read files and pubmed answers through readers, and metrics score the columns that calibration defines.
RANKS: dict[str, float] = {
    "errors": 0,
    "config": 1, "processes": 1, "records": 1, "markup": 1, "page": 1.5, "taxonomy": 1.5,
    "backend": 2, "splits": 2, "versions": 2.3, "readers": 2, "manifest": 2, "library": 2, "encoder": 2.1,
    "calibration": 2.3, "corpus": 2.3, "ngrams": 2.3, "pubmed": 2.3, "mesh": 2.3,
    "windows": 2.3, "attention": 2.3, "termcounts": 2.4, "onnx_model": 2.4, "quantising": 2.4, "checkpoints": 2.3,
    "learning": 2.4,
    "finetuning": 2.6, "warming": 2.9, "metrics": 2.6, "gate": 2.8, "merging": 2.6, "agreement": 2.6, "ranking": 2.6,
    "remaining": 2.6, "wanting": 2.6, "curves": 2.8,
    "tfidf": 3, "transformer": 3, "blend": 3.2, "evidence": 3, "modelcard": 3, "writers": 3, "report": 3, "svg": 3,
    "hydration": 3, "silver": 3, "migration": 3,
    "classifier": 4,
    "unseen": 2.6, "trainconfig": 4.2, "out_of_fold": 4.5,
    "training": 5, "unlabelled": 4.9, "adaptation": 5, "distilling": 5, "triage": 5, "harvest": 5, "batch": 5,
    "keeping": 5.2, "deciding": 5.3, "exporting": 5.3,
    "retraining": 5.3, "suggesting": 5.3, "suspects": 5.3, "relabelling": 5.3, "diagnosis": 5.3, "benchmark": 5.3,
    "public_benchmark": 5.3, "html_report": 5.6, "digest": 5.6, "listing": 5.6,
    "speed": 5, "yardstick": 5.1,
    "cli": 6, "review": 6,
    "__main__": 7,
}  # fmt: skip
SPEAKERS = {"cli", "review"}
SHOWS_MODULES = "import json, sys; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"


def name_of(path: Path) -> str:
    """Return the dotted name of a module: ``exoclass.readers`` for ``exoclass/readers/__init__.py``."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {name_of(path): path for path in FILES}
INNER = {name: path for name, path in NAMES.items() if name != "exoclass"}  # the facade imports nothing when loaded


def unit(name: str) -> str:
    """Return what has a rank: the module, or the package below exoclass that it lies in."""
    return name.split(".")[1]


def imports(name: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and name of each exoclass module that is imported anywhere, also inside functions or by a string."""
    base = name if NAMES.get(name, Path()).name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(base.split(".")[: len(base.split(".")) - node.level + 1]) if node.level else ""
            source = ".".join(part for part in (above, node.module) if part)
            for alias in node.names:
                full = f"{source}.{alias.name}"
                yield node.lineno, full if full in NAMES else source
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in NAMES:
            yield node.lineno, node.value


def own_imports(name: str) -> list[tuple[int, str]]:
    tree = ast.parse(INNER[name].read_text(encoding="utf-8"))
    return [(line, found) for line, found in imports(name, tree) if found in INNER and found != name]


def test_every_import_is_seen() -> None:
    code = """
import exoclass.errors
def late():
    from exoclass import config
    from exoclass.readers import ris, read
    from . import sniff
    from ..records import Record
    return import_module("exoclass.tfidf")
"""
    assert [found for _, found in imports("exoclass.readers.page", ast.parse(code))] == [
        "exoclass.errors",
        "exoclass.config",
        "exoclass.readers.ris",
        "exoclass.readers",
        "exoclass.readers.sniff",
        "exoclass.records",
        "exoclass.tfidf",
    ]


@pytest.mark.parametrize("name", INNER)
def test_a_module_imports_lower_ranks_only(name: str) -> None:
    assert unit(name) in RANKS, f"give {unit(name)} a rank"
    wrong = [
        f"{INNER[name].relative_to(ROOT)}:{line} imports {found}"
        for line, found in own_imports(name)
        if unit(found) != unit(name) and RANKS[unit(found)] >= RANKS[unit(name)]
    ]
    assert not wrong


@pytest.mark.parametrize("package", ["readers", "cli", "pubmed", "html_report", "library"])
def test_siblings_in_a_package_import_each_other_without_a_circle(package: str) -> None:
    below = {
        name: {found for _, found in own_imports(name) if unit(found) == package}
        for name in INNER
        if unit(name) == package
    }
    while free := [name for name, needed in below.items() if not needed & below.keys()]:
        for name in free:
            del below[name]
    assert not below, f"these import each other in a circle: {sorted(below)}"


def test_no_module_is_a_drawer_for_leftovers() -> None:
    assert not [path for path in FILES if path.stem in {"utils", "util", "helpers", "common", "misc"}]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_is_too_long_to_read(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


@pytest.mark.parametrize("name", [name for name in NAMES if name.split(".")[-1:] != ["__main__"]])
def test_whatever_is_public_is_explained(name: str) -> None:
    tree = ast.parse(NAMES[name].read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), f"{name} has no docstring"
    bodies = [tree.body]
    bodies += [node.body for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
    public = [
        node
        for node in itertools.chain(*bodies)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_")
    ]
    overloads = [node for node in public if any(ast.unparse(mark) == "overload" for mark in node.decorator_list)]
    silent = [node.name for node in public if node not in overloads and not ast.get_docstring(node)]
    assert not silent


def speech(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and kind of everything that prints, exits or reads the environment or the command line."""
    modules = {"typer", "click", "getpass", "argparse", "tqdm", "logging"}
    on_sys = {"exit", "argv", "stdout", "stderr"}
    on_os = {"environ", "getenv", "_exit", "abort"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in {"print", "input", "exit", "quit", "SystemExit"}:
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if (node.value.id, node.attr) in {("sys", name) for name in on_sys} | {("os", name) for name in on_os}:
                yield node.lineno, f"{node.value.id}.{node.attr}"
        elif isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name.split(".")[0] in modules)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module.split(".")[0] in modules:
                yield node.lineno, node.module
            forbidden = {"sys": on_sys, "os": on_os}.get(node.module, set())
            yield from ((node.lineno, f"{node.module}.{a.name}") for a in node.names if a.name in forbidden)


@pytest.mark.parametrize(
    "code",
    ["print(1)", "raise SystemExit(1)", "import sys\nsys.exit(1)", "import os\nos.environ['HOME']", "import typer",
     "from os import environ", "from sys import stdout", "import sys\nsys.stderr.write('x')", "os.getenv('HOME')"],
)  # fmt: skip
def test_each_way_to_speak_is_seen(code: str) -> None:
    assert list(speech(ast.parse(code)))


@pytest.mark.parametrize("name", [name for name in NAMES if name == "exoclass" or unit(name) not in SPEAKERS])
def test_only_the_command_line_prints_exits_or_reads_the_environment(name: str) -> None:
    assert not list(speech(ast.parse(NAMES[name].read_text(encoding="utf-8"))))


def loaded(code: str, *, cwd: Path | None = None) -> set[str]:
    """Return the top-level modules that a fresh interpreter holds after `code`, which may end by exiting."""
    program = f"import atexit\n@atexit.register\ndef _():\n    {SHOWS_MODULES}\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", program], env=clean_environment(), cwd=cwd, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def command_line(*args: str) -> str:
    return f"import sys; sys.argv = {['exoclass', *args]!r}\nfrom exoclass.cli import main; main()"


def test_what_is_loaded_is_seen() -> None:
    assert {"json", "fractions"} <= loaded("import fractions")


def test_importing_exoclass_loads_next_to_nothing() -> None:
    assert not loaded("import exoclass") & (HEAVY | {"numpy", "scipy", "lxml", "typer"})


def test_the_names_of_the_package_are_loaded_on_first_use() -> None:
    code = "import exoclass\nfor name in exoclass.__all__: assert getattr(exoclass, name).__name__ == name"
    assert not loaded(code) & HEAVY


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    import exoclass

    with pytest.raises(AttributeError, match="'nothing'"):
        _ = exoclass.nothing


@pytest.mark.parametrize(
    "args",
    [
        ("--help",),
        ("--version",),
        *((command, "--help") for command in COMMANDS),
        *((*command, "--help") for command in SUBCOMMANDS),
    ],
)
def test_help_loads_nothing_heavy(args: tuple[str, ...]) -> None:
    assert not loaded(command_line(*args)) & (HEAVY | {"numpy", "scipy", "lxml"})


def test_labels_loads_nothing_heavy() -> None:
    assert not loaded(command_line("labels", "--json")) & (HEAVY | {"numpy", "scipy", "lxml"})


def test_predict_applies_the_shipped_model_with_numpy_alone(tmp_path: Path) -> None:
    (tmp_path / "x.nbib").write_text("PMID- 1\nTI  - Exosomes heal wounds\n", encoding="utf-8")
    found = loaded(command_line("predict", "x.nbib"), cwd=tmp_path)
    assert "numpy" in found
    assert not found & (HEAVY | {"scipy", "pandas"})


def test_every_shipped_command_is_checked() -> None:
    code = (
        "from exoclass.cli import app; print(sorted(c.name for c in app.registered_commands),"
        "sorted((g.name, c.name) for g in app.registered_groups for c in g.typer_instance.registered_commands))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    names = [name for command in sorted(SUBCOMMANDS) for name in command]
    assert re.findall(r"'([\w-]+)'", done.stdout) == [*sorted(COMMANDS), *names]
