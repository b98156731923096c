"""A discrete skill with a continuous argument (EXTRACT) is another action type, same learner."""

import math
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills import distributions
from jaxskills.distributions import Gaussian
from jaxskills.learners.action_type import ActionType, Alternatives
from jaxskills.types import Transition
from tests.learners.tables import (
  CONFIG,
  FAST,
  KEY,
  LIMIT,
  PRIOR_MEAN,
  PRIOR_STD,
  REWARDS,
  Parts,
  TablePolicy,
  init,
  quadratic,
  sac,
  train,
  update,
)

SKILLS = 2


class Hybrid(NamedTuple):
  """Logits of the skill `[B, K]` and, for each skill, a Gaussian over its argument `[B, K, 1]`."""

  logits: jax.Array
  argument: Gaussian


def hybrid_action() -> ActionType:
  """EXTRACT, equations 3 to 5: the expectation over skills in full, one argument drawn for each."""

  def alternatives(output, key):
    draw = distributions.sample(output.argument, key)
    batch = output.logits.shape[0]
    skill = jnp.broadcast_to(jnp.arange(SKILLS)[:, None], (SKILLS, batch))
    argument = jnp.moveaxis(distributions.squash(draw, LIMIT), 1, 0)
    weights = jax.nn.softmax(output.logits).T
    return Alternatives({"skill": skill, "argument": argument}, weights, draw)

  def divergence(output, prior, draw):
    del draw
    probability = jax.nn.softmax(output.logits)
    ratio = jax.nn.log_softmax(output.logits) - jax.nn.log_softmax(prior.logits)
    of_skill = jnp.sum(probability * ratio, axis=-1)
    of_argument = jnp.sum(probability * distributions.kl(output.argument, prior.argument), axis=-1)
    return jnp.stack([of_skill, of_argument])

  def sample(output, key):
    skill_key, argument_key = jax.random.split(key)
    skill = jax.random.categorical(skill_key, output.logits)
    chosen = jax.tree.map(lambda x: x[jnp.arange(len(skill)), skill], output.argument)
    argument = distributions.squash(distributions.sample(chosen, argument_key), LIMIT)
    return {"skill": skill, "argument": argument}

  def mode(output):
    skill = jnp.argmax(output.logits, axis=-1)
    mean = output.argument.mean[jnp.arange(len(skill)), skill]
    return {"skill": skill, "argument": distributions.squash(mean, LIMIT)}

  return ActionType(
    ("skill", "argument"),
    alternatives,
    divergence,
    sample,
    lambda output, prior, key: sample(prior, key),
    mode,
  )


class HybridPolicy(nn.Module):
  """Logits and one Gaussian for each skill, looked up by state."""

  @nn.compact
  def __call__(self, observation):
    logits = nn.Dense(SKILLS, use_bias=False, name="skill")(observation["state"])
    return Hybrid(logits, TablePolicy((SKILLS, 1), name="argument")(observation))


class HybridCritic(nn.Module):
  """A head for each skill; the head of the action's own skill answers."""

  @nn.compact
  def __call__(self, observation, action):
    features = quadratic(observation["state"], action["argument"])
    heads = [nn.Dense(SKILLS, name=name)(features) for name in ("first", "second")]
    return jnp.stack([head[jnp.arange(len(head)), action["skill"]] for head in heads])


def hybrid_bandit(key, size=128):
  """One decision: the skill chooses which quadratic rewards the argument."""
  skill_key, action_key = jax.random.split(key)
  skill = jax.random.randint(skill_key, (size,), 0, SKILLS)
  draw = jax.random.uniform(action_key, (size, 1), minval=-2.0, maxval=2.0)
  gaussian = Gaussian(
    jnp.full((size, SKILLS, 1), PRIOR_MEAN), jnp.full((size, SKILLS, 1), math.log(PRIOR_STD))
  )
  prior = Hybrid(jnp.tile(jnp.log(jnp.array([0.3, 0.7])), (size, 1)), gaussian)
  observation = {"state": jnp.tile(jnp.array([1.0, 0.0]), (size, 1))}
  return Transition(
    observation=observation,
    action={"skill": skill, "argument": LIMIT * jnp.tanh(draw / LIMIT)},
    reward=jnp.where(skill == 0, REWARDS[0](draw[:, 0]), REWARDS[1](draw[:, 0])),
    terminated=jnp.ones(size),
    truncated=jnp.zeros(size),
    next_observation=observation,
    discount=jnp.ones(size),
    weight=jnp.ones(size),
    prior=prior,
    next_prior=prior,
  )


HYBRID = Parts(hybrid_action(), HybridPolicy(), HybridCritic())


def test_a_hybrid_action_finds_its_soft_optimum_with_the_same_learner():
  alpha_skill, alpha_argument = 0.8, 0.4
  config = FAST._replace(alpha=(alpha_skill, alpha_argument))
  state, metrics = train(config, HYBRID, hybrid_bandit)
  output = HybridPolicy().apply(state.policy, {"state": jnp.array([[1.0, 0.0]])})
  soft_values = []
  for skill, reward in enumerate(REWARDS):
    mean, std = reward.best_policy(PRIOR_MEAN, PRIOR_STD, alpha_argument)
    assert output.argument.mean[0, skill, 0] == pytest.approx(mean, abs=0.06)
    assert jnp.exp(output.argument.log_std[0, skill, 0]) == pytest.approx(std, abs=0.05)
    soft_values.append(reward.soft_value(PRIOR_MEAN, PRIOR_STD, alpha_argument))
  best = np.array([0.3, 0.7]) * np.exp(np.array(soft_values) / alpha_skill)
  np.testing.assert_allclose(jax.nn.softmax(output.logits)[0], best / best.sum(), atol=0.03)
  assert metrics["alpha_skill"][-1] == pytest.approx(alpha_skill)
  assert metrics["alpha_argument"][-1] == pytest.approx(alpha_argument)


def test_each_divergence_has_an_alpha_and_a_target_of_its_own():
  config = CONFIG._replace(target_divergence=(1e-4, 1e3))
  before = init(config, HYBRID)
  after, metrics = update(config, before, hybrid_bandit(KEY), parts=HYBRID)
  assert metrics["divergence_skill"] > 1e-4
  assert after.log_alpha[0] > before.log_alpha[0]
  assert after.log_alpha[1] < before.log_alpha[1]


def test_a_hybrid_action_is_drawn_and_chosen_as_one_skill_with_its_argument():
  learner, observation = sac(CONFIG, HYBRID), {"state": jnp.eye(2)}
  params = HybridPolicy().init(KEY, observation)
  for key in (None, KEY):
    action = learner.act(params, observation, key)
    assert action["skill"].shape == (2,)
    assert action["argument"].shape == (2, 1)
