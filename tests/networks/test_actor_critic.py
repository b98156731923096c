"""PPO's networks: who sees what, how they begin, and the activation's slope."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.networks.actor_critic import Actor, Critic, rescaled
from jaxskills.networks.mlp import Mlp, elu
from jaxskills.networks.normalizer import Moments, deviation

KEY = jax.random.key(0)
OBSERVATION = {
  "state": jax.random.normal(jax.random.key(1), (5, 3)),
  "privileged": jax.random.normal(jax.random.key(2), (5, 2)),
}


def test_the_actor_has_no_way_to_see_what_the_critic_sees():
  actor, critic = Actor(2, hidden=(8,)), Critic(hidden=(8,))
  actor_params, critic_params = actor.init(KEY, OBSERVATION), critic.init(KEY, OBSERVATION)
  by_actor = jax.grad(lambda seen: actor.apply(actor_params, seen).mean.sum())(OBSERVATION)
  by_critic = jax.grad(lambda seen: critic.apply(critic_params, seen).sum())(OBSERVATION)
  assert not np.any(by_actor["privileged"]) and np.all(by_actor["state"])
  assert np.all(by_critic["privileged"]) and np.all(by_critic["state"])
  alone = actor.apply(actor_params, {"state": OBSERVATION["state"]})
  np.testing.assert_array_equal(alone.mean, actor.apply(actor_params, OBSERVATION).mean)


@pytest.mark.parametrize("state_dependent_std", [False, True])
def test_the_actor_begins_near_0_with_the_deviation_it_was_told(state_dependent_std):
  actor = Actor(2, hidden=(64, 32), initial_std=0.5, state_dependent_std=state_dependent_std)
  gaussian = actor.apply(actor.init(KEY, OBSERVATION), OBSERVATION)
  assert np.abs(gaussian.mean).max() < 0.3
  tolerance = 0.3 if state_dependent_std else 1e-6
  np.testing.assert_allclose(np.exp(gaussian.log_std), 0.5, rtol=tolerance)


def test_moving_the_units_of_a_critic_moves_none_of_its_values():
  critic = Critic(hidden=(8,))
  params = critic.init(KEY, OBSERVATION)
  before = Moments(jnp.asarray(0.5), jnp.asarray(4.0), jnp.asarray(10.0))
  after = Moments(jnp.asarray(-3.0), jnp.asarray(0.25), jnp.asarray(20.0))

  def values(params, moments):
    return critic.apply(params, OBSERVATION) * deviation(moments) + moments.mean

  moved = rescaled(params, before, after)
  np.testing.assert_allclose(values(moved, after), values(params, before), rtol=1e-5)
  assert not np.allclose(values(params, after), values(params, before))


def test_elu_and_its_slope_are_those_of_the_definition():
  value = jnp.array([-30.0, -2.0, -1e-3, 0.0, 1e-3, 3.0, 200.0])
  np.testing.assert_allclose(elu(value), jax.nn.elu(value), atol=1e-7)
  slope = jax.vmap(jax.grad(elu))(value)
  np.testing.assert_allclose(slope, jax.vmap(jax.grad(jax.nn.elu))(value), atol=1e-6)
  _, along = jax.jvp(elu, (value,), (jnp.ones_like(value),))
  np.testing.assert_array_equal(along, slope)


def test_a_stack_names_its_activation_and_is_leaky_without_a_name():
  value = jax.random.normal(KEY, (4, 3))
  params = Mlp((6,)).init(KEY, value)
  inner = value @ params["params"]["dense_0"]["kernel"] + params["params"]["dense_0"]["bias"]
  np.testing.assert_allclose(Mlp((6,)).apply(params, value), jax.nn.leaky_relu(inner, 0.2))
  np.testing.assert_allclose(
    Mlp((6,), activation="elu").apply(params, value), jax.nn.elu(inner), atol=1e-6
  )
