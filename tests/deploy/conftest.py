"""A finished run of `spirl/maze` with small untrained networks, and a bundle of plain sums."""

import json
from io import BytesIO
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from jaxskills.config import to_plain
from jaxskills.deploy import bundle
from jaxskills.deploy.graph import IR_VERSION, OPSET, Graph
from jaxskills.experiments.spirl import maze, methods, stages
from jaxskills.learners.bc import make_bc
from jaxskills.learners.skill_prior import make_skill_prior
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
  folder.mkdir()
  run = {
    "experiment": maze.EXPERIMENT,
    "preset": "quick",
    "seed": config.seed,
    "config": to_plain(config),
  }
  (folder / "config.json").write_text(json.dumps(run))
  figures = {"success_rate": 0.5, "baselines": {"sac": {"success_rate": 0.0}}}
  (folder / "summary.json").write_text(json.dumps({"metrics": figures}))
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
  for stage, result in results.items():
    report = StageReport(Progress(), 1.0, metrics.parameters_sha256(result))
    record = {**report._asdict(), "progress": report.progress._asdict()}
    checkpoint.save(folder / "checkpoints" / stage / "result", result, record)
  return folder


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
    "config": {},
    "parameters_sha256": "",
    "stage_parameters_sha256": {},
    "metrics": {},
    "versions": {},
    "git": None,
    "opset": OPSET,
    "ir_version": IR_VERSION,
    "control": {"rate_hz": 100.0, "step_seconds": 0.01, "skill_horizon": 3},
    "observation": [state],
    "decision": {"output": "skill", "size": 2, "limit": 2.0},
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
