"""Tests that a recurrent policy goes into a bundle with its memory, and out again."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.deploy import bundle, runtime
from jaxskills.deploy.deployable import ActionTerm, Counts, Deployable, Quantity, Reference, Term
from jaxskills.deploy.export import make_bundle
from jaxskills.deploy.network import Affine, Network, gru_cell
from jaxskills.deploy.robots import ROBOTS

SIZE, WIDTH, ACTION = 3, 5, 2
PROVENANCE = {
  "experiment": "toy/memory",
  "preset": "quick",
  "method": "ppo",
  "run": "memory",
  "seed": 0,
  "seed_index": 0,
  "config": {},
  "parameters_sha256": "0" * 64,
  "stage_parameters_sha256": {},
}


class Remembering(nn.Module):
  """A GRU and a linear head, by flax."""

  @nn.compact
  def __call__(self, memory, seen):
    memory, value = nn.GRUCell(WIDTH, name="cell")(memory, seen)
    return memory, nn.Dense(ACTION, name="head")(value)


def vector(name: str, size: int) -> Term:
  told = Quantity(name, "1", "", (1.0,) * size, 0.0, True)
  return Term(name, (size,), "float32", "1", "", (-2.0,), (2.0,), (told,))


@pytest.fixture(scope="module")
def variables():
  """Weights with biases that are not zero."""
  shapes = jax.eval_shape(
    Remembering().init, jax.random.key(0), jnp.zeros((1, WIDTH)), jnp.zeros((1, SIZE))
  )
  generator = np.random.default_rng(0)
  draw = lambda leaf: jnp.asarray(generator.normal(size=leaf.shape), leaf.dtype)  # noqa: E731
  return jax.tree.map(draw, shapes)


@pytest.fixture(scope="module")
def made(variables, tmp_path_factory):
  """The bundle of that policy, in memory."""
  head = variables["params"]["head"]
  layers = (
    gru_cell(variables["params"]["cell"]),
    Affine(np.asarray(head["kernel"]), np.asarray(head["bias"])),
  )

  def decide(seen, dtype):
    weights = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), variables)
    memory, state = (jnp.asarray(seen[name], dtype) for name in ("state_in", "state"))
    memory, action = Remembering().apply(weights, memory, state)
    return {"action": action, "state_out": memory}

  def samples(count, generator):
    draw = lambda size: generator.normal(size=(count, size)).astype(np.float32)  # noqa: E731
    return {"state": draw(SIZE), "state_in": np.tanh(draw(WIDTH))}

  policy = Deployable(
    provenance=PROVENANCE,
    observation=(vector("state", SIZE), vector("state_in", WIDTH)),
    action=ActionTerm(("a", "b"), "1", "", (-9.0,) * 2, (9.0,) * 2),
    step_seconds=0.02,
    horizon=1,
    limit=9.0,
    policy=Network(SIZE, ACTION, layers),
    variables={},
    decoder=None,
    reference=Reference(decide, None, lambda seen: decide(seen, np.float32)["action"][:, None]),
    samples=samples,
    decided={},
    counts=Counts(64, 64, 128),
  )
  return make_bundle(policy, ROBOTS["none"], metrics={}, path=tmp_path_factory.mktemp("bundle"))


def test_the_manifest_declares_the_memory_and_does_not_take_it_for_an_observation(made):
  assert made.manifest["graphs"]["policy"]["state"] == [
    {"input": "state_in", "output": "state_out", "size": WIDTH, "start": "zeros"}
  ]
  assert [term["name"] for term in made.manifest["observation"]] == ["state"]


def test_golden_pairs_hold_the_memory_before_and_after(made, variables):
  pairs = runtime.read_arrays(made.files[bundle.GOLDEN])
  memory, action = Remembering().apply(
    variables, pairs["observation.state_in"], pairs["observation.state"]
  )
  assert len(action) == 128
  np.testing.assert_allclose(pairs["expected.action"], action, rtol=0, atol=1e-5)
  np.testing.assert_allclose(pairs["expected.state_out"], memory, rtol=0, atol=1e-5)


def test_the_runtime_acts_over_time_as_the_trained_policy_does(made, variables):
  player, memory = runtime.Policy(made), jnp.zeros((1, WIDTH))
  for seen in np.random.default_rng(1).normal(size=(20, SIZE)).astype(np.float32):
    memory, action = Remembering().apply(variables, memory, seen[None])
    np.testing.assert_allclose(player.step({"state": seen}), action[0], rtol=0, atol=1e-5)
