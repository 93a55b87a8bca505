"""The content of a training configuration file such as ``configs/tfidf.toml``."""

from __future__ import annotations

from dataclasses import asdict, dataclass, make_dataclass
from pathlib import Path
from typing import Any

from exoclass.backend import Backend
from exoclass.calibration import CalibrationConfig
from exoclass.classifier import Classifier, load_backend
from exoclass.config import parse_config, read_toml, shipped
from exoclass.errors import ConfigError, ModelError


@dataclass(frozen=True, slots=True)
class ValidationConfig:
    """How out-of-fold predictions are made."""

    folds: int
    seed: int


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """The whole content of a training configuration file such as ``configs/tfidf.toml``.

    In the file, the hyper-parameters of the backend stand in a table that has its name.
    """

    backend: str
    model: Any
    """Of the class `exoclass.backend.Backend.Config` of that backend."""
    calibration: CalibrationConfig
    validation: ValidationConfig

    @classmethod
    def load(cls, path: str | Path | None = None) -> TrainConfig:
        """Read a configuration, by default the shipped one for TF-IDF; raises `ConfigError`."""
        file = Path(path) if path is not None else shipped("configs/tfidf.toml")
        return cls.parse(read_toml(file), str(file))

    @classmethod
    def parse(cls, values: dict[str, Any], file: str) -> TrainConfig:
        """Build a configuration from parsed TOML, or from what `to_dict` gave; `file` is for messages."""
        try:
            kind = load_backend(str(values.get("backend"))).Config
        except ModelError as error:
            raise ConfigError(f"{file}: {error.cause}", error.remedy) from error
        fields = {
            "backend": str,
            values["backend"]: kind,
            "calibration": CalibrationConfig,
            "validation": ValidationConfig,
        }
        found: Any = parse_config(values, make_dataclass("File", fields.items(), frozen=True), file)
        return cls(found.backend, getattr(found, found.backend), found.calibration, found.validation)

    @classmethod
    def of(cls, clf: Classifier) -> TrainConfig:
        """Return the configuration that a classifier was trained with; raises `ConfigError`."""
        return cls.parse(clf.metadata.config, f"the configuration of {clf.name}")

    def to_dict(self) -> dict[str, Any]:
        """Return the content as it stands in the file."""
        values = asdict(self)
        return {"backend": self.backend, self.backend: values.pop("model")} | values


def new_backend(config: TrainConfig) -> Backend:
    """Return an unfitted backend of the configured kind."""
    return load_backend(config.backend)(config.model)
