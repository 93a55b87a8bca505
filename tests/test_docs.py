"""The README: its transcripts are run and compared, its Python is run, its links lead somewhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean
from xml.sax.saxutils import escape

import eutils_server
import pytest
from conftest import ROOT, clean_environment
from typer.main import get_command

from exoclass.cli import app
from exoclass.readers import read
from exoclass.records import Record
from exoclass.taxonomy import AXES, Taxonomy

README = (ROOT / "README.md").read_text(encoding="utf-8")
NOT_RUN = ("make", "pip", "git")  # they install, or need the network
ANYTHING = "…"
MODELS = sorted(path.parent.name for path in (ROOT / "models").glob("*/exoclass.json"))


@dataclass
class Step:
    """One command of a transcript and what the README shows below it."""

    command: str
    shown: list[str] = field(default_factory=list)

    @property
    def runs(self) -> bool:
        return self.command.split()[0] not in NOT_RUN


def blocks(text: str, language: str) -> list[str]:
    """Return the content of the fenced blocks of one language."""
    return re.findall(rf"^```{language}[ \t]*\n(.*?)^```[ \t]*$", text, flags=re.MULTILINE | re.DOTALL)


def steps(block: str) -> list[Step]:
    """Cut a transcript at its prompts; a line that ends with a backslash goes on."""
    found: list[Step] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append(Step(line[2:]))
        elif found and found[-1].command.endswith("\\") and not found[-1].shown:
            found[-1].command += "\n" + line
        elif found:
            found[-1].shown.append(line)
        else:
            raise ValueError(f"a transcript begins with a command, not with {line!r}")
    return found


def pattern(shown: list[str]) -> re.Pattern[str]:
    """Return what matches the lines of a transcript: … is any text, on a line of its own any lines."""
    parts = [
        r"(?:.*\n)*?"
        if line.strip() == ANYTHING
        else ".*".join(map(re.escape, line.rstrip().split(ANYTHING))) + r"\s*?\n"
        for line in shown
    ]
    return re.compile("".join(parts))


def matches(shown: list[str], output: str) -> bool:
    return pattern(shown).fullmatch(output if not output or output.endswith("\n") else output + "\n") is not None


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a folder that looks like the top of a checkout, in which commands may write."""
    folder = tmp_path / "exoclass"
    folder.mkdir()
    for name in ("configs", "data", "models", "README.md"):
        (folder / name).symlink_to(ROOT / name)
    return folder


@pytest.fixture(scope="module")
def pubmed() -> Iterator[str]:
    """Run a server in place of PubMed that has the records of the shipped example, and return its address."""
    with eutils_server.serve() as server:
        for item in read(ROOT / "data" / "examples" / "week.nbib"):
            assert isinstance(item, Record)
            assert item.pmid is not None
            title, abstract = escape(item.title), escape(item.abstract)
            server.add(
                item.pmid, datetime.now(UTC).date(), eutils_server.article(item.pmid, title=title, abstract=abstract)
            )
        yield server.url


def execute(command: str, folder: Path, pubmed: str = "") -> subprocess.CompletedProcess[str]:
    """Run a shell command in which /tmp/ stands for a folder of its own; stderr goes where stdout goes."""
    scratch = folder.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command.replace("/tmp/", f"{scratch}/")],
        cwd=folder,
        env=clean_environment()
        | {"PATH": path, "EXOCLASS_LIBRARY": str(scratch / "library.db"), "NO_PROXY": "127.0.0.1"}
        | ({"EXOCLASS_EUTILS_URL": pubmed} if pubmed else {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    done.stdout = done.stdout.replace(f"{scratch}/", "/tmp/")
    return done


# ------------------------------------------------------------------------------------------------- the harness itself

SAMPLE = """\
Some prose.

```console
$ echo one; echo two >&2
one
two
$ make demo
never compared
$ printf 'a %s\\n' \\
  b c d
a b
…
a d
```

```python
print(1)
```
"""


def test_a_transcript_is_cut_at_its_prompts() -> None:
    [block] = blocks(SAMPLE, "console")
    assert [(step.command.split()[0], step.shown, step.runs) for step in steps(block)] == [
        ("echo", ["one", "two"], True),
        ("make", ["never compared"], False),
        ("printf", ["a b", "…", "a d"], True),
    ]


def test_the_sample_transcript_holds(checkout: Path) -> None:
    [block] = blocks(SAMPLE, "console")
    for step in steps(block):
        if step.runs:
            assert matches(step.shown, execute(step.command, checkout).stdout)


@pytest.mark.parametrize(
    ("shown", "output", "same"),
    [
        (["a"], "a\n", True),
        (["a"], "a", True),
        ([], "", True),
        ([], "a\n", False),
        (["a"], "", False),
        (["a"], "a\nb\n", False),
        (["a", "b"], "a\n", False),
        (["a.c"], "abc\n", False),
        (["a …"], "a b c\n", True),
        (["a …", "d"], "a b\nc\nd\n", False),
        (["a 0.…  x"], "a 0.93  x\n", True),
        (["…", "d"], "a\nb\nd\n", True),
        (["…", "d"], "a\nb\n", False),
        (["…"], "", True),
        (["a", "…"], "a\nb\nc\n", True),
    ],
)
def test_what_a_transcript_matches(shown: list[str], output: str, same: bool) -> None:
    assert matches(shown, output) == same


def test_the_scratch_folder_is_called_tmp(checkout: Path) -> None:
    assert execute("touch /tmp/exoclass-x && ls /tmp/exoclass-x", checkout).stdout == "/tmp/exoclass-x\n"
    assert not Path("/tmp/exoclass-x").exists()


# --------------------------------------------------------------------------------------------------------- the README


def commands() -> list[str]:
    """Return every command by its full name, those of groups too."""
    found = []
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]  # a group has commands
        inner = getattr(command, "commands", {})
        found += [f"{name} {sub}" for sub in inner] or [name]
    return found


def options() -> set[str]:
    group = get_command(app)
    found = [group, *group.commands.values()]  # type: ignore[attr-defined]  # a group has commands
    found += [inner for command in found[1:] for inner in getattr(command, "commands", {}).values()]
    names = {name for command in found for param in command.params for name in (*param.opts, *param.secondary_opts)}
    return names | {"-h", "--help"}


TRANSCRIPTS = [steps(block) for block in blocks(README, "console")]
RUNNABLE = [[step for step in found if step.runs] for found in TRANSCRIPTS if any(step.runs for step in found)]


@pytest.mark.parametrize("name", commands())
def test_every_command_is_in_the_readme(name: str) -> None:
    assert re.search(rf"\bexoclass (-\w+ )*{name}\b", README)


def test_every_option_in_the_readme_exists() -> None:
    used = {
        option
        for line in README.splitlines()
        for call in re.findall(rf"exoclass (?:{'|'.join(commands())})\b[^|`>]*", line)
        for option in re.findall(r"(?<=\s)--?[a-z][a-z-]*", call)
    }
    assert used
    assert used <= options()


def test_the_readme_has_transcripts() -> None:
    assert len(RUNNABLE) >= 2


@pytest.mark.parametrize("transcript", RUNNABLE, ids=lambda found: found[0].command.split("\n")[0][:60])
def test_a_transcript_shows_what_happens(checkout: Path, transcript: list[Step], pubmed: str) -> None:
    for step in transcript:
        done = execute(step.command, checkout, pubmed)
        assert done.returncode == 0, f"$ {step.command}\n{done.stdout}"
        shown = "\n".join(step.shown)
        assert matches(step.shown, done.stdout), f"$ {step.command}\nshown:\n{shown}\nreal:\n{done.stdout}"


def test_the_readme_shows_python() -> None:
    assert blocks(README, "python")


@pytest.mark.parametrize("code", blocks(README, "python"), ids=lambda code: code.splitlines()[0][:60])
def test_the_python_of_the_readme_runs(checkout: Path, code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=checkout,
        env=clean_environment(),
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\((?!https?:|#)([^)#]+)", README))))
def test_a_link_leads_somewhere(target: str) -> None:
    assert (ROOT / target).exists()


def table(text: str) -> list[tuple[str, list[str]]]:
    """Return first cell and other cells of each table row about an axis or a label."""
    known = {*AXES, *Taxonomy.load().ids}
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in text.splitlines() if "|" in line]
    return [(row[0].strip("`"), row[1:]) for row in rows if row[0].strip("`") in known]


def test_the_scores_in_the_readme_are_those_of_the_model_cards() -> None:
    shown = table(README.partition("<!-- results -->")[2].partition("<!-- /results -->")[0])
    assert {(axis, cells[0].strip("`")) for axis, cells in shown} == {
        (axis, model) for axis in AXES for model in MODELS
    }
    for axis, (model, *cells) in shown:
        card = table((ROOT / "models" / model.strip("`") / "README.md").read_text(encoding="utf-8"))
        assert any(axis == other and set(cells) <= set(found) for other, found in card), (axis, model, cells)


def rows_after(mark: str) -> dict[str, list[str]]:
    """Return the rows of the table that a mark announces in the README, by their first cell."""
    text = README.partition(f"<!-- {mark} -->")[2].partition(f"<!-- /{mark} -->")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    return {row[0].strip("`"): row[1:] for row in rows[2:]}


def test_the_public_benchmark_in_the_readme_is_that_of_the_report() -> None:
    report = json.loads((ROOT / "data" / "reports" / "hoc.json").read_text(encoding="utf-8"))
    wanted = {
        system: [f"{mean:.3f} ± {deviation:.3f}" for mean, deviation in (splits["dev"], splits["test"])]
        for system, splits in report["mean"].items()
    }
    assert rows_after("hoc") == wanted


def test_the_speeds_in_the_readme_are_those_of_the_report() -> None:
    report = json.loads((ROOT / "data" / "reports" / "bench.json").read_text(encoding="utf-8"))
    wanted = {
        model["model"]: [
            f"{model['without_evidence']['per_second']:,.0f}",
            f"{model['with_evidence']['per_second']:,.0f}",
            f"{model['first_result_seconds']:.1f} s",
            f"{model['peak_memory_bytes'] / 1e6:,.0f} MB",
            f"{model['size_bytes'] / 1e6:.1f} MB",
        ]
        for model in report["models"]
    }
    for batch in report["pipeline"]["batches"]:
        name = f"Hugging Face pipeline, batches of {batch['batch_size']}"
        wanted[name] = [f"{batch['speed']['per_second']:,.0f}", "", "", "", ""]
    assert rows_after("bench") == wanted


def test_the_trials_in_the_readme_are_those_of_the_report() -> None:
    report = json.loads((ROOT / "data" / "reports" / "retraining.json").read_text(encoding="utf-8"))
    needed = report["labelling"]["needed"]
    right, wrong = ([run["promoted"] for run in report["poisoning"] if run["labels"] == k] for k in ("right", "wrong"))
    runs = report["forgetting"]
    moved = [[axis[0] for axis in run["axes"].values()] for run in runs]
    far = [sum(abs(other["f1"]) > 0.01 for other in run["others"]) for run in runs]
    wanted = {
        "labels needed, `suggest` choosing": f"{mean(needed['mixed']):.0f} of {report['labelling']['pool']}",
        "by uncertainty alone": f"{mean(needed['uncertainty']):.0f}",
        "at random": f"{mean(needed['random']):.0f}",
        "50 new papers, labelled right": f"promoted {sum(right)} times of {len(right)}",
        "the same, every fifth with the labels of another": f"refused {wrong.count(False)} times of {len(wrong)}",
        "100 papers of one disease label: micro-F1 of scope, disease, mechanism": "; ".join(
            ", ".join(f"{100 * gain:+.1f}" for gain in gains) for gains in moved
        ),
        "other labels whose F1 moves by more than a point": "; ".join(
            f"{count} of {len(run['others'])}" for count, run in zip(far, runs, strict=True)
        ),
        "labels planted wrong in one of 20 papers, among the first 10, 20, 52 suspects": ", ".join(
            f"{mean(found):.0%}" for found in report["planted"]["precision"].values()
        ),
    }
    assert {name: cells[0] for name, cells in rows_after("trials").items()} == wanted
