"""The on-policy loop: what a rollout holds, what is counted, and what a run does not depend on."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.envs.base import Env, State, typed_key
from jaxskills.envs.wrappers.auto_reset import AutoReset
from jaxskills.envs.wrappers.episode import EpisodeLimit, EpisodeStatistics
from jaxskills.envs.wrappers.quarantine import Quarantine
from jaxskills.learners.ppo import PpoConfig, make_ppo
from jaxskills.training import checkpoint, sharding
from jaxskills.training.on_policy import OnPolicyConfig, make_on_policy
from jaxskills.training.worlds import place_worlds
from jaxskills.types import Learner, Transition

LENGTH = 6  # steps per episode
END = 1.1  # position at which the world ends
SIZES = OnPolicyConfig(worlds=4, unroll=4, iterations_per_chunk=2)


class Place(NamedTuple):
  position: jax.Array


class Line(Env):
  """A point on a line: the action moves it, being far to the right pays and ends the world."""

  def reset(self, key):
    data = Place(jax.random.uniform(typed_key(key), (1,)))
    metrics = {"speed": jnp.zeros(())}
    return State(data, self.observe(data), jnp.zeros(()), jnp.zeros(()), metrics)

  def advance(self, state, action):
    position = state.data.position + 0.1 * action
    over = (position[0] > END).astype(jnp.float32)
    metrics = {"speed": jnp.abs(action[0])}
    return state.replace(data=Place(position), reward=position[0], done=over, metrics=metrics)

  def observe(self, data):
    return {"state": data.position}

  @property
  def action_size(self):
    return 1

  @property
  def step_seconds(self):
    return 0.1


class Remembered(NamedTuple):
  params: Any
  step: jax.Array
  rollout: Any
  key: jax.Array


def recorder(sizes) -> Learner[Remembered, Transition]:
  """Learns nothing and keeps the latest rollout; acts by noise alone."""

  def act(params, observation, key):
    return params + jax.vmap(lambda key: jax.random.normal(key, (1,)))(key)

  def blank():
    shape = (sizes.unroll, sizes.worlds)
    flat = jnp.zeros(shape)
    seen = {"state": jnp.zeros((*shape, 1))}
    return Transition(seen, jnp.zeros((*shape, 1)), flat, flat, flat, seen, flat, flat)

  def init(key):
    return Remembered(jnp.zeros(()), jnp.zeros((), jnp.int32), blank(), key)

  def update(state, rollout, key):
    return Remembered(state.params, state.step + 3, rollout, key), {"loss": jnp.ones(())}

  return Learner(init, update, act)


def make_env():
  return AutoReset(EpisodeStatistics(Quarantine(EpisodeLimit(Line(), LENGTH))), pool_size=8)


def recording(sizes=SIZES, chunks=1):
  """State and metrics after some chunks of one rollout each, and the rollouts one after another."""
  loop = make_on_policy(sizes._replace(iterations_per_chunk=1), make_env(), recorder(sizes))
  state, chunk = jax.jit(loop.init)(jax.random.key(3)), jax.jit(loop.chunk)
  states, rollouts, metrics = [state], [], {}
  for _ in range(chunks):
    state, metrics = chunk(state)
    states.append(state)
    rollouts.append(state.learner.rollout)
  return states, jax.tree.map(lambda *leaves: np.concatenate(leaves), *rollouts), metrics


@pytest.fixture(scope="module")
def recorded():
  return recording(chunks=4)


def make_loop():
  env = make_env()
  config = PpoConfig(critic_inputs=("state",), hidden=(8,), epochs=2, minibatches=2)
  return make_on_policy(SIZES, env, make_ppo(config, env.spec()))


@pytest.fixture(scope="module")
def loop():
  made = make_loop()
  return made._replace(init=jax.jit(made.init), chunk=jax.jit(made.chunk))


@pytest.fixture(scope="module")
def begun(loop):
  return loop.init(jax.random.key(3))


def test_a_chunk_counts_iterations_steps_and_gradient_steps(loop, begun):
  state, metrics = loop.chunk(begun)
  assert int(state.iteration) == 2
  assert int(state.env_steps) == 2 * 4 * 4
  assert int(state.updates) == int(state.learner.step) == 2 * 2 * 2
  assert all(np.isfinite(value).all() and not value.shape for value in metrics.values())
  assert {"policy_loss", "value_loss", "kl", "learning_rate", "std"} <= set(metrics)
  assert {"step/reward", "step/speed", "episode/return", "worlds/healthy"} <= set(metrics)


def test_a_chunk_gives_back_a_state_of_the_same_form(loop, begun):
  after = jax.eval_shape(loop.chunk, begun)[0]
  assert not checkpoint.first_difference(checkpoint.describe(begun), checkpoint.describe(after))


def test_a_rollout_holds_true_final_observations_ends_and_cuts(recorded):
  _, rows, _ = recorded
  moved = rows.observation["state"] + 0.1 * rows.action
  np.testing.assert_allclose(rows.next_observation["state"], moved, atol=1e-6)
  over = rows.next_observation["state"][..., 0] > END
  assert over.any() and rows.truncated.any()
  np.testing.assert_array_equal(rows.terminated, over)
  went_on = (rows.terminated + rows.truncated)[:-1] == 0
  follows = rows.next_observation["state"][:-1] == rows.observation["state"][1:]
  np.testing.assert_array_equal(follows[..., 0], went_on)  # over the bounds of rollouts, too


def test_figures_are_means_over_steps_and_latest_episodes(recorded):
  states, rows, metrics = recorded
  last = jax.tree.map(lambda leaf: leaf[-SIZES.unroll :], rows)
  assert metrics["step/reward"] == pytest.approx(last.reward.mean(), rel=1e-5)
  assert metrics["step/speed"] == pytest.approx(np.abs(last.action).mean(), rel=1e-5)
  assert metrics["step/terminated"] == pytest.approx(last.terminated.mean())
  assert metrics["loss"] == 1
  ends = rows.terminated + rows.truncated
  assert metrics["episode/count"] == ends.sum()
  lengths, returns = [], []
  for world in range(SIZES.worlds):
    borders = [0, *(np.flatnonzero(ends[:, world]) + 1)]
    lengths.append(borders[-1] - borders[-2])
    returns.append(rows.reward[borders[-2] : borders[-1], world].sum())
  assert metrics["episode/length"] == pytest.approx(np.mean(lengths))
  assert metrics["episode/return"] == pytest.approx(np.mean(returns), rel=1e-5)
  assert int(states[-1].updates) == 4 * 3


def test_every_step_world_and_rollout_has_its_own_noise_and_update_key(recorded):
  states, rows, _ = recorded
  assert len(np.unique(rows.action)) == rows.action.size
  keys = [tuple(jax.random.key_data(state.learner.key).tolist()) for state in states[1:]]
  assert len(set(keys)) == len(keys)


def test_the_noise_of_a_world_does_not_depend_on_how_many_there_are(recorded):
  _, rows, _ = recorded
  _, more, _ = recording(SIZES._replace(worlds=6))
  np.testing.assert_array_equal(more.action[:, :4], rows.action[: SIZES.unroll])


def test_starts_are_drawn_anew_once_an_iteration(recorded):
  states, _, _ = recorded
  pools = [state.worlds.info["pool"] for state in states]
  assert [int(pool.oldest) for pool in pools[:3]] == [0, 1, 2]
  assert np.any(pools[0].obs["state"][0] != pools[1].obs["state"][0])
  np.testing.assert_array_equal(pools[0].obs["state"][1:], pools[1].obs["state"][1:])


def test_the_same_seed_gives_the_same_bits(loop, begun):
  def bits(leaf):
    return jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf

  first, again = loop.chunk(begun), loop.chunk(loop.init(jax.random.key(3)))
  jax.tree.map(lambda a, b: np.testing.assert_array_equal(bits(a), bits(b)), first, again)


def test_one_device_equals_two(loop, begun):
  assert len(jax.devices()) == 2
  mesh = sharding.make_mesh()
  places = place_worlds(mesh, jax.eval_shape(lambda: begun))
  split = jax.device_put(begun, places)
  assert len(split.worlds.obs["state"].sharding.device_set) == 2
  assert not split.worlds.obs["state"].sharding.is_fully_replicated
  on_two, _ = jax.jit(make_loop().chunk, out_shardings=(places, None))(split)
  on_one, _ = loop.chunk(begun)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5),
    (on_two.learner.params, on_two.worlds.obs),
    (on_one.learner.params, on_one.worlds.obs),
  )


def test_a_non_finite_world_leaves_no_trace_in_the_others(begun):
  position = begun.worlds.data.position.at[2].set(jnp.nan)
  sick = begun._replace(worlds=begun.worlds.replace(data=Place(position)))
  env = make_env()
  config = PpoConfig(critic_inputs=("state",), hidden=(8,), epochs=2, minibatches=2)
  one = make_on_policy(SIZES._replace(iterations_per_chunk=1), env, make_ppo(config, env.spec()))
  chunk = jax.jit(one.chunk)
  (sick, metrics), (well, _) = chunk(sick), chunk(begun)
  others = np.array([0, 1, 3])
  np.testing.assert_array_equal(sick.worlds.obs["state"][others], well.worlds.obs["state"][others])
  assert int(metrics["worlds/quarantined"]) == 1
  assert metrics["worlds/healthy"] == metrics["counted_rows"] == pytest.approx(15 / 16)
  assert metrics["skipped_minibatches"] == 0
  assert all(np.isfinite(value) for value in metrics.values())
  finite = jax.tree.map(lambda leaf: bool(np.isfinite(leaf).all()), sick.learner.params)
  assert all(jax.tree.leaves(finite))


def test_sizes_that_are_not_positive_are_refused():
  with pytest.raises(ValueError, match="unroll must be at least 1, not 0"):
    make_on_policy(SIZES._replace(unroll=0), make_env(), recorder(SIZES))
