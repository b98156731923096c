"""Named tuples of numbers, words and more named tuples, to JSON and back without loss."""

import json
import typing
from typing import Any, TypeVar

Record = TypeVar("Record", bound=tuple)


def to_json(record: tuple) -> str:
  """One line; `from_json` gives back an equal record."""
  return json.dumps(_plain(record))


def from_json(kind: type[Record], text: str) -> Record:
  """Reads what `to_json` wrote, by the annotations of `kind`."""
  return _typed(kind, json.loads(text))


def _plain(value: Any) -> Any:
  if hasattr(value, "_asdict"):
    return {name: _plain(part) for name, part in value._asdict().items()}
  return [_plain(part) for part in value] if isinstance(value, tuple) else value


def _typed(kind: Any, value: Any) -> Any:
  if hasattr(kind, "_fields"):
    hints = typing.get_type_hints(kind)
    return kind(**{name: _typed(hints[name], part) for name, part in value.items()})
  if typing.get_origin(kind) is tuple:
    parts = typing.get_args(kind)
    parts = parts[:1] * len(value) if parts[-1] is Ellipsis else parts
    return tuple(_typed(part, item) for part, item in zip(parts, value, strict=True))
  return value
