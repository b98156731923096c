"""Finds experiments and benchmarks by name, without importing them until one is wanted.

An experiment is a file `experiments/<paper>/<name>.py` that assigns `PRESETS`; a benchmark is a
file `benchmarks/<name>.py` that defines `measure`. Both are found by reading the syntax tree, so
that listing them does not wait for JAX.
"""

import ast
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

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
  """What the command line expects of a module under `benchmarks/`."""

  def measure(self) -> Mapping[str, Any]:
    """Returns `{"machine": {...}, "rows": [{"name", "value", "unit", "peer", "ratio", ...}]}`."""
    ...


class Entry(NamedTuple):
  """A file of the catalogue, as its source describes it.

  Attributes:
    name: `spirl/maze`; for benchmarks `maze`.
    title: first line of its docstring.
    presets: description of each preset; empty for benchmarks.
  """

  name: str
  title: str
  presets: dict[str, str]


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


def benchmarks() -> dict[str, Entry]:
  """All benchmarks by name, in alphabetical order."""
  found = {}
  for root in map(Path, jaxskills.benchmarks.__path__):
    for path in root.glob("*.py"):
      tree = ast.parse(path.read_text(encoding="utf-8"))
      if any(isinstance(node, ast.FunctionDef) and node.name == "measure" for node in tree.body):
        found[path.stem] = Entry(path.stem, _title(tree), {})
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
  """Imports a benchmark by name.

  Raises:
    UserError: if there is none of that name, or a package that it compares against is missing.
  """
  entry = _find(name, benchmarks(), "benchmark")
  try:
    return cast(Benchmark, importlib.import_module(f"jaxskills.benchmarks.{entry.name}"))
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


def _find(name: str, entries: Mapping[str, Entry], kind: str) -> Entry:
  if name in entries:
    return entries[name]
  hint = nearest(name, list(entries)) or f"; there are: {', '.join(entries) or 'none'}"
  raise UserError(f"unknown {kind} '{name}'{hint}")


def _title(tree: ast.Module) -> str:
  return (ast.get_docstring(tree) or "").partition("\n")[0]


def _presets(tree: ast.Module, path: Path) -> dict[str, str]:
  """Value of the module-level assignment to `PRESETS`, empty where there is none."""
  for node in tree.body:
    match node:
      case ast.Assign(targets=[ast.Name("PRESETS")], value=value):
        pass
      case ast.AnnAssign(target=ast.Name("PRESETS"), value=ast.expr() as value):
        pass
      case _:
        continue
    try:
      return dict(ast.literal_eval(value))
    except (ValueError, TypeError):
      raise ValueError(f"{path}: PRESETS must be a dictionary written out in full") from None
  return {}
