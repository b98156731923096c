"""Table-sized networks, batches and worlds whose soft optimum is known, for the tests of SAC.

An observation names one of two states, and values are quadratic in the unsquashed action, so that
the best Gaussian policy is known in closed form and its value by quadrature.
"""

import functools
import math
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxskills import distributions
from jaxskills.distributions import Gaussian
from jaxskills.learners.action_type import ActionType, gaussian_prior, uniform_prior
from jaxskills.learners.sac import SacConfig, make_sac
from jaxskills.types import EnvSpec, Transition

KEY = jax.random.key(0)
LIMIT = 2.0
SPEC = EnvSpec({"state": jax.ShapeDtypeStruct((2,), jnp.float32)}, 1, LIMIT, 0.1)


class TablePolicy(nn.Module):
  """A Gaussian for each state, or for each state and skill if there are several."""

  shape: tuple[int, ...] = (1,)

  @nn.compact
  def __call__(self, observation):
    def table(name, init):
      entries = self.param(name, init, (2, *self.shape))
      return jnp.tensordot(observation["state"], entries, 1)

    mean = table("mean", nn.initializers.normal(0.1))
    return distributions.clamped(mean, table("log_std", nn.initializers.constant(-0.5)))


class TableCritic(nn.Module):
  """Two quadratics of the unsquashed action for each state."""

  @nn.compact
  def __call__(self, observation, action):
    features = quadratic(observation["state"], action)
    return jnp.stack([nn.Dense(1, name=name)(features)[:, 0] for name in ("first", "second")])


def quadratic(state, action):
  draw = LIMIT * jnp.arctanh(jnp.clip(action / LIMIT, -0.9999, 0.9999))
  powers = jnp.concatenate([jnp.ones_like(draw), draw, draw**2], axis=-1)
  return (state[:, :, None] * powers[:, None, :]).reshape(len(state), -1)


class Parts(NamedTuple):
  """What `make_sac` puts together."""

  action_type: ActionType
  policy: nn.Module
  critic: nn.Module


GAUSSIAN = Parts(gaussian_prior(LIMIT), TablePolicy(), TableCritic())
UNIFORM = Parts(uniform_prior(LIMIT), TablePolicy(), TableCritic())


def sac(config, parts=GAUSSIAN, **options):
  return make_sac(config, SPEC, **parts._asdict(), **options)


@functools.partial(jax.jit, static_argnames="parts")
def init(config, parts=GAUSSIAN):
  """The learner's initial state; its numbers are traced, so that the tests share one program."""
  return sac(config, parts).init(KEY)


@functools.partial(jax.jit, static_argnames="parts")
def update(config, state, batch, key=KEY, parts=GAUSSIAN):
  return sac(config, parts).update(state, batch, key)


def batch_of(seed=0, size=16, **fields):
  random = np.random.default_rng(seed)

  def array(*shape):
    return jnp.asarray(random.normal(size=(size, *shape)), jnp.float32)

  def flag():
    return jnp.asarray(random.integers(0, 2, size), jnp.float32)

  batch = Transition(
    observation={"state": array(2)},
    action=LIMIT * jnp.tanh(array(1) / LIMIT),
    reward=array(),
    terminated=flag(),
    truncated=flag(),
    next_observation={"state": array(2)},
    discount=jnp.abs(array()),
    weight=flag(),
    prior=Gaussian(array(1), 0.3 * array(1)),
    next_prior=Gaussian(array(1), 0.3 * array(1)),
  )
  return batch._replace(**fields)


WITHOUT_PRIOR = {"prior": (), "next_prior": ()}


def scalar(log_alpha):
  assert log_alpha.shape == (1,)
  return float(log_alpha[0])


def assert_close(tree, other, tolerance=1e-5):
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance), tree, other
  )


CONFIG = SacConfig(
  gamma=0.9,
  tau=0.25,
  policy_learning_rate=0.03,
  critic_learning_rate=0.02,
  alpha_learning_rate=0.1,
  target_divergence=0.4,
  alpha=0.7,
  reward_scale=1.5,
)


def a_few_updates(config, parts=GAUSSIAN):
  """A state whose optimisers and target critics have already moved."""
  state = init(config, parts)
  for step in range(3):
    batch = batch_of(step, **(WITHOUT_PRIOR if parts is UNIFORM else {}))
    state, _ = update(config, state, batch, jax.random.fold_in(KEY, step), parts)
  return state


class Quadratic(NamedTuple):
  """The reward `height - curvature / 2 (u - centre)^2` of an unsquashed action `u`."""

  height: float
  curvature: float
  centre: float

  def __call__(self, draw):
    return self.height - 0.5 * self.curvature * (draw - self.centre) ** 2

  def best_policy(self, prior_mean, prior_std, alpha):
    """Mean and deviation of `p(u) exp(r(u) / alpha)`, a Gaussian."""
    precision = prior_std**-2 + self.curvature / alpha
    mean = (prior_mean * prior_std**-2 + self.curvature * self.centre / alpha) / precision
    return mean, precision**-0.5

  def soft_value(self, prior_mean, prior_std, alpha):
    """`alpha log E_p[exp(r / alpha)]`, by quadrature."""
    draws = np.linspace(-12, 12, 20_001)
    prior = np.exp(-0.5 * ((draws - prior_mean) / prior_std) ** 2)
    prior /= prior.sum()
    return alpha * np.log(np.sum(prior * np.exp(self(draws) / alpha)))


def divergence_between(mean, std, prior_mean, prior_std):
  gap = (std**2 + (mean - prior_mean) ** 2) / prior_std**2
  return 0.5 * (gap - 1) - math.log(std / prior_std)


REWARDS = (Quadratic(0.5, 1.0, 0.8), Quadratic(-0.2, 2.0, -0.5))
PRIOR_MEAN, PRIOR_STD = 0.1, 0.6


FAST = SacConfig(
  gamma=0.5,
  tau=0.05,
  policy_learning_rate=3e-3,
  critic_learning_rate=1e-2,
  alpha_learning_rate=1e-2,
  alpha=0.5,
  learn_alpha=False,
)


@functools.partial(jax.jit, static_argnames=("parts", "world"))
def train(config, parts, world):
  """The state and metrics of 3,000 updates on fresh transitions."""
  learner = sac(config, parts)

  def step(state, key):
    world_key, update_key = jax.random.split(key)
    return learner.update(state, world(world_key), update_key)

  return jax.lax.scan(step, learner.init(KEY), jax.random.split(jax.random.key(1), 3000))
