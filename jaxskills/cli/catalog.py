"""Finds experiments and benchmarks by name, without importing them until one is wanted.

An experiment is a file `experiments/<paper>/<name>.py` that assigns `PRESETS`; a benchmark is a
file `benchmarks/<name>.py` that defines `measure`, or an experiment that such a file names in its
`TARGETS`. All are found by reading the syntax tree, so that listing them does not wait for JAX.
"""

import ast
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar, cast

from ml_collections import ConfigDict

import jaxskills.benchmarks
import jaxskills.experiments
from jaxskills.config import nearest
from jaxskills.errors import UserError
from jaxskills.training.workdir import read_config


class Experiment(Protocol):
  """What the command line expects of a module under `experiments/`.

  Attributes:
    PRESETS: a one-line description of every preset, a literal; the first is the default.

  One with too many figures to print has a function `table` from its summary's `metrics` to rows,
  `{heading: text}` each, that are printed in their place.
  """

  PRESETS: Mapping[str, str]

  def get_config(self, preset: str) -> ConfigDict:
    """The whole configuration of a preset; only its keys can be overridden."""
    ...

  def train(
    self, config: ConfigDict, workdir: Path, *, preset: str, overwrite: bool
  ) -> Mapping[str, Any]:
    """Runs or resumes in `workdir`; returns what `summary.json` holds.

    With `overwrite`, what an earlier run left in `workdir` is discarded first.
    """
    ...

  def evaluate(self, workdir: Path, *, episodes: int, video: bool) -> Mapping[str, Any]:
    """Evaluates the finished run in `workdir`; returns named figures."""
    ...


class Benchmark(Protocol):
  """What the command line expects of a module under `benchmarks/`.

  One that measures experiments has `TARGETS`, their names, a literal; `benchmarks/robots.py` is the
  one there is, and `cli/bench.py` says what else it has. One whose table has other columns than
  name, value, unit, peer and ratio has `COLUMNS`, from heading to key.
  """

  def measure(self) -> Mapping[str, Any]:
    """Returns `{"machine": {...}, "rows": [{"name", "value", "unit", "peer", "ratio", ...}]}`."""
    ...


class Entry(NamedTuple):
  """An experiment, as its source describes it.

  Attributes:
    name: `spirl/maze`.
    title: first line of its docstring.
    presets: description of each preset.
  """

  name: str
  title: str
  presets: dict[str, str]


class BenchmarkEntry(NamedTuple):
  """Something that can be measured.

  Attributes:
    name: `maze`, or that of an experiment.
    title: first line of the docstring of the file that measures it.
    module: that file's name, without suffix.
  """

  name: str
  title: str
  module: str


_AnyEntry = TypeVar("_AnyEntry", Entry, BenchmarkEntry)


def experiments() -> dict[str, Entry]:
  """All experiments by name, in alphabetical order."""
  found = {}
  for root in map(Path, jaxskills.experiments.__path__):
    for path in root.glob("*/*.py"):
      name = f"{path.parent.name}/{path.stem}"
      tree = ast.parse(path.read_text(encoding="utf-8"))
      if presets := _presets(tree, path):
        found[name] = Entry(name, _title(tree), presets)
  return dict(sorted(found.items()))


def benchmarks() -> dict[str, BenchmarkEntry]:
  """All benchmarks by name, in alphabetical order."""
  found = {}
  for root in map(Path, jaxskills.benchmarks.__path__):
    for path in root.glob("*.py"):
      tree = ast.parse(path.read_text(encoding="utf-8"))
      if any(isinstance(node, ast.FunctionDef) and node.name == "measure" for node in tree.body):
        for name in _literal(tree, "TARGETS", path) or [path.stem]:
          found[name] = BenchmarkEntry(name, _title(tree), path.stem)
  return dict(sorted(found.items()))


def find_experiment(target: str) -> tuple[Entry, str]:
  """Resolves `paper/name[:preset]`, with the first preset where none is named.

  Raises:
    UserError: for an unknown experiment, naming the nearest, or preset, naming all.
  """
  name, has_preset, preset = target.partition(":")
  entry = _find(name.removesuffix(".py"), experiments(), "experiment")
  if not has_preset:
    return entry, next(iter(entry.presets))
  if preset not in entry.presets:
    known = ", ".join(entry.presets)
    raise UserError(f"experiment {entry.name} has no preset '{preset}'; it has: {known}")
  return entry, preset


def load_experiment(entry: Entry) -> Experiment:
  """Imports an experiment."""
  return cast(
    Experiment, importlib.import_module(f"jaxskills.experiments.{entry.name.replace('/', '.')}")
  )


def load_benchmark(name: str) -> Benchmark:
  """Imports what measures a benchmark, given its name, `:preset` or none.

  Raises:
    UserError: if there is none of that name, or a package that it compares against is missing.
  """
  entry = _find(name.partition(":")[0], benchmarks(), "benchmark")
  try:
    return cast(Benchmark, importlib.import_module(f"jaxskills.benchmarks.{entry.module}"))
  except ModuleNotFoundError as error:
    raise missing_extra(error, "bench") from error


def missing_extra(error: ModuleNotFoundError, extra: str) -> Exception:
  """Says which extra brings a missing package; a missing module of ours stays what it is."""
  package = (error.name or "").partition(".")[0]
  if package in ("", "jaxskills"):
    return error
  return UserError(f"package {package} is missing; run: pip install 'jaxskills[{extra}]'")


def experiment_of_run(workdir: Path) -> Entry:
  """The experiment that made a run, from its `config.json`.

  Raises:
    UserError: if the folder holds no run, or one of an experiment that is not there any more.
  """
  name = read_config(workdir).get("experiment", "")
  return _find(name, experiments(), "experiment")


def _find(name: str, entries: Mapping[str, _AnyEntry], kind: str) -> _AnyEntry:
  if name in entries:
    return entries[name]
  hint = nearest(name, list(entries)) or f"; there are: {', '.join(entries) or 'none'}"
  raise UserError(f"unknown {kind} '{name}'{hint}")


def _title(tree: ast.Module) -> str:
  return (ast.get_docstring(tree) or "").partition("\n")[0]


def _presets(tree: ast.Module, path: Path) -> dict[str, str]:
  """Value of the module-level assignment to `PRESETS`, empty where there is none."""
  try:
    return dict(_literal(tree, "PRESETS", path) or {})
  except TypeError:
    raise ValueError(f"{path}: PRESETS must be a dictionary") from None


def _literal(tree: ast.Module, name: str, path: Path) -> Any:
  """Value of a module-level assignment, None where there is none."""
  for node in tree.body:
    match node:
      case ast.Assign(targets=[ast.Name(found)], value=value) if found == name:
        pass
      case ast.AnnAssign(target=ast.Name(found), value=ast.expr() as value) if found == name:
        pass
      case _:
        continue
    try:
      return ast.literal_eval(value)
    except (ValueError, TypeError):
      kind = "dictionary" if name == "PRESETS" else "tuple"
      raise ValueError(f"{path}: {name} must be a {kind} written out in full") from None
  return None
