"""``exoclass decide``: keep what the curator decides."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from exoclass.cli.options import AsJson, LibraryFile, Model, library_path, note, now, print_json
from exoclass.errors import UsageError

if TYPE_CHECKING:
    from exoclass.library import Decision
    from exoclass.remaining import Remaining


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("decide")(decide_cli)


def decide_cli(
    pmids: Annotated[list[str] | None, typer.Argument(help="PMIDs of the papers.", metavar="[PMID]...")] = None,
    accept: Annotated[
        bool, typer.Option("--accept", help="Keep the papers with the tags that the model gives.")
    ] = False,
    reject: Annotated[bool, typer.Option("--reject", help="Put the papers aside.")] = False,
    tag: Annotated[
        list[str] | None,
        typer.Option(help="Keep the papers with this label instead, as axis:label; may be repeated.", metavar="TAG"),
    ] = None,
    text: Annotated[str, typer.Option("--note", help="Why, for later.")] = "",
    file: Annotated[
        Path | None,
        typer.Option("--file", help="A table of decisions: pmid, verdict, note, scope, disease, mechanism."),
    ] = None,
    library: LibraryFile = None,
    model: Model = "tfidf",
    as_json: AsJson = False,
) -> None:
    """Accept or reject papers of the library, or correct their tags. All that is given is written, or nothing.

    \b
    exoclass decide 34166712 34086603 --accept
    exoclass decide 30943982 --reject --note "biomarker only"
    exoclass decide 34166712 --tag scope:therapy --tag disease:cardiovascular
    exoclass decide --file decisions.csv
    """
    chosen = [name for name, given in (("accept", accept), ("reject", reject), ("correct", bool(tag))) if given]
    if file is None and (len(chosen) != 1 or not pmids):
        raise UsageError(
            "it takes PMIDs and one of --accept, --reject and --tag", "For example: exoclass decide 34166712 --accept"
        )
    if file is not None and (chosen or pmids or text):
        raise UsageError(
            "a file of decisions says all by itself", "Leave out PMIDs, --accept, --reject, --tag, --note."
        )
    made, left = decide(
        pmids=pmids or [], verdict=chosen[0] if chosen else "", tags=tag or [], text=text, file=file,
        library=library_path(library), model=model,
    )  # fmt: skip
    counts = Counter(decision.verdict for decision in made)
    note("; ".join(f"{counts[name]:,} {name}ed" for name in ("accept", "reject", "correct") if counts[name]))
    note(left.line())
    if as_json:
        print_json(
            [{"verdict": d.verdict, "tags": {a: list(t) for a, t in d.tags.items()}, "note": d.note} for d in made]
        )


def decide(
    *, pmids: list[str], verdict: str, tags: list[str], text: str, file: Path | None, library: Path, model: str
) -> tuple[tuple[Decision, ...], Remaining]:
    """Write decisions and return them, and what may be left to find."""
    from exoclass import deciding
    from exoclass.classifier import Classifier
    from exoclass.library import Library, Verdict
    from exoclass.readers.normalise import find_pmid

    clf = Classifier.from_pretrained(model)
    if file is not None:
        wishes = deciding.read_wishes(file, clf.taxonomy)
    else:
        found = [(given, find_pmid(given)) for given in pmids]
        if wrong := [given for given, pmid in found if pmid is None]:
            raise UsageError(f"{wrong[0]!r} is no PMID", "Give numbers such as 34166712.")
        [kind] = [name for name in get_args(Verdict) if name == verdict]
        wishes = [deciding.Wish(pmid, kind, tuple(tags), text) for _, pmid in found if pmid]
    with Library.open(library, create=False) as opened:
        made = deciding.decide(opened, wishes, clf.taxonomy, model=clf.id, when=now())
        return made, deciding.remaining(opened, clf.id, clf.taxonomy)
