"""A backend joined to its taxonomy, calibration and history: records in, predictions out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np

from exoclass.backend import Backend, Floats
from exoclass.calibration import NO, REVIEW, YES, AxisColumns, CalibrationConfig, Calibrator
from exoclass.config import parse_config, shipped
from exoclass.errors import ConfigError, IncompatibleModelError, ModelError, TaxonomyError, UsageError
from exoclass.evidence import explain, sentences
from exoclass.manifest import new_folder, verify
from exoclass.modelcard import model_card
from exoclass.records import Decision, Evidence, Prediction, Record, Tag
from exoclass.taxonomy import Taxonomy, parse_taxonomy
from exoclass.unseen import Unseen
from exoclass.versions import resolve

SCHEMA = 1
DEFAULT_MODEL = "tfidf"
METADATA = "exoclass.json"

UNSURE_FLAGS = frozenset({"no_abstract", "non_english"})
"""Records so flagged are "review" at most: a title alone, or another language than that of the training data."""

_BACKENDS = {
    "tfidf": ("exoclass.tfidf", "TfidfBackend"),
    "transformer": ("exoclass.transformer", "TransformerBackend"),
    "blend": ("exoclass.blend", "BlendBackend"),
}
_DECISIONS: dict[int, Decision] = {NO: "no", REVIEW: "review", YES: "yes"}


@dataclass(frozen=True)
class Metadata:
    """What a model says of itself; saved in ``exoclass.json`` and told in its card.

    Parameters
    ----------
    lineage
        Of a model that `retrain` made: its parent, and the new labels it has learnt from.
    """

    backend: str
    config: dict[str, Any]
    corpus: dict[str, Any]
    packages: dict[str, str]
    evaluation: dict[str, Any] = field(default_factory=dict)
    command: str = ""
    trained_on: tuple[str, ...] = ()
    lineage: dict[str, Any] = field(default_factory=dict)


def axis_columns(taxonomy: Taxonomy) -> tuple[AxisColumns, ...]:
    """Return the columns of each axis, as the calibration and the metrics take them."""
    return tuple(
        AxisColumns(
            axis.id,
            tuple(taxonomy.columns(axis.id)),
            axis.single,
            tuple(column for column in taxonomy.columns(axis.id) if taxonomy.labels[column].exclusive),
        )
        for axis in taxonomy.axes
    )


class Classifier:
    """Tags records with a fitted backend.

    Parameters
    ----------
    backend
        A fitted backend whose columns are the labels of `taxonomy`.
    taxonomy, calibrator, metadata
        Stored as given.
    name, digest
        Name of the model and the sha256 of its manifest; the digest is empty until the model is saved.
    unseen
        What models that had not seen them said of the papers it was trained on, if that was kept.

    Examples
    --------
    >>> from exoclass import Classifier, Record
    >>> clf = Classifier.from_pretrained()
    >>> [prediction] = clf.predict([Record(title="Exosomes from stem cells heal wounds in mice", abstract="")])
    >>> prediction.flags
    ('no_abstract',)
    """

    def __init__(
        self,
        backend: Backend,
        taxonomy: Taxonomy,
        calibrator: Calibrator,
        metadata: Metadata,
        *,
        name: str = "unsaved",
        digest: str = "",
        unseen: Unseen | None = None,
    ) -> None:
        self.backend = backend
        self.taxonomy = taxonomy
        self.calibrator = calibrator
        self.metadata = metadata
        self.name = name
        self.digest = digest
        self.unseen = unseen

    @property
    def id(self) -> str:
        """Name and content of the model in short, as written beside each prediction."""
        return f"{self.name}:{self.digest[:12]}" if self.digest else self.name

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """Return calibrated probabilities, shape (n, n_labels)."""
        return self.calibrator.probabilities(self.backend.scores(texts))

    def predict(
        self,
        records: Iterable[Record],
        *,
        batch_size: int = 64,
        threshold: float | None = None,
        explain: bool = True,
    ) -> Iterator[Prediction]:
        """Yield one prediction per record, in order, reading one batch ahead at most.

        Parameters
        ----------
        threshold
            One cut in (0, 1) for disease and mechanism instead of the learned ones; nothing is "review" then.
        explain
            Give the evidence for each tag that is "yes" or "review".
        """
        if batch_size < 1:
            raise UsageError(f"a batch of {batch_size} records is none", "Use a batch size of 1 or more.")
        stream = iter(records)
        while batch := list(islice(stream, batch_size)):
            probs = self.probabilities([record.text for record in batch])
            decisions = self.calibrator.decide(probs, threshold=threshold)
            for record, row, decided in zip(batch, probs, decisions, strict=True):
                if not record.abstract and "no_abstract" not in record.flags:  # made by hand, not by a reader
                    record = replace(record, flags=(*record.flags, "no_abstract"))
                if UNSURE_FLAGS & set(record.flags):
                    decided = np.minimum(decided, REVIEW)
                yield self._prediction(record, row, decided, explain)

    def _prediction(self, record: Record, probs: Floats, decided: np.ndarray, explain: bool) -> Prediction:
        named = [column for column in np.flatnonzero(decided) if self.taxonomy.labels[column].axis != "scope"]
        reasons = self._evidence(record.text, [int(column) for column in named]) if explain and named else {}
        tags = {
            axis.id: tuple(
                Tag(self.taxonomy.ids[c], round(float(probs[c]), 4), _DECISIONS[int(decided[c])], reasons.get(c))
                for c in sorted(axis.columns, key=lambda column: -probs[column])
            )
            for axis in self.calibrator.axes
        }
        scopes = tags.pop("scope")
        applicable = {axis: found if self._applies(axis, scopes[0].id) else None for axis, found in tags.items()}
        return Prediction(
            record=record,
            scope=scopes[0],
            tags=applicable,
            model=self.id,
            taxonomy=self.taxonomy.fingerprint[:12],
            flags=record.flags,
            all_scopes=scopes,
        )

    def _applies(self, axis: str, scope: str) -> bool:
        # Disease tags are shown even where the scope says "not about EVs": they help to see a wrong scope.
        return axis != "mechanism" or self.taxonomy.applies(axis, scope)

    def _evidence(self, text: str, columns: list[int]) -> dict[int, Evidence | None]:
        attribution = self.backend.attribute(text, columns)
        return dict(zip(columns, explain(text, attribution, sentences(text)), strict=True))

    def save_pretrained(self, folder: str | Path, *, force: bool = False, name: str = "") -> None:
        """Write weights, metadata, manifest and model card; all of it or nothing.

        Parameters
        ----------
        name
            Of the model, if it is not that of the folder.

        Raises
        ------
        OutputError
            If the folder exists and `force` is false, or cannot be written.
        """
        target = Path(folder)
        with new_folder(target, force=force) as draft:
            self.backend.save(draft)
            if self.unseen is not None:
                self.unseen.save(draft)
            content = {
                "schema": SCHEMA,
                "name": name or target.name,
                "taxonomy": self.taxonomy.to_dict(),
                "fingerprint": self.taxonomy.fingerprint,
                "calibration": self.calibrator.to_dict(),
                "calibration_config": asdict(self.calibrator.config),
                **asdict(self.metadata),
            }
            (draft / METADATA).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            (draft / "README.md").write_text(
                model_card(name or target.name, self.taxonomy, asdict(self.metadata)), encoding="utf-8"
            )
        self.name, self.digest = name or target.name, verify(target)

    @classmethod
    def from_pretrained(cls, model: str | Path = DEFAULT_MODEL, *, taxonomy: Taxonomy | None = None) -> Self:
        """Load a model folder, or a shipped model by its name.

        Parameters
        ----------
        taxonomy
            If given, the model must have been made for it.

        Raises
        ------
        ModelError
            If there is no such model or it cannot be read.
        TamperedModelError
            If a file differs from the manifest.
        IncompatibleModelError
            If it was made by a newer exoclass or for another taxonomy.
        """
        folder = find_model(model)
        digest = verify(folder)
        try:
            content = json.loads((folder / METADATA).read_text(encoding="utf-8"))
            schema = int(content["schema"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ModelError(f"{folder} has no readable {METADATA}", "Train or download it again.") from error
        if schema > SCHEMA:
            raise IncompatibleModelError(f"{folder} was made by a newer exoclass (schema {schema})", "Update exoclass.")
        try:
            return cls._build(folder, content, digest, taxonomy)
        except (KeyError, TypeError, ValueError, AttributeError, TaxonomyError, ConfigError) as error:
            raise ModelError(f"{folder}: {METADATA} is faulty: {error}", "Train or download it again.") from error

    @classmethod
    def _build(cls, folder: Path, content: dict[str, Any], digest: str, wanted: Taxonomy | None) -> Self:
        own = parse_taxonomy(content["taxonomy"], str(folder / METADATA))
        if own.fingerprint != content["fingerprint"] or (wanted and wanted.fingerprint != own.fingerprint):
            raise IncompatibleModelError(
                f"{folder} was made for another taxonomy ({content['fingerprint'][:12]})",
                "Use its own taxonomy, or train a model for yours with `exoclass train`.",
            )
        axes = axis_columns(own)
        settings = parse_config(content["calibration_config"], CalibrationConfig, METADATA)
        calibrator = Calibrator.from_dict(content["calibration"], axes, settings)
        content = {"lineage": {}} | content  # models made before there was one
        fields = {name: content[name] for name in Metadata.__dataclass_fields__}
        metadata = Metadata(**(fields | {"trained_on": tuple(fields["trained_on"])}))
        backend = load_backend(metadata.backend).load(folder)
        unseen = Unseen.load(folder, len(own.ids))
        return cls(
            backend, wanted or own, calibrator, metadata, name=str(content["name"]), digest=digest, unseen=unseen
        )


def find_model(model: str | Path) -> Path:
    """Return the folder of a model, or raise `ModelError`.

    It can be given by its path, by that of a family of versions, whose champion it is then, or by the name of a shipped
    model.
    """
    folder = Path(model)
    if folder.is_dir():
        return resolve(folder)
    if len(folder.parts) == 1:
        try:
            return shipped(f"models/{folder}")
        except ConfigError:
            pass
    raise ModelError(f"there is no model {str(model)!r}", f"Name a model folder, or the shipped {DEFAULT_MODEL!r}.")


def load_backend(name: str) -> type[Backend]:
    """Return the backend class called `name`, imported only now, or raise `ModelError`."""
    if name not in _BACKENDS:
        raise ModelError(f"there is no backend {name!r}", f"Known backends: {', '.join(_BACKENDS)}.")
    module, attribute = _BACKENDS[name]
    backend: type[Backend] = getattr(import_module(module), attribute)
    return backend
