"""``exoclass data silver``: disease labels from MeSH headings, and nothing lost silently."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Run
from test_mesh import CORPORA, NEW, OLD, REAL, save

from exoclass.corpus import Corpus, read_labeled
from exoclass.silver import split_text
from exoclass.taxonomy import Taxonomy

TITLE = "Vesicles of stem cells after stroke in rats"
ABSTRACT = "We gave vesicles to rats one day after the artery was closed. Infarcts were smaller."
STROKE = {"pmid": "11", "text": f"{TITLE}. {ABSTRACT}", "mesh": ["Animals", "Stroke", "Aspirin"]}
EYES = {"pmid": "12", "title": "Eyes in diabetes", "abstract": "We looked.", "mesh": ["*Diabetic Retinopathy/therapy"]}
HEALTHY = {"pmid": "13", "text": "Aspirin in healthy people. They were well.", "mesh": ["Aspirin"]}
NEWBORN = {"pmid": "14", "text": "Not yet indexed, this one. It is new.", "mesh": []}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a tree of old numbers and one of new ones."""
    save(tmp_path / "old.tsv", OLD)
    save(tmp_path / "new.tsv", NEW)
    return tmp_path


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_labelled_records_load_with_the_disease_axis_alone(run: Run, folder: Path, taxonomy: Taxonomy) -> None:
    path = write(folder / "in.jsonl", STROKE, EYES, HEALTHY, NEWBORN)
    (folder / "in.jsonl.gz").write_bytes(gzip.compress(path.read_bytes()))
    done = run("data", "silver", "in.jsonl.gz", "--tree", "old.tsv", "--tree", "new.tsv", "-o", "s.jsonl", cwd=folder)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    *counts, unknown, summary = done.stderr.splitlines()
    assert [line.split() for line in counts] == [
        ["1", "nervous_system"],
        ["1", "endocrine_metabolic"],
        ["1", "eye"],
    ]
    assert unknown == "1 headings are in none of the trees, most often: Animals"
    assert summary == (
        "4 records read, 2 labelled, 1 without a heading of a disease, 1 without headings, 0 rejected; "
        "written to s.jsonl"
    )
    corpus, findings = read_labeled([folder / "s.jsonl"], taxonomy)
    assert not findings
    first, second = corpus
    assert (first.record.title, first.record.abstract) == (TITLE, ABSTRACT)
    assert (first.record.pmid, set(first.labels), set(first.annotated)) == ("11", {"nervous_system"}, {"disease"})
    assert (first.annotators, first.guideline) == (("mesh",), "MeSH headings by old.tsv, new.tsv")
    assert second.labels == {"eye", "endocrine_metabolic"}
    Y, mask = corpus.binarize(taxonomy)
    assert not Y[:, taxonomy.columns("scope")].any()
    assert not mask[:, taxonomy.columns("scope") + taxonomy.columns("mechanism")].any()
    assert mask[:, taxonomy.columns("disease")].all()


def test_more_labels_than_the_axis_takes_are_unsure(run: Run, folder: Path, taxonomy: Taxonomy) -> None:
    names = ["Stroke", "Colitis", "Hepatitis B", "Liver Diseases", "Diabetic Retinopathy", "Burns", "Multiple Trauma"]
    write(folder / "in.jsonl", STROKE | {"mesh": names})
    assert run("data", "silver", "in.jsonl", "--tree", "old.tsv", "-o", "s.jsonl", cwd=folder).returncode == 0
    corpus, findings = read_labeled([folder / "s.jsonl"], taxonomy)
    assert not findings
    [item] = corpus
    assert len(item.labels) == taxonomy.axis("disease").max_labels == 6
    assert "liver" in item.labels  # two headings give it
    assert item.unsure == {"eye", "trauma_radiation_toxic"}  # one each, and last in the taxonomy


def test_rejected_records_are_named_and_counted(run: Run, folder: Path, taxonomy: Taxonomy) -> None:
    path = write(folder / "in.jsonl", STROKE, STROKE | {"mesh": ["Burns"]}, {"pmid": "15", "mesh": ["Burns"]})
    with path.open("a", encoding="utf-8") as file:
        file.write("{broken\n" * 6)
    done = run("data", "silver", "in.jsonl", "--tree", "old.tsv", "-o", "s.jsonl", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "in.jsonl, line 2: duplicate of PMID 11" in done.stderr
    assert "in.jsonl, line 3: " in done.stderr
    assert "… and 3 more rejected" in done.stderr
    assert "9 records read, 1 labelled, 0 without a heading of a disease, 0 without headings, 8 rejected" in done.stderr
    assert len(Corpus.load([folder / "s.jsonl"], taxonomy)) == 1


def test_a_newer_version_of_a_paper_does_not_come_twice(run: Run, folder: Path, taxonomy: Taxonomy) -> None:
    lines = (
        "PMID- 11\nVI  - {}\nTI  - Vesicles after stroke\nAB  - We gave vesicles to rats.\nMH  - *Stroke/therapy\n\n"
    )
    (folder / "in.nbib").write_text(lines.format(1) + lines.format(2), encoding="utf-8")
    done = run("data", "silver", "in.nbib", "--tree", "old.tsv", "-o", "s.jsonl", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "1 rejected" in done.stderr
    assert len(Corpus.load([folder / "s.jsonl"], taxonomy)) == 1


def test_the_result_goes_to_stdout_too(run: Run, folder: Path) -> None:
    write(folder / "in.jsonl", STROKE)
    done = run("data", "silver", "in.jsonl", "--tree", "old.tsv", "-o", "-", cwd=folder)
    assert json.loads(done.stdout)["disease"] == ["nervous_system"]


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("in.jsonl", "--tree", "none.tsv"), 1, "none.tsv: no such file. Check the spelling"),
        (("in.jsonl", "--tree", "in.jsonl"), 1, "in.jsonl:1 has no heading and tree number, so this is no MeSH tree"),
        (("none.jsonl", "--tree", "old.tsv"), 1, "none.jsonl: no such file"),
        (("bare.jsonl", "--tree", "old.tsv"), 1, "none of 1 records has MeSH headings. Give them as a list"),
        (("well.jsonl", "--tree", "old.tsv"), 1, "no heading in 1 records is a disease of the taxonomy. Check"),
        (("gone.xml", "--tree", "old.tsv"), 1, "there is no record in the input. Give"),
        (("in.jsonl", "--tree", "old.tsv", "-o", "in.jsonl"), 2, "in.jsonl is an input itself. Give"),
        (("in.jsonl", "--tree", "old.tsv", "-o", "old.tsv"), 2, "old.tsv is an input itself. Give"),
    ],
)
def test_what_cannot_be_done_is_one_line(run: Run, folder: Path, args: tuple[str, ...], code: int, said: str) -> None:
    write(folder / "in.jsonl", STROKE)
    write(folder / "bare.jsonl", NEWBORN)
    write(folder / "well.jsonl", HEALTHY)
    gone = '<?xml version="1.0"?>\n<PubmedArticleSet><DeleteCitation><PMID>1</PMID></DeleteCitation></PubmedArticleSet>'
    (folder / "gone.xml").write_text(gone, encoding="utf-8")
    before = sorted(folder.iterdir())
    out = () if "-o" in args else ("-o", "s.jsonl")
    done = run("data", "silver", *args, *out, "--force", cwd=folder)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (code, "", 1), done.stderr
    assert said in done.stderr
    assert sorted(folder.iterdir()) == before


def test_existing_output_stays_without_force(run: Run, folder: Path) -> None:
    write(folder / "in.jsonl", STROKE)
    kept = write(folder / "s.jsonl", EYES)
    done = run("data", "silver", "in.jsonl", "--tree", "old.tsv", "-o", "s.jsonl", cwd=folder)
    assert done.returncode == 1
    assert "s.jsonl exists already" in done.stderr
    assert json.loads(kept.read_text(encoding="utf-8")) == EYES
    assert (
        run("data", "silver", "in.jsonl", "--tree", "old.tsv", "-o", "s.jsonl", "--force", cwd=folder).returncode == 0
    )


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Vesicles heal burns. METHODS: We tried.", "Vesicles heal burns"),
        ("Do vesicles heal burns? We tried.", "Do vesicles heal burns?"),
        ("Vesicles vs. Aspirin in E. Coli sepsis. We tried.", "Vesicles vs. Aspirin in E. Coli sepsis"),
        ("Burns. A new look at vesicles. We tried.", "Burns. A new look at vesicles"),
        ('A trial of "heal all." [Vesicles] were given.', 'A trial of "heal all."'),
        ("Vesicles of 1.5 mg. 20 rats were treated.", "Vesicles of 1.5 mg"),
        ("no sentence ends here", ""),
        (f"Too long {'and longer ' * 40}for a title. We tried.", ""),
    ],
)
def test_a_title_ends_with_its_sentence(text: str, title: str) -> None:
    found, rest = split_text(text)
    assert found == title
    assert text.endswith(rest)
    assert set(text) - set(" .") <= set(found + rest)


@pytest.mark.skipif(not all(path.exists() for path in REAL), reason="the real abstracts are not here")
def test_real_abstracts(run: Run, tmp_path: Path, taxonomy: Taxonomy) -> None:
    trees = [part for path in REAL for part in ("--tree", path)]
    done = run("data", "silver", CORPORA / "mesh_abstracts.jsonl.gz", *trees, "-o", tmp_path / "s.jsonl")
    assert done.returncode == 0, done.stderr
    corpus, findings = read_labeled([tmp_path / "s.jsonl"], taxonomy)
    assert not findings
    assert len(corpus) > 10_000
    assert sum(bool(item.record.title) for item in corpus) > 0.95 * len(corpus)
    given = {label_id for item in corpus for label_id in item.labels}
    assert {label.id for label in taxonomy.labels if label.mesh} == given
