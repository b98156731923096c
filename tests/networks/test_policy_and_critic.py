"""The policy can be a copy of the prior; the twins are two."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxskills.networks.critic import TwinCritic
from jaxskills.networks.encoder import Scaling
from jaxskills.networks.policy import GaussianPolicy


def observation(batch: int = 3) -> dict[str, jax.Array]:
  random = np.random.default_rng(0)
  view = random.integers(0, 256, (batch, 32, 32, 2), np.uint8)
  state = random.normal(size=(batch, 4)).astype(np.float32)
  return {"view": jnp.asarray(view), "state": jnp.asarray(state)}


def test_a_policy_started_from_a_prior_says_what_the_prior_says():
  seen = observation()
  prior, policy = GaussianPolicy(10), GaussianPolicy(10)
  said, params = jax.jit(prior.init_with_output)(jax.random.key(0), seen)
  assert jax.tree.map(jnp.shape, params) == jax.tree.map(
    jnp.shape, jax.jit(policy.init)(jax.random.key(1), seen)
  )
  repeated = jax.jit(policy.apply)(params, seen)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), repeated, said)


def test_a_policy_has_six_layers_of_128_and_a_head_per_parameter():
  params = jax.jit(GaussianPolicy(10).init)(jax.random.key(0), observation())["params"]
  assert sorted(params) == ["encoder", "head", "mlp"]
  kernels = [params["mlp"][f"dense_{index}"]["kernel"].shape for index in range(6)]
  assert kernels == [(512, 128)] + [(128, 128)] * 5
  assert params["head"]["dense"]["kernel"].shape == (128, 20)


def test_twin_critics_are_independent_and_see_what_is_declared():
  seen, action = observation(), jnp.ones((3, 10))
  critic = TwinCritic()
  values, params = jax.jit(critic.init_with_output)(jax.random.key(0), seen, action)
  assert values.shape == (2, 3)
  assert np.all(np.asarray(values[0]) != np.asarray(values[1]))
  other = {**seen, "view": 255 - seen["view"]}
  np.testing.assert_allclose(critic.apply(params, other, action), values, rtol=1e-4)

  def first(params):
    return jnp.sum(critic.apply(params, seen, action)[0])

  gradient = jax.jit(jax.grad(first))(params)["params"]
  assert all(np.any(np.asarray(leaf) != 0) for leaf in jax.tree.leaves(gradient["first"]))
  assert all(np.all(np.asarray(leaf) == 0) for leaf in jax.tree.leaves(gradient["second"]))


def test_critics_judge_the_action():
  seen = observation()
  critic = TwinCritic(hidden=(16,))
  params = jax.jit(critic.init)(jax.random.key(0), seen, jnp.zeros((3, 2)))
  gradient = jax.jit(jax.grad(lambda a: jnp.sum(critic.apply(params, seen, a))))(jnp.zeros((3, 2)))
  assert np.all(np.asarray(gradient) != 0)


def test_scaling_given_to_a_critic_is_applied():
  seen, action = observation(), jnp.zeros((3, 2))
  plain, scaled = TwinCritic(), TwinCritic(scaling={"state": Scaling((0.0,) * 4, (2.0,) * 4)})
  params = jax.jit(plain.init)(jax.random.key(0), seen, action)
  doubled = {"state": 2.0 * seen["state"]}
  np.testing.assert_allclose(
    jax.jit(scaled.apply)(params, seen, action),
    jax.jit(plain.apply)(params, doubled, action),
    rtol=1e-5,
  )
