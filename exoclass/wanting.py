"""What a curator asks for by ``axis:label``: tags read from the command line, and predictions held against them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from exoclass.errors import TaxonomyError, UsageError
from exoclass.records import Prediction
from exoclass.taxonomy import Taxonomy


@dataclass(frozen=True, slots=True)
class Want:
    """A label that a record must have, for sure or perhaps, to be shown."""

    axis: str
    label: str

    @classmethod
    def parse(cls, text: str, taxonomy: Taxonomy) -> Want:
        """Read ``axis:label``; raises `UsageError` with the nearest labels if there is none such.

        >>> Want.parse("mechanism:angiogenesis", Taxonomy.load()).label
        'angiogenesis'
        """
        return cls(*parse_tag(text, taxonomy, f"--want {text}"))

    def met_by(self, prediction: Prediction) -> bool:
        """Return whether the model gives the label, be it "yes" or "review"."""
        tags = (prediction.scope,) if self.axis == "scope" else prediction.tags.get(self.axis) or ()
        return any(tag.id == self.label and tag.decision != "no" for tag in tags)


def parse_tag(text: str, taxonomy: Taxonomy, where: str) -> tuple[str, str]:
    """Read ``axis:label`` and return both; raises `UsageError` that begins with `where` if there is none such."""
    axis, _, label = text.partition(":")
    try:
        found = taxonomy.label(label)
    except TaxonomyError as error:
        raise UsageError(f"{where}: {error.cause}", error.remedy) from error
    if found.axis != axis:
        raise UsageError(f"{where}: {label} is a label of {found.axis}", f"Write {found.axis}:{label}.")
    return axis, label


def meets(prediction: Prediction, wants: Sequence[Want]) -> bool:
    """Return whether a prediction has one of the labels asked for on each axis that is asked for."""
    axes = {want.axis for want in wants}
    return all(any(want.met_by(prediction) for want in wants if want.axis == axis) for axis in axes)
