"""Strict configuration: `ConfigDict`s whose keys and types the command line may not invent.

An experiment's `get_config(preset)` returns an `ml_collections.ConfigDict`. `apply_overrides` reads
`--config.a.b=value` with the type that `a.b` already has, as `ml_collections.config_flags` does,
but without absl's global flags, and with the nearest right key in the message for a wrong one.
"""

import ast
import copy
import difflib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from jaxskills.errors import UserError

_TRUE, _FALSE, _NONE = ("true", "1", "yes"), ("false", "0", "no"), ("none", "null")
_OVERRIDE_PREFIXES = ("--config.", "--noconfig.")
_NAMED = 6  # keys that an error names


def is_override(argument: str) -> bool:
  """Whether a command-line argument sets a key of the configuration."""
  return argument.startswith(_OVERRIDE_PREFIXES)


def apply_overrides(config: ConfigDict, overrides: Sequence[str]) -> ConfigDict:
  """Returns a locked copy of `config` with `--config.a.b=value` arguments applied in order.

  Numbers, strings, booleans (`--config.a.b`, `--noconfig.a.b` or `=true`/`=false`) and sequences
  (`(1, 2)` or `1,2`) are read with the type that the key has now; a key that is `None` through
  `config_dict.placeholder(type)` has that type and takes `none` back.

  Raises:
    UserError: for an unknown key, naming the nearest one, or a value of another type.
  """
  result = copy.deepcopy(config)  # a copy that resolved references would forget placeholder types
  result.lock()
  for override in overrides:
    key, value = _split(override)
    group, name = _find(result, key)
    group[name] = _read(value, group, name, key)
  return result


def flatten(config: ConfigDict | Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
  """Maps dotted keys (`learner.alpha`) to the leaves of a nested configuration."""
  leaves: dict[str, Any] = {}
  for name, value in config.items():
    if isinstance(value, Mapping | ConfigDict):
      leaves.update(flatten(value, f"{prefix}{name}."))
    else:
      leaves[prefix + name] = value
  return leaves


def to_plain(config: ConfigDict | Mapping[str, Any]) -> dict[str, Any]:
  """A nested dictionary of JSON's types, with tuples as lists: what `config.json` holds.

  Raises:
    UserError: for a leaf that JSON cannot hold, naming its key.
  """
  plain = {}
  for name, value in config.items():
    nested = isinstance(value, Mapping | ConfigDict)
    plain[name] = to_plain(value) if nested else _plain_leaf(name, value)
  return plain


def with_tuples(group: ConfigDict | Mapping[str, Any]) -> dict[str, Any]:
  """A group's values with lists as tuples, however deep: fields for a hashable record."""
  return {name: _tuple(value) for name, value in group.items()}


def describe_run(experiment: str, preset: str, config: ConfigDict) -> dict[str, Any]:
  """What a run is, as its `config.json` says: experiment, preset, seed and configuration."""
  return {
    "experiment": experiment,
    "preset": preset,
    "seed": config.seed,
    "config": to_plain(config),
  }


def restore(plain: Any, like: ConfigDict, place: str | Path) -> ConfigDict:
  """The configuration that a run's `config.json` holds, if this version has the same keys.

  Args:
    plain: what `to_plain` made.
    like: a configuration of the same experiment by this version.
    place: the run's folder, for the message.

  Raises:
    UserError: naming the keys that only one of the two has.
  """
  there = flatten(plain) if isinstance(plain, Mapping) else {}
  here = flatten(like)
  lacking = [key for key in here if key not in there]
  unknown = [key for key in there if key not in here]
  if lacking or unknown:
    faults = [f"lacks {_enumerate(lacking)}"] * bool(lacking)
    faults += [f"has {_enumerate(unknown)}, which this one does not know"] * bool(unknown)
    raise UserError(
      f"{place} is a run of another version of jaxskills: its config.json {' and '.join(faults)}; "
      "use the version that made it ('versions' and 'git' in its summary.json), or train it again."
    )
  return ConfigDict(plain)


def nearest(name: str, choices: Sequence[str]) -> str:
  """`; did you mean X?` for the most similar of `choices`, or nothing where none is similar."""
  found = difflib.get_close_matches(name, choices, n=1, cutoff=0.6)
  return f"; did you mean {found[0]}?" if found else ""


def _tuple(value: Any) -> Any:
  return tuple(map(_tuple, value)) if isinstance(value, list | tuple) else value


def _enumerate(keys: Sequence[str]) -> str:
  more = [f"{len(keys) - _NAMED} more"] * (len(keys) > _NAMED)
  return ", ".join([*keys[:_NAMED], *more])


def _plain_leaf(name: str, value: Any) -> Any:
  if isinstance(value, tuple | list):
    return [_plain_leaf(name, item) for item in value]
  if value is None or isinstance(value, bool | int | float | str):
    return value
  raise UserError(
    f"config key {name} holds a {type(value).__name__}, which config.json cannot keep; "
    "use a number, string, boolean or sequence of them"
  )


def _split(override: str) -> tuple[str, str | None]:
  """`--config.a.b=v` to `("a.b", "v")`, and the bare boolean forms to `"true"` or `"false"`."""
  name, has_value, value = override.partition("=")
  if name.startswith("--noconfig."):
    key = name.removeprefix("--noconfig.")
    if has_value:
      raise UserError(f"{name} takes no value; write --config.{key}={value}")
    return key, "false"
  return name.removeprefix("--config."), value if has_value else None


def _find(config: ConfigDict, key: str) -> tuple[ConfigDict, str]:
  """The group that holds the leaf `key`, and the leaf's name there."""
  group, parts = config, key.split(".")
  for depth, part in enumerate(parts):
    if not isinstance(group, ConfigDict):
      raise UserError(f"config.{'.'.join(parts[:depth])} is a value and has no key {part}")
    if part not in group:
      raise UserError(f"unknown key config.{key}{_nearest_key(config, key)}")
    if depth < len(parts) - 1:
      group = group[part]
  leaf = group[parts[-1]]
  if isinstance(leaf, ConfigDict):
    inside = ", ".join(f"config.{name}" for name in flatten(leaf, f"{key}."))
    raise UserError(f"config.{key} is a group; set one of its keys: {inside}")
  return group, parts[-1]


def _nearest_key(config: ConfigDict, key: str) -> str:
  """Suggests a leaf of the same name elsewhere, then by the whole path, then by the name alone."""
  leaves, name = list(flatten(config)), key.rpartition(".")[2]
  by_name = {leaf.rpartition(".")[2]: leaf for leaf in leaves}
  if name in by_name:
    return f"; did you mean config.{by_name[name]}?"
  if found := difflib.get_close_matches(key, leaves, n=1):
    return f"; did you mean config.{found[0]}?"
  if found := difflib.get_close_matches(name, list(by_name), n=1):
    return f"; did you mean config.{by_name[found[0]]}?"
  shown = [f"config.{leaf}" for leaf in leaves[:12]] + ["..."] * (len(leaves) > 12)
  return f"; there are: {', '.join(shown)}"


def _read(text: str | None, group: ConfigDict, name: str, key: str) -> Any:
  """Reads `text` with the type of the leaf `group[name]`."""
  kind, current = group.get_type(name), group[name]
  if text is None:
    if kind is not bool:
      raise UserError(f"config.{key} needs a value: --config.{key}=VALUE ({_describe(kind)})")
    return True
  if current is None and kind is type(None):
    raise UserError(f"config.{key} is None and has no type; its experiment must give it one")
  if current is None and text.lower() in _NONE:
    return None
  try:
    return _parse(text, kind, current)
  except (ValueError, SyntaxError):
    raise UserError(f"config.{key} must be {_describe(kind)}, got '{text}'") from None


def _parse(text: str, kind: type, current: Any) -> Any:
  if kind is bool:
    if text.lower() not in _TRUE + _FALSE:
      raise ValueError(text)
    return text.lower() in _TRUE
  if kind is float:
    value = float(text)
    if math.isnan(value):
      raise ValueError(text)
    return value
  if kind in (int, str):
    return kind(text)
  if kind in (tuple, list):
    return kind(_parse_item(item, current) for item in _sequence(text))
  raise ValueError(text)


def _sequence(text: str) -> Sequence[Any]:
  """Reads `(1, 2)`, `[1, 2]`, `1,2` or `a,b` into a sequence of literals or strings."""
  if text.startswith(("(", "[")):
    value = ast.literal_eval(text)
    return value if isinstance(value, tuple | list) else (value,)
  return [item.strip() for item in text.split(",")] if text else ()


def _parse_item(item: Any, current: Any) -> Any:
  """Gives an item of a sequence the type that the present items have."""
  if not current:
    return item
  kind = type(current[0])
  if isinstance(item, str) and kind is not str:
    return _parse(item, kind, current[0])
  if kind is float and isinstance(item, int) and not isinstance(item, bool):
    return float(item)
  if type(item) is not kind:
    raise ValueError(item)
  return item


def _describe(kind: type) -> str:
  names = {bool: "true or false", int: "an integer", float: "a number", str: "a string"}
  return names.get(kind, "a sequence such as 1,2")
