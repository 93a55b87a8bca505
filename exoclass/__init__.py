"""exoclass: tag abstracts on exosome (extracellular-vesicle) therapy with scope, disease area and mechanism.

The names below are loaded when first used, so that ``import exoclass`` stays quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exoclass.classifier import Classifier
    from exoclass.corpus import Corpus, LabeledRecord
    from exoclass.readers import read
    from exoclass.records import Prediction, Record
    from exoclass.taxonomy import Taxonomy

__version__ = "0.1.0"

_HOME = {
    "Classifier": "exoclass.classifier",
    "Corpus": "exoclass.corpus",
    "LabeledRecord": "exoclass.corpus",
    "Prediction": "exoclass.records",
    "Record": "exoclass.records",
    "Taxonomy": "exoclass.taxonomy",
    "read": "exoclass.readers",
}

__all__ = ["Classifier", "Corpus", "LabeledRecord", "Prediction", "Record", "Taxonomy", "read"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module attribute can be anything
    """Import a public name from its module on first use (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'exoclass' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
