"""The skill model as a whole: what each part may learn from, and that it learns."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.distributions import Gaussian, kl, sample
from jaxskills.learners import skill_prior
from jaxskills.learners.optimizer import make_optimizer
from jaxskills.learners.skill_prior import SkillPriorConfig, make_networks, make_skill_prior
from jaxskills.networks.policy import GaussianPolicy
from jaxskills.types import EnvSpec

SPEC = EnvSpec({"state": jax.ShapeDtypeStruct((1,), jnp.float32)}, 2, 1.0, 0.01)
SMALL = SkillPriorConfig(
  skill_size=2, horizon=4, width=16, inputs=("state",), hidden=(16, 16), optimizer="adam"
)


class Windows(NamedTuple):
  """The least that the learner asks for."""

  observation: Any
  actions: jax.Array


class ObservedWindows(NamedTuple):
  """Windows for closed-loop skills."""

  observation: Any
  actions: jax.Array
  observations: Any


def demonstrations(key: jax.Array, batch: int = 32, horizon: int = 4) -> Windows:
  """Where the state is 1, constant actions go right; where it is -1, left; speeds vary."""
  side_key, speed_key = jax.random.split(key)
  side = jnp.where(jax.random.bernoulli(side_key, 0.5, (batch, 1)), 1.0, -1.0)
  speed = jax.random.uniform(speed_key, (batch, 1), minval=0.3, maxval=0.9)
  action = jnp.concatenate([side * speed, 0.5 - speed], axis=-1)
  return Windows({"state": side}, jnp.repeat(action[:, None], horizon, axis=1))


@functools.cache
def fresh(config: SkillPriorConfig) -> tuple[Any, Any]:
  """A learner and its first state; compiled, and once per configuration."""
  learner = make_skill_prior(config, SPEC)
  compiled = learner._replace(update=jax.jit(learner.update), act=jax.jit(learner.act))
  return compiled, jax.jit(learner.init)(jax.random.key(0))


@functools.cache
def compiled(name: str, config: SkillPriorConfig) -> Any:
  """`skill_prior.<name>` of `config`, compiled."""
  return jax.jit(functools.partial(getattr(skill_prior, name), config, SPEC))


def gradient_of(config: SkillPriorConfig, batch: Any) -> tuple[Any, Any]:
  """Parameters before and after one update: what moved, moved by a gradient."""
  learner, state = fresh(config)
  after, metrics = learner.update(state, batch, jax.random.key(1))
  moved = jax.tree.map(lambda a, b: float(jnp.max(jnp.abs(a - b))), state.params, after.params)
  return moved, metrics


def test_it_learns_skills_and_which_of_them_a_state_calls_for():
  learner, init = fresh(SMALL._replace(learning_rate=3e-3))

  def step(state, number):
    data_key, key = jax.random.split(jax.random.fold_in(jax.random.key(2), number))
    return learner.update(state, demonstrations(data_key), key)

  state, metrics = jax.jit(lambda s: jax.lax.scan(step, s, jnp.arange(400)))(init)
  assert np.mean(metrics["reconstruction"][-20:]) < 0.1 * metrics["reconstruction"][0]
  assert int(state.step) == 400
  seen = {"state": jnp.repeat(jnp.array([[1.0], [-1.0]]), 100, axis=0)}
  skills = learner.act(state.params, seen, jax.random.key(3))
  actions = compiled("decode", SMALL)(state.params, skills)
  right = np.asarray(actions[:, :, 0]).mean(axis=1)
  # 0.5 were the prior blind to the state
  assert np.mean(right[:100] > 0) > 0.85 and np.mean(right[100:] < 0) > 0.85


def test_reconstruction_and_regularisation_ignore_the_prior_and_the_prior_ignores_them():
  learner, state = fresh(SMALL)
  params = state.params
  batch = demonstrations(jax.random.key(1))

  def term(params, name):
    posterior = compiled("encode", SMALL)(params, batch.actions)
    skill = sample(posterior, jax.random.key(2))
    decoded = compiled("decode", SMALL)(params, skill)
    prior = compiled("prior", SMALL)(params, batch.observation)
    return skill_prior.skill_vae(batch.actions, decoded, posterior, skill, prior, beta=1.0)[1][name]

  def is_moved(name):
    gradient = jax.jit(jax.grad(term), static_argnums=1)(params, name)
    return {
      part: any(np.any(np.asarray(leaf) != 0) for leaf in jax.tree.leaves(gradient[part]))
      for part in ("encoder", "decoder", "prior")
    }

  assert is_moved("reconstruction") == {"encoder": True, "decoder": True, "prior": False}
  assert is_moved("regularization") == {"encoder": True, "decoder": False, "prior": False}
  assert is_moved("prior") == {"encoder": False, "decoder": False, "prior": True}


def test_one_update_moves_every_part():
  moved, metrics = gradient_of(SMALL, demonstrations(jax.random.key(1)))
  for part in ("encoder", "decoder", "prior"):
    assert max(jax.tree.leaves(moved[part])) > 0
  assert set(metrics) == {"loss", "reconstruction", "regularization", "prior"}


def test_metrics_are_the_losses_at_the_old_parameters():
  learner, state = fresh(SMALL)
  batch, key = demonstrations(jax.random.key(1)), jax.random.key(4)
  _, metrics = learner.update(state, batch, key)
  posterior = compiled("encode", SMALL)(state.params, batch.actions)
  decoded = compiled("decode", SMALL)(state.params, sample(posterior, key))
  error = np.sum((np.asarray(batch.actions) - decoded) ** 2, axis=(1, 2)).mean()
  np.testing.assert_allclose(metrics["reconstruction"], error, rtol=1e-5)
  prior = compiled("prior", SMALL)(state.params, batch.observation)
  np.testing.assert_allclose(metrics["prior"], jnp.mean(kl(posterior, prior)), rtol=1e-4)
  terms = [metrics[name] for name in ("reconstruction", "regularization", "prior")]
  np.testing.assert_allclose(metrics["loss"], np.dot(terms, [1.0, SMALL.beta, 1.0]), rtol=1e-5)


def test_beta_and_scaling_reach_the_loss():
  config = SMALL._replace(beta=2.0, loss_scaling="released_code")
  _, metrics = gradient_of(config, demonstrations(jax.random.key(1)))
  expected = 0.5 * metrics["reconstruction"] / 8
  expected += (2.0 * metrics["regularization"] + metrics["prior"]) / 2
  np.testing.assert_allclose(metrics["loss"], expected, rtol=1e-5)


def test_acting_without_a_key_is_the_mean_of_the_prior():
  learner, state = fresh(SMALL)
  params = state.params
  seen = {"state": jnp.ones((3, 1))}
  prior = compiled("prior", SMALL)(params, seen)
  assert isinstance(prior, Gaussian)
  np.testing.assert_array_equal(learner.act(params, seen), prior.mean)
  assert np.any(np.asarray(learner.act(params, seen, jax.random.key(1))) != prior.mean)


def test_a_policy_of_the_same_shape_takes_the_priors_parameters():
  params = fresh(SMALL)[1].params
  policy = GaussianPolicy(SMALL.skill_size, SMALL.inputs, SMALL.hidden)
  seen = {"state": jnp.ones((3, 1))}
  np.testing.assert_array_equal(
    policy.apply(params["prior"], seen).mean, compiled("prior", SMALL)(params, seen).mean
  )


def test_a_state_conditioned_decoder_trains_and_looks():
  config = SMALL._replace(condition_on=("state",))
  moved, _ = gradient_of(config, demonstrations(jax.random.key(1)))
  assert min(jax.tree.leaves(moved["decoder"]["params"]["first_state"])) > 0
  params = fresh(config)[1].params
  skill = jnp.zeros((1, 2))
  sides = [
    compiled("decode", config)(params, skill, {"state": jnp.full((1, 1), x)}) for x in (1.0, -1.0)
  ]
  assert np.any(np.asarray(sides[0]) != np.asarray(sides[1]))


def test_a_closed_loop_decoder_is_fitted_step_by_step_to_what_was_seen():
  config = SMALL._replace(closed_loop=("state",))
  batch = demonstrations(jax.random.key(1))
  states = jnp.asarray(np.random.default_rng(5).normal(size=(32, 4, 1)), jnp.float32)
  batch = ObservedWindows(*batch, {"state": states})
  moved, metrics = gradient_of(config, batch)
  assert max(jax.tree.leaves(moved["decoder"])) > 0
  params = fresh(config)[1].params
  posterior = compiled("encode", config)(params, batch.actions, batch.observations)
  skill = sample(posterior, jax.random.key(1))
  error = 0.0
  for step in range(4):
    seen = {"state": states[:, step]}
    action = compiled("decode_step", config)(params, seen, skill)
    error += np.sum((np.asarray(batch.actions[:, step]) - action) ** 2, axis=1).mean()
  np.testing.assert_allclose(metrics["reconstruction"], error, rtol=1e-5)


def test_each_kind_of_decoder_refuses_the_others_call():
  closed = SMALL._replace(closed_loop=("state",))
  seen, skill = {"state": jnp.ones((1, 1))}, jnp.zeros((1, 2))
  with pytest.raises(ValueError, match="decode_step"):
    skill_prior.decode(closed, SPEC, {}, skill, seen)
  with pytest.raises(ValueError, match="use decode"):
    skill_prior.decode_step(SMALL, SPEC, {}, seen, skill)


@pytest.mark.parametrize(
  ("wrong", "message"),
  [
    ({"horizon": 0}, "horizon must be at least 1, not 0"),
    ({"inputs": ("view",)}, "no modality 'view'"),
    ({"condition_on": ("state",), "closed_loop": ("state",)}, "either"),
  ],
)
def test_impossible_configurations_are_refused_before_tracing(wrong, message):
  with pytest.raises(ValueError, match=message):
    make_skill_prior(SMALL._replace(**wrong), SPEC)


def test_the_published_model_has_the_published_sizes():
  spec = EnvSpec({"view": jax.ShapeDtypeStruct((32, 32, 2), jnp.uint8)}, 2, 1.0, 0.01)
  learner = make_skill_prior(SkillPriorConfig(), spec)
  params = jax.eval_shape(learner.init, jax.random.key(0)).params
  sizes = jax.tree.map(lambda x: x.shape, params)
  assert sizes["encoder"]["params"]["lstm"]["recurrent"] == (128, 512)
  assert sizes["decoder"]["params"]["step"]["lstm"]["recurrent"] == (128, 512)
  assert sizes["decoder"]["params"]["skill"]["kernel"] == (10, 512)
  kernels = sizes["prior"]["params"]["encoder"]["view"]
  assert [kernels[f"conv_{i}"]["kernel"] for i in range(3)] == [
    (3, 3, 2, 8),
    (3, 3, 8, 16),
    (3, 3, 16, 32),
  ]
  assert make_networks(SkillPriorConfig(), spec).prior.hidden == (128,) * 6


def test_radam_takes_no_leap_on_a_huge_first_gradient_and_clips_only_early():
  optimizer = make_optimizer("radam", 1e-3)
  params = {"w": jnp.zeros(4)}
  state = optimizer.init(params)
  step = jax.jit(optimizer.update)
  updates, state = step({"w": jnp.full(4, 1e6)}, state, params)
  assert float(jnp.max(jnp.abs(updates["w"]))) < 1e-5
  for _ in range(99):
    _, state = step({"w": jnp.full(4, 1e6)}, state, params)
  clip, moments = state[0], state[1]
  assert int(clip.step) == 100
  before = float(moments[0].mu["w"][0])
  _, state = step({"w": jnp.full(4, 1e6)}, state, params)
  assert float(state[1][0].mu["w"][0]) - 0.9 * before == pytest.approx(1e5, rel=1e-3)
