"""Small rollouts and learners for the tests of PPO."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxskills.learners.ppo import make_ppo
from jaxskills.learners.ppo_config import PpoConfig
from jaxskills.types import EnvSpec, Transition

KEY = jax.random.key(0)
TIME, WORLDS = 4, 6
SPEC = EnvSpec(
  {
    "state": jax.ShapeDtypeStruct((3,), jnp.float32),
    "privileged": jax.ShapeDtypeStruct((2,), jnp.float32),
  },
  action_size=2,
  action_limit=1.0,
  step_seconds=0.1,
)
CONFIG = PpoConfig(hidden=(8,), epochs=2, minibatches=2)
ONE_STEP = CONFIG._replace(epochs=1, minibatches=1, rate="fixed")


def rollout(seed=0, **fields):
  """A rollout of shifted and scaled observations, with every kind of end and a sick row."""
  random = np.random.default_rng(seed)

  def array(*shape):
    return jnp.asarray(random.normal(size=(TIME, WORLDS, *shape)), jnp.float32)

  def observation():
    return {"state": 5.0 + 3.0 * array(3), "privileged": array(2)}

  kind = random.permutation(np.arange(TIME * WORLDS)).reshape(TIME, WORLDS)
  made = Transition(
    observation=observation(),
    action=array(2),
    reward=array(),
    terminated=jnp.asarray(kind < 4, jnp.float32),
    truncated=jnp.asarray((kind >= 4) & (kind < 8), jnp.float32),
    next_observation=observation(),
    discount=jnp.asarray(random.uniform(0.7, 1.0, (TIME, WORLDS)), jnp.float32),
    weight=jnp.asarray(kind < TIME * WORLDS - 2, jnp.float32),
  )
  return made._replace(**fields)


NUMBERS = [name for name, value in PpoConfig()._asdict().items() if type(value) is float]


def _split(config):
  """The numbers of a configuration, to be traced, and the rest: tests share compiled programs."""
  numbers = {name: jnp.asarray(getattr(config, name)) for name in NUMBERS if name != "initial_std"}
  rest = config._replace(**{name: getattr(PpoConfig(), name) for name in numbers})
  return numbers, rest


@functools.partial(jax.jit, static_argnums=0)
def _init(config, numbers, key):
  return make_ppo(config._replace(**numbers), SPEC).init(key)


@functools.partial(jax.jit, static_argnums=0)
def _update(config, numbers, state, batch, key):
  return make_ppo(config._replace(**numbers), SPEC).update(state, batch, key)


def init(config=CONFIG, key=KEY):
  numbers, rest = _split(config)
  return _init(rest, numbers, key)


def update(config, state, batch, key=KEY):
  numbers, rest = _split(config)
  return _update(rest, numbers, state, batch, key)


def trained(config=CONFIG, updates=3):
  """A state whose statistics, optimiser and parameters have moved."""
  state = init(config)
  for seed in range(updates):
    state, _ = update(config, state, rollout(seed), jax.random.fold_in(KEY, seed))
  return state


def leaves_differ(tree, other):
  pairs = zip(jax.tree.leaves(tree), jax.tree.leaves(other), strict=True)
  return any(bool(jnp.any(a != b)) for a, b in pairs)


def assert_finite(tree):
  assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(tree))
