"""Where shipped files are, and typed configurations read from TOML."""

from __future__ import annotations

import dataclasses
import json
import tomllib
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

from exoclass.errors import ConfigError

_PACKAGE = Path(__file__).parent
_SHIPPED = _PACKAGE / "shipped"  # inside a wheel, `configs` and `models` lie here (see pyproject.toml)

T = TypeVar("T")


def shipped(name: str) -> Path:
    """Return the path of a file or folder that comes with exoclass, such as ``configs/taxonomy.toml``.

    In a checkout it is the file at the top level, in an installed wheel the copy inside the package.

    Raises
    ------
    ConfigError
        If it is in neither place.
    """
    for root in (_SHIPPED, _PACKAGE.parent):
        if (root / name).exists():
            return root / name
    raise ConfigError(f"the shipped file {name} is missing from this installation", "Install exoclass again.")


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises
    ------
    ConfigError
        If it cannot be read or is no TOML; the message has the file and, where known, the line.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}", "Name an existing TOML file in UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}", "Mend that line.") from error


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds one object.

    Raises
    ------
    ConfigError
        If it cannot be read or is none.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} cannot be read: {error}", "Check the path and the file.") from error
    if not isinstance(found, dict):
        raise ConfigError(f"{path} holds no JSON object", "Check the file.")
    return found


def load_config(path: Path, kind: type[T]) -> T:
    """Read a TOML file into the frozen dataclass `kind`.

    Every field must be in the file and nothing else may be: a configuration has no hidden defaults.

    Raises
    ------
    ConfigError
        Names the file, the key and what is wrong with it.
    """
    return parse_config(read_toml(path), kind, str(path))


def parse_config(values: dict[str, Any], kind: type[T], file: str) -> T:
    """Build the frozen dataclass `kind` from parsed TOML or JSON; `file` is for the message of `ConfigError`."""
    return _build(values, kind, file, "")


def _build(values: dict[str, Any], kind: type[T], file: str, prefix: str) -> T:
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]  # T is a dataclass
    hints = typing.get_type_hints(kind)
    if unknown := sorted(set(values) - set(fields)):
        raise ConfigError(f"{file}: unknown key {prefix}{unknown[0]}", f"Known keys: {', '.join(fields)}.")
    if missing := [name for name in fields if name not in values]:
        raise ConfigError(f"{file}: key {prefix}{missing[0]} is missing", "Add it; every value is written out.")
    built = {name: _value(values[name], hints[name], file, prefix + name) for name in fields}
    return kind(**built)


def _value(value: Any, hint: Any, file: str, key: str) -> Any:  # noqa: ANN401 - TOML values are of any type
    if dataclasses.is_dataclass(hint) and isinstance(hint, type) and isinstance(value, dict):
        return _build(value, hint, file, key + ".")
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple and isinstance(value, list):
        inner = [args[0]] * len(value) if len(args) == 2 and args[1] is Ellipsis else list(args)
        if len(inner) == len(value):
            return tuple(_value(item, want, file, key) for item, want in zip(value, inner, strict=True))
    if origin is typing.Literal and value in args:
        return value
    if origin in {types.UnionType, typing.Union} and any(isinstance(value, want) for want in args):
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(hint, type) and type(value) is hint:
        return value
    wanted = " or ".join(map(repr, args)) if origin is typing.Literal else getattr(hint, "__name__", str(hint))
    raise ConfigError(f"{file}: {key} = {value!r} should be {wanted}", "Mend that value.")
