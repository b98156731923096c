"""From a finished run to a bundle on disk: `jaxskills export RUN --robot=NAME --out=DIR`.

The graphs are made, opened with onnxruntime through the runtime that a robot uses, and compared
with the trained networks; only then is the folder put in place, in one step. What differs between
experiments is a `Deployable` (`spirl.py`, `ppo.py`), what differs between robots a `Target`
(`robots.py`).
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import onnx

import jaxskills
from jaxskills.deploy import bundle, contract, network_c, network_onnx, network_torch, parity
from jaxskills.deploy.bundle import Bundle
from jaxskills.deploy.deployable import Deployable
from jaxskills.deploy.graph import IR_VERSION, OPSET
from jaxskills.deploy.models import decoder_model, policy_model
from jaxskills.deploy.network import Network
from jaxskills.deploy.robots import Target, find_robot
from jaxskills.deploy.runtime import Graphs, Policy
from jaxskills.errors import UserError
from jaxskills.evaluation import intervals
from jaxskills.training import summary
from jaxskills.training.workdir import Workdir, read_config

_PACKAGES = ("onnx", "onnxruntime")
_AVERAGED = ("success_rate", "success_rate_ci", "success_rate_deterministic", "return")
_SOURCES = (".py", ".c", ".h", ".hpp", ".cpp", ".xml")  # what decides over a bundle's content
_FIGURES = {"success": "success_rate", "falls": "fall_rate"}  # that `describe` tells


def export_run(
  run: Path,
  *,
  out: Path,
  robot: str = "none",
  method: str | None = None,
  seed_index: int = 0,
) -> Mapping[str, Any]:
  """Writes the bundle of a finished run.

  Args:
    run: its workdir.
    out: the bundle's folder; absent or empty.
    robot: a name of `robots.ROBOTS`.
    method: which of the run's methods; its main one if None.
    seed_index: which of the seeds that were trained together.

  Returns:
    The manifest.

  Raises:
    UserError: for an unknown robot, a run that is not finished or cannot be exported, a folder
      that is in the way, or graphs that do not agree with the trained policy. Nothing is left.
  """
  target = find_robot(robot)
  run, out = Path(run).expanduser(), Path(out).expanduser()
  bundle.check_target(out)
  policy = _reader(run)(run, method, seed_index)
  figures = _figures(run, policy.provenance["method"])
  metrics = own_metrics(figures, seed_index, policy.decided)
  made = make_bundle(policy, target, metrics=metrics, path=out)
  bundle.write(out, {**made.files, bundle.MANIFEST: bundle.encode_manifest(made.manifest)})
  return made.manifest


def _reader(run: Path) -> Callable[[Path, str | None, int], Deployable]:
  """What reads the runs of the experiment that made this one; one file for each family."""
  from jaxskills.deploy import ppo, spirl

  readers = {"spirl/maze": spirl.read_run, **dict.fromkeys(ppo.RUNS, ppo.read_run)}
  experiment = read_config(run).get("experiment")
  if experiment not in readers:
    known = ", ".join(readers)
    raise UserError(f"runs of {experiment} cannot be exported yet; this version exports {known}.")
  return readers[experiment]


def describe(manifest: Mapping[str, Any]) -> list[str]:
  """A manifest's main points for people: which policy, how good, how near to what was trained."""
  metrics, found = manifest["metrics"], manifest["parity"]
  seeds = manifest["config"].get("num_seeds", 1)
  which = f"{manifest['method']}, seed {manifest['seed']}"
  if seeds > 1:
    which += f", number {manifest['seed_index']} (from 0) of {seeds} trained together"
  whose = " (of this one alone)" if seeds > 1 else ""
  what = "falls" if "fall_rate" in metrics else "success"
  rates = [
    f"{metrics[name]:.4g} {how}"
    for name, how in metrics.get("decisions", {}).items()
    if name.startswith(_FIGURES[what])
  ]
  control, robot = manifest["control"], manifest["robot"]
  driven = f"robot    {robot}: {control['rate_hz']:g} Hz; 'jaxskills verify' comes before 'run'"
  off, but = max(found["difference"].values()), ", but:" if found["loosened"] else ""
  return [
    f"policy   {which}",
    f"decides  {manifest['decision']['runtime']}",
    f"{what:8} {', '.join(rates) + whose if rates else 'not known'}",
    *([driven] if robot != "none" else []),
    f"parity   {off:.1e} off the trained networks, {parity.TOLERANCE:.0e} allowed{but}",
    *(
      f"         {name}: loosened from {bound['from']:.0e} to {bound['to']:.1e}: {bound['because']}"
      for name, bound in found["loosened"].items()
    ),
  ]


def own_metrics(
  figures: Mapping[str, Any], seed_index: int, decided: Mapping[str, str]
) -> dict[str, Any]:
  """What the figures of a run say of the one policy that is exported.

  Args:
    figures: of its method, from the run's summary; means over seeds if several were trained.
    seed_index: which of them is exported.
    decided: by which rule the policy acted in the episodes that a figure is of.

  Returns:
    The figures; where there were several seeds, with that seed's own rates as far as the run kept
    them, and the means under `over_seeds`. `decisions` says of which rule of the manifest's
    `decision` each is.
  """
  seeds = figures.get("seeds", 1)
  own = dict(figures)
  if seeds > 1:
    by_seed = {name: own.pop(name) for name in figures if name.endswith("_by_seed")}
    own["over_seeds"] = {name: own.pop(name) for name in _AVERAGED if name in own} | by_seed
    own |= {name.removesuffix("_by_seed"): rates[seed_index] for name, rates in by_seed.items()}
    own["seed_index"] = seed_index
    if "success_rate" in own and "episodes" in own:
      interval = intervals.rate_interval(own["success_rate"], own["episodes"])
      own["success_rate_ci"] = [float(bound) for bound in interval]
  if known := {name: how for name, how in decided.items() if name in own}:
    own["decisions"] = known
  return own


def _figures(run: Path, method: str) -> Mapping[str, Any]:
  """The final figures of a method, as far as the run's summary has them."""
  try:
    figures = json.loads(Workdir(run).summary.read_text())["metrics"]
  except (OSError, ValueError, KeyError):
    return {}  # the policy is trained, but other methods of the run are not yet
  baselines = figures.pop("baselines", {})
  return baselines.get(method, figures)


def make_bundle(
  policy: Deployable, robot: Target, *, metrics: Mapping[str, Any], path: Path
) -> Bundle:
  """Makes a bundle in memory and compares it with the trained policy.

  Args:
    policy: what to export.
    robot: what to export it for.
    metrics: how good it is, as JSON values.
    path: where it will be, for messages.

  Raises:
    UserError: if the graphs do not agree with the policy, or the robot cannot run it.
  """
  parts, models = robot.parts(policy), make_models(policy)
  manifest = {
    "schema": bundle.SCHEMA,
    "robot": robot.name,
    "parts": dict(parts.manifest),
    **policy.provenance,
    "code_sha256": code_sha256(),
    "metrics": dict(metrics),
    "versions": {**summary.versions(), **{name: metadata.version(name) for name in _PACKAGES}},
    "git": summary.git_commit(),
    "opset": OPSET,
    "ir_version": IR_VERSION,
    **contract.describe(policy, models),
  }
  files = {
    **{file: model.SerializeToString(deterministic=True) for file, model in models.values()},
    **_other_forms(policy),
    **parts.files,
    **robot.sources(manifest),
  }
  answers = parity.ask(policy)
  files[bundle.GOLDEN] = parity.golden(policy, answers)
  manifest["files"] = bundle.describe_files(files)
  graphs = Graphs(Bundle(path, manifest, files))
  manifest["parity"] = parity.compare(policy, graphs, answers)
  contract.check(manifest)
  made = Bundle(path, manifest, files)
  Policy(made).verify_golden()
  return made


def code_sha256() -> str:
  """One hash over the sources of this package: names and contents, in the order of the names."""
  root, digest = Path(jaxskills.__file__).parent, hashlib.sha256()
  sources = {}
  for folder, _, names in os.walk(root, followlinks=True):
    for place in (Path(folder, name) for name in names):
      if place.suffix in _SOURCES:
        sources[place.relative_to(root).as_posix()] = place
  for name, place in sorted(sources.items()):
    content = place.read_bytes()
    digest.update(f"{name}\0{len(content)}\0".encode() + content)
  return digest.hexdigest()


def _other_forms(policy: Deployable) -> dict[str, bytes]:
  """The same network in C, and as TorchScript where torch is installed; none of skills."""
  if not isinstance(policy.policy, Network):
    return {}
  files, script = dict(network_c.write(policy.policy)), network_torch.write(policy.policy)
  return files if script is None else {**files, "policy.pt": script}


def make_models(policy: Deployable) -> dict[str, tuple[str, onnx.ModelProto]]:
  """File name and model of every graph, by what it is for: "policy" and, for skills, "decoder"."""
  observation = {term.name: term for term in policy.observation}
  told = ("experiment", "method", "parameters_sha256")
  properties = {
    "schema": bundle.SCHEMA,
    **{name: str(policy.provenance[name]) for name in told},
    "step_seconds": str(policy.step_seconds),
    "skill_horizon": str(policy.horizon),
    "limit": str(policy.limit),
  }
  if isinstance(policy.policy, Network):
    return {"policy": ("policy.onnx", network_onnx.policy_model(policy.policy, properties))}
  chooses = policy_model(
    policy.policy,
    policy.variables,
    observation,
    decision=contract.decision_name(policy),
    limit=policy.limit,
    metadata=properties,
  )
  if policy.decoder is None:
    return {"policy": ("policy.onnx", chooses)}
  acts = decoder_model(
    policy.decoder.module,
    policy.decoder.variables,
    policy.policy.action_size,
    observation,
    metadata=properties,
  )
  return {"policy": ("high_level_policy.onnx", chooses), "decoder": ("skill_decoder.onnx", acts)}
