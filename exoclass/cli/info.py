"""``exoclass info``: what is installed, and what a model is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from platform import python_version
from typing import Annotated, Any

import typer

from exoclass import __version__
from exoclass.cli.options import AsJson, print_json, say

_PACKAGES = ("numpy", "scipy", "scikit-learn", "lxml", "torch", "transformers", "datasets")


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("info")(info_cli)


def info_cli(
    model: Annotated[str, typer.Argument(help="A model folder, or the name of a shipped model.")] = "tfidf",
    as_json: AsJson = False,
) -> None:
    """Show versions and a model: its labels, training data, scores, and whether its files are unchanged.

    \b
    exoclass info
    exoclass info my-model --json
    """
    found = info(model=model)
    if as_json:
        print_json(found)
        return
    about = found["model"]
    say(f"exoclass {found['exoclass']}, Python {found['python']}")
    say(", ".join(f"{package} {number or 'not installed'}" for package, number in found["packages"].items()))
    say(f"model {about['id']} in {about['folder']} (files as saved)")
    say(f"  backend {about['backend']}, {about['labels']} labels, taxonomy {about['taxonomy']}")
    say(f"  trained on {about['corpus']['records']} records: {about['command'] or 'command not recorded'}")
    for report in about["evaluation"]:
        say(f"  {report['name']}, {report['n_records']} records")
        for axis in report["axes"]:
            scores = f"micro-F1 {axis['micro_f1']['value']:.3f}, macro-F1 {axis['macro_f1']['value']:.3f}"
            say(f"    {axis['id']:<10} {scores}, calibration error {axis['calibration_error']:.3f}")


def info(*, model: str) -> dict[str, Any]:
    """Return versions and what a model says of itself; the model's files are checked."""
    from exoclass.classifier import Classifier, find_model

    clf = Classifier.from_pretrained(model)
    corpus = {key: value for key, value in clf.metadata.corpus.items() if key != "positives"}
    return {
        "exoclass": __version__,
        "python": python_version(),
        "packages": {package: _version(package) for package in _PACKAGES},
        "model": {
            "id": clf.id,
            "folder": str(find_model(model)),
            "backend": clf.metadata.backend,
            "labels": len(clf.taxonomy.labels),
            "taxonomy": clf.taxonomy.fingerprint[:12],
            "corpus": corpus,
            "command": clf.metadata.command,
            "evaluation": clf.metadata.evaluation.get("reports", []),
        },
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
