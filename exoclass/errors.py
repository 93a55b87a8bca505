"""Every error that exoclass raises on purpose.

::

    ExoclassError                 catch this to catch them all; the command line prints it as one line
    ├── UsageError                the command was asked for something it cannot do          (exit code 2)
    ├── InputError                a file or stream cannot be read at all
    │   └── UnknownFormatError    … because its content is none of the formats we read
    ├── PubMedError               PubMed cannot be reached, refuses, or keeps sending what cannot be used
    │   └── BrokenAnswerError     … it answers this request, time after time, with what cannot be used
    ├── TaxonomyError             the taxonomy file is faulty, or a label is not in it
    ├── ConfigError               a configuration file is faulty
    ├── CorpusError               labelled data cannot be used for training or evaluation
    ├── ModelError                a model folder cannot be loaded or saved
    │   ├── TamperedModelError    … a file differs from the manifest written with the model
    │   └── IncompatibleModelError … it was made for another taxonomy, schema or backend
    ├── LibraryError              a library cannot be opened, read or written, or lacks what was asked for
    ├── OutputError               a result cannot be written
    └── QualityGateError          the result exists but fails the gate that was asked for   (exit code 3)

One bad record inside a good file is not an error: readers yield a `exoclass.records.Reject` and go on.
"""

from __future__ import annotations


class ExoclassError(Exception):
    """Base of all errors raised on purpose.

    Parameters
    ----------
    cause
        What is wrong, naming file and position where there is one.
    remedy
        What the user can do about it; empty if nothing sensible can be said.
    """

    exit_code = 1

    def __init__(self, cause: str, remedy: str = "") -> None:
        super().__init__(cause, remedy)
        self.cause = cause
        self.remedy = remedy

    def __str__(self) -> str:
        """Return cause and remedy as one line."""
        line = f"{self.cause.rstrip('.')}. {self.remedy}" if self.remedy else self.cause
        return " ".join(line.split())


class UsageError(ExoclassError):
    """The command was asked for something it cannot do."""

    exit_code = 2


class InputError(ExoclassError):
    """A file or stream cannot be read at all."""


class UnknownFormatError(InputError):
    """The content is none of the formats exoclass reads."""


class PubMedError(ExoclassError):
    """PubMed cannot be reached, refuses, or keeps sending what cannot be used."""


class BrokenAnswerError(PubMedError):
    """PubMed answers one request, time after time, with what cannot be used; another request may fare better."""


class TaxonomyError(ExoclassError):
    """The taxonomy file is faulty, or a label is not in it."""


class ConfigError(ExoclassError):
    """A configuration file is faulty."""


class CorpusError(ExoclassError):
    """Labelled data cannot be used for training or evaluation."""


class ModelError(ExoclassError):
    """A model folder cannot be loaded or saved."""


class TamperedModelError(ModelError):
    """A model file differs from the manifest written with the model."""


class IncompatibleModelError(ModelError):
    """The model was made for another taxonomy, schema or backend."""


class LibraryError(ExoclassError):
    """A library cannot be opened, read or written, or lacks what was asked for."""


class OutputError(ExoclassError):
    """A result cannot be written."""


class QualityGateError(ExoclassError):
    """The result exists but fails the gate that was asked for."""

    exit_code = 3
