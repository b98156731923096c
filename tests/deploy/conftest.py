"""Finished runs with small untrained networks, their bundles, and a bundle of plain sums."""

import json
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from jaxskills.config import to_plain
from jaxskills.deploy import bundle
from jaxskills.deploy.export import export_run
from jaxskills.deploy.graph import IR_VERSION, OPSET, Graph
from jaxskills.experiments import on_policy
from jaxskills.experiments.h1 import velocity
from jaxskills.experiments.panda import lift_cube, reach
from jaxskills.experiments.ppo_run import PpoRun
from jaxskills.experiments.spirl import maze, methods, stages
from jaxskills.learners.bc import make_bc
from jaxskills.learners.ppo import PpoParams, make_ppo
from jaxskills.learners.skill_prior import make_skill_prior
from jaxskills.networks.normalizer import Moments
from jaxskills.training import checkpoint, metrics
from jaxskills.training.run_state import Progress, StageReport


def small_config(seeds: int = 1) -> ConfigDict:
  """The quick preset with small networks."""
  config = maze.get_config("quick")
  config.num_seeds = seeds
  config.networks.critic_hidden = (8,)
  config.skill_prior.hidden = (16, 16)
  config.skill_prior.width = 8
  config.skill_prior.skill_size = 4
  config.skill_prior.horizon = 5
  return config


def random_like(shapes, seed: int):
  """Parameters of these shapes: kernels that keep the scale of what they sum, biases of 0.3."""
  generator = np.random.default_rng(seed)

  def draw(leaf):
    deviation = 0.3 if len(leaf.shape) < 2 else 1.0 / np.sqrt(np.prod(leaf.shape[:-1]))
    return jnp.asarray(generator.normal(0.0, deviation, leaf.shape), leaf.dtype)

  return jax.tree.map(draw, shapes)


def write_run(folder: Path, config: ConfigDict) -> Path:
  """What a run leaves that the exporter reads, with random parameters."""
  figures = {"success_rate": 0.5, "baselines": {"sac": {"success_rate": 0.0}}}
  _describe_run(folder, maze.EXPERIMENT, config, figures)
  spec, key = methods.make_world(config).spec(), jax.random.key(0)
  skill = make_skill_prior(methods.skill_prior_config(config), spec)
  action = make_bc(methods.action_prior_config(config), spec)
  results = {
    stages.SKILL_PRIOR: random_like(jax.eval_shape(skill.init, key).params, 1),
    stages.ACTION_PRIOR: random_like(jax.eval_shape(action.init, key).params, 2),
  }
  for number, name in enumerate(config.methods):
    stage = stages.rl_stage(config, name, results)
    result = jax.eval_shape(lambda key, stage=stage: stage.finish(stage.init(key)), key)
    results[stage.name] = random_like(result, 3 + number)
  _save_results(folder, results)
  return folder


def _describe_run(folder: Path, experiment: str, config: ConfigDict, figures: dict) -> None:
  folder.mkdir(parents=True)
  run = {
    "experiment": experiment,
    "preset": "quick",
    "seed": config.seed,
    "config": to_plain(config),
  }
  (folder / "config.json").write_text(json.dumps(run))
  (folder / "summary.json").write_text(json.dumps({"metrics": figures}))


def _save_results(folder: Path, results: Mapping[str, Any]) -> None:
  for stage, result in results.items():
    report = StageReport(Progress(), 1.0, metrics.parameters_sha256(result))
    record = {**report._asdict(), "progress": report.progress._asdict()}
    checkpoint.save(folder / "checkpoints" / stage / "result", result, record)


PPO_RUNS = {run.name: run for run in (velocity.RUN, reach.RUN, lift_cube.RUN)}


def small_robot_config(experiment: str) -> ConfigDict:
  """The quick preset of a robot's experiment, with small networks and one robot for all worlds."""
  config = PPO_RUNS[experiment].get_config()
  config.ppo.hidden = (32, 16)
  config.task.randomize = False  # most of what there is to compile
  return config


def untrained(run: PpoRun, config: ConfigDict, seed: int = 0) -> PpoParams:
  """What PPO begins with, whose actions are near zero, and statistics of nothing in particular."""
  spec = run.make_env(config, 1).spec()
  params = make_ppo(on_policy.ppo_config(config), spec).init(jax.random.key(seed)).params
  generator = np.random.default_rng(seed)

  def moments(known: Moments) -> Moments:
    mean = generator.normal(0.0, 0.1, known.mean.shape).astype(np.float32)
    variance = generator.uniform(0.02, 2.0, known.mean.shape).astype(np.float32)
    return Moments(jnp.asarray(mean), jnp.asarray(variance), jnp.asarray(1000.0))

  return params._replace(
    observation={name: moments(known) for name, known in params.observation.items()}
  )


def write_ppo_run(folder: Path, experiment: str, config: ConfigDict | None = None) -> Path:
  """What a PPO run of a robot leaves that the exporter reads, without training; about a second.

  Args:
    folder: made for it; its name is the run's.
    experiment: "h1/velocity", "panda/reach" or "panda/lift_cube".
    config: of the run; `small_robot_config` if None.
  """
  config = small_robot_config(experiment) if config is None else config
  _describe_run(folder, experiment, config, {"success_rate": 0.25, "fall_rate": 0.5})
  _save_results(folder, {on_policy.STAGE: untrained(PPO_RUNS[experiment], config)})
  return folder


@pytest.fixture(scope="session")
def h1_run(tmp_path_factory) -> Path:
  """A run of `h1/velocity` that nobody trained: its policy hardly moves."""
  return write_ppo_run(tmp_path_factory.mktemp("runs") / "h1", "h1/velocity")


@pytest.fixture(scope="session")
def panda_run(tmp_path_factory) -> Path:
  """A run of `panda/reach` that nobody trained."""
  return write_ppo_run(tmp_path_factory.mktemp("runs") / "panda", "panda/reach")


@pytest.fixture(scope="session")
def h1_bundle(h1_run, tmp_path_factory) -> Path:
  """Its bundle for the H1; read it, and change copies only."""
  out = tmp_path_factory.mktemp("bundles") / "h1"
  export_run(h1_run, robot="h1", out=out)
  return out


@pytest.fixture(scope="session")
def panda_bundle(panda_run, tmp_path_factory) -> Path:
  """Its bundle for the Franka; read it, and change copies only."""
  out = tmp_path_factory.mktemp("bundles") / "panda"
  export_run(panda_run, robot="franka", out=out)
  return out


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory) -> Path:
  """A run of SPiRL and SAC that nobody trained."""
  return write_run(tmp_path_factory.mktemp("runs") / "maze", small_config())


def sums_files() -> dict[str, bytes]:
  """The files of a bundle without networks.

  Its policy reads `state` `[2]` and has mean `state` and standard deviation `exp(-1)`; its decoder
  plans `skill`, `10 * skill`, `-skill`.
  """
  policy = Graph("policy")
  state = policy.add_input("state", "float32", [2])
  both = policy.constant("both", np.eye(2))
  limit = policy.constant("limit", 2.0)
  skill = policy.add("Mul", policy.add("Tanh", policy.add("Div", state, limit)), limit)
  zero = policy.add("MatMul", state, policy.constant("zero", np.zeros((2, 2))))
  policy.add_output("mean", policy.add("MatMul", state, both), [2])
  policy.add_output("log_std", policy.add("Sub", zero, policy.constant("one", 1.0)), [2])
  policy.add_output("skill", skill, [2])
  decoder = Graph("decoder")
  chosen = decoder.add_input("skill", "float32", [2])
  axis, factors = decoder.constant("axis", np.array([1])), (1.0, 10.0, -1.0)
  steps = [
    decoder.add("Unsqueeze", decoder.add("Mul", chosen, decoder.constant(f"x{f}", f)), axis)
    for f in factors
  ]
  decoder.add_output("actions", decoder.add("Concat", *steps, axis=1), [3, 2])
  seen = np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32)
  skills = 2.0 * np.tanh(seen / 2.0)
  pairs = {
    "observation.state": seen,
    "expected.skill": skills,
    "expected.actions": np.stack([skills, 10.0 * skills, -skills], axis=1),
  }
  golden = _npz(pairs)
  return {
    "policy.onnx": policy.finish({}).SerializeToString(),
    "decoder.onnx": decoder.finish({}).SerializeToString(),
    bundle.GOLDEN: golden,
  }


def _npz(arrays) -> bytes:
  content = BytesIO()
  np.savez(content, **arrays)
  return content.getvalue()


def sums_manifest(files: dict[str, bytes]) -> dict:
  """The manifest of that bundle."""

  def tensor(name: str, *shape: int) -> dict:
    return {"name": name, "dtype": "float32", "shape": ["batch", *shape]}

  state = {"name": "state", "dtype": "float32", "shape": [2]}
  return {
    "schema": bundle.SCHEMA,
    "robot": "none",
    "parts": {},
    "experiment": "sums",
    "preset": "quick",
    "method": "sums",
    "seed": 0,
    "seed_index": 0,
    "run": "sums",
    "config": {},
    "code_sha256": "",
    "parameters_sha256": "",
    "stage_parameters_sha256": {},
    "metrics": {},
    "versions": {},
    "git": None,
    "opset": OPSET,
    "ir_version": IR_VERSION,
    "control": {"rate_hz": 100.0, "step_seconds": 0.01, "skill_horizon": 3},
    "observation": [state],
    "decision": {"output": "skill", "size": 2, "limit": 2.0, "sampled": "a squashed Gaussian"},
    "action": {"low": [-1.0, -1.0], "high": [1.0, 1.0]},
    "graphs": {
      "policy": {
        "file": "policy.onnx",
        "inputs": [tensor("state", 2)],
        "outputs": [tensor("mean", 2), tensor("log_std", 2), tensor("skill", 2)],
        "every_steps": 3,
      },
      "decoder": {
        "file": "decoder.onnx",
        "inputs": [tensor("skill", 2)],
        "outputs": [tensor("actions", 3, 2)],
        "every_steps": 3,
      },
    },
    "parity": {"tolerance": {"skill": 1e-5, "actions": 1e-5}, "scale": {"skill": 2.0}},
    "files": bundle.describe_files(files),
  }


@pytest.fixture
def sums(tmp_path) -> Path:
  """That bundle on disk."""
  files = sums_files()
  content = bundle.encode_manifest(sums_manifest(files))
  bundle.write(tmp_path / "sums", {**files, bundle.MANIFEST: content})
  return tmp_path / "sums"
