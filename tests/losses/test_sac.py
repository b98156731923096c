"""SAC's four equations against plain NumPy, and where their gradients stop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxskills.losses import sac

ALTERNATIVES, CRITICS, COMPONENTS, BATCH = 3, 2, 2, 5
WEIGHT = jnp.array([1.0, 0.0, 1.0, 1.0, 0.0])


@pytest.fixture
def terms():
  random = np.random.default_rng(0)
  values = random.normal(size=(ALTERNATIVES, CRITICS, BATCH)).astype(np.float32)
  weights = random.dirichlet(np.ones(ALTERNATIVES), BATCH).T.astype(np.float32)
  divergence = random.exponential(size=(COMPONENTS, BATCH)).astype(np.float32)
  alpha = np.array([0.3, 2.0], np.float32)
  return tuple(jnp.asarray(x) for x in (values, weights, divergence, alpha))


def numpy_soft_value(values, weights, divergence, alpha):
  """The same, one row and one alternative at a time."""
  rows = []
  for row in range(values.shape[-1]):
    value = 0.0
    for k in range(values.shape[0]):
      value += float(weights[k, row]) * min(float(v) for v in values[k, :, row])
    for c in range(divergence.shape[0]):
      value -= float(alpha[c]) * float(divergence[c, row])
    rows.append(value)
  return np.array(rows)


# ---- masked mean


def test_a_mean_counts_rows_by_their_weight():
  values = jnp.array([1.0, 100.0, 4.0])
  assert sac.masked_mean(values, jnp.array([1.0, 0.0, 1.0])) == pytest.approx(2.5)
  assert sac.masked_mean(values, jnp.array([0.25, 0.0, 0.5])) == pytest.approx(3.0)


def test_a_mean_over_no_rows_is_zero_and_has_no_gradient():
  value, gradient = jax.value_and_grad(sac.masked_mean)(jnp.array([3.0, 4.0]), jnp.zeros(2))
  assert value == 0.0
  np.testing.assert_array_equal(gradient, 0.0)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(-9, 9), st.booleans()), min_size=6, max_size=6))
def test_a_mean_with_masked_rows_is_the_mean_without_them(rows):
  values, counts = (np.array(column) for column in zip(*rows, strict=True))
  mean = sac.masked_mean(jnp.asarray(values, jnp.float32), jnp.asarray(counts, jnp.float32))
  expected = values[counts].mean() if counts.any() else 0.0
  assert mean == pytest.approx(expected, abs=1e-5)


# ---- soft value


def test_soft_value_is_the_expected_least_value_less_the_weighted_divergences(terms):
  np.testing.assert_allclose(sac.soft_value(*terms), numpy_soft_value(*terms), rtol=1e-5)


def test_soft_value_takes_the_least_critic_of_each_alternative_not_of_their_mean():
  values = jnp.array([[[1.0], [5.0]], [[5.0], [1.0]]])  # [alternative, critic, batch]
  value = sac.soft_value(values, jnp.full((2, 1), 0.5), jnp.zeros((1, 1)), jnp.ones(1))
  assert value[0] == pytest.approx(1.0)


# ---- target

REWARD = jnp.array([1.0, 1.0, 1.0, 1.0])
TERMINATED, TRUNCATED = jnp.array([0.0, 0.0, 1.0, 1.0]), jnp.array([0.0, 1.0, 0.0, 1.0])


def target(next_value, **options):
  options = {"gamma": 0.9, **options}
  discount = options.pop("discount", jnp.ones(4))
  return sac.bellman_target(REWARD, discount, TERMINATED, TRUNCATED, next_value, **options)


def test_target_bootstraps_through_time_limits_and_not_through_ends():
  np.testing.assert_allclose(target(jnp.full(4, 10.0)), [10.0, 10.0, 1.0, 1.0], rtol=1e-6)


def test_target_takes_time_limits_for_ends_when_told_to():
  values = target(jnp.full(4, 10.0), timeouts_terminate=True)
  np.testing.assert_allclose(values, [10.0, 1.0, 1.0, 1.0], rtol=1e-6)


def test_target_multiplies_gamma_by_the_transitions_discount():
  discount = jnp.array([0.5, 1.0, 0.5, 1.0])
  np.testing.assert_allclose(
    target(jnp.full(4, 10.0), discount=discount), [5.5, 10.0, 1.0, 1.0], rtol=1e-6
  )


def test_target_scales_the_reward_alone():
  np.testing.assert_allclose(
    target(jnp.full(4, 10.0), reward_scale=3.0), [12.0, 12.0, 3.0, 3.0], rtol=1e-6
  )


def test_target_is_clipped_on_both_sides_and_only_when_asked():
  np.testing.assert_allclose(target(jnp.full(4, 1e3), limit=4.0), [4.0, 4.0, 1.0, 1.0])
  np.testing.assert_allclose(target(jnp.full(4, -1e3), limit=4.0), [-4.0, -4.0, 1.0, 1.0])
  np.testing.assert_allclose(target(jnp.full(4, 1e3), limit=0.0)[:2], 901.0, rtol=1e-6)


def test_target_passes_no_gradient():
  gradient = jax.grad(lambda value: jnp.sum(target(value)))(jnp.ones(4))
  np.testing.assert_array_equal(gradient, 0.0)


# ---- critic


def test_critic_loss_is_half_the_squared_error_summed_over_critics():
  values = jnp.array([[1.0, 7.0], [3.0, 7.0]])
  loss, metrics = sac.critic_loss(values, jnp.array([0.0, 5.0]), jnp.array([1.0, 0.0]))
  assert loss == pytest.approx(0.5 * (1.0 + 9.0))
  assert metrics["value"] == pytest.approx(2.0)
  assert metrics["target_value"] == pytest.approx(0.0)


def test_critic_gradient_is_the_error_of_counted_rows():
  random = np.random.default_rng(1)
  values, goal = random.normal(size=(CRITICS, BATCH)), random.normal(size=BATCH)
  gradient = jax.grad(lambda v: sac.critic_loss(v, jnp.asarray(goal, jnp.float32), WEIGHT)[0])(
    jnp.asarray(values, jnp.float32)
  )
  np.testing.assert_allclose(gradient, WEIGHT * (values - goal) / WEIGHT.sum(), rtol=1e-4)


def test_critic_loss_passes_no_gradient_to_its_target():
  gradient = jax.grad(lambda goal: sac.critic_loss(jnp.ones((2, BATCH)), goal, WEIGHT)[0])(
    jnp.zeros(BATCH)
  )
  np.testing.assert_array_equal(gradient, 0.0)


# ---- policy


def test_policy_loss_is_minus_the_mean_soft_value_of_counted_rows(terms):
  loss, _ = sac.policy_loss(*terms, WEIGHT)
  assert loss == pytest.approx(-numpy_soft_value(*terms)[WEIGHT > 0].mean(), rel=1e-5)


def test_policy_gradient_climbs_the_least_value_and_descends_the_divergence(terms):
  values, weights, divergence, alpha = terms
  by_value, by_weight, by_divergence = jax.grad(
    lambda v, w, d: sac.policy_loss(v, w, d, alpha, WEIGHT)[0], argnums=(0, 1, 2)
  )(values, weights, divergence)
  share = WEIGHT / WEIGHT.sum()
  is_least = np.asarray(values) == np.asarray(values).min(axis=1, keepdims=True)
  np.testing.assert_allclose(by_value, -share * np.asarray(weights)[:, None] * is_least, rtol=1e-5)
  np.testing.assert_allclose(by_weight, -share * np.asarray(values).min(axis=1), rtol=1e-5)
  np.testing.assert_allclose(by_divergence, share * np.asarray(alpha)[:, None], rtol=1e-5)


def test_policy_loss_passes_no_gradient_to_alpha(terms):
  *others, alpha = terms
  gradient = jax.grad(lambda a: sac.policy_loss(*others, a, WEIGHT)[0])(alpha)
  np.testing.assert_array_equal(gradient, 0.0)


# ---- alpha


def test_alpha_loss_is_alpha_times_the_distance_to_the_target(terms):
  _, _, divergence, alpha = terms
  goal = jnp.array([1.0, 0.5])
  loss, _ = sac.alpha_loss(jnp.log(alpha), divergence, goal, WEIGHT)
  rows = np.asarray(divergence)[:, WEIGHT > 0]
  expected = sum(float(alpha[c]) * (float(goal[c]) - rows[c].mean()) for c in range(COMPONENTS))
  assert loss == pytest.approx(expected, rel=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.0, 5.0), st.floats(0.0, 5.0), st.floats(-3.0, 3.0))
def test_descent_raises_alpha_exactly_where_the_policy_strays_beyond_the_target(d, goal, log_alpha):
  def loss(log_alpha):
    return sac.alpha_loss(log_alpha, jnp.full((1, 4), d), jnp.array([goal]), jnp.ones(4))[0]

  step = -jax.grad(loss)(jnp.array([log_alpha]))[0]
  assert step == pytest.approx(np.exp(log_alpha) * (d - goal), rel=1e-4, abs=1e-4)


def test_alpha_ignores_masked_rows_and_stands_still_without_any():
  divergence = jnp.array([[2.0, 1e6]])
  gradient = jax.grad(lambda x, w: sac.alpha_loss(x, divergence, jnp.ones(1), w)[0])
  assert gradient(jnp.zeros(1), jnp.array([1.0, 0.0]))[0] == pytest.approx(-1.0)
  assert gradient(jnp.zeros(1), jnp.zeros(2))[0] == 0.0


def test_alpha_loss_passes_no_gradient_to_the_divergence(terms):
  _, _, divergence, alpha = terms
  gradient = jax.grad(lambda d: sac.alpha_loss(jnp.log(alpha), d, jnp.ones(2), WEIGHT)[0])(
    divergence
  )
  np.testing.assert_array_equal(gradient, 0.0)
