"""Rewards from a demonstration, by hand, and how a world is compared with one."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.envs.imitation_rewards import (
  ImitationReward,
  check,
  cross_view_unit,
  huber_style,
  imitation_reward,
  negative_distance,
  thresholded,
)
from jaxskills.envs.wrappers.auto_reset import AutoReset
from jaxskills.envs.wrappers.episode import EpisodeLimit
from jaxskills.envs.wrappers.video_reward import VideoReward, camera_look

KEY = jax.random.key(0)
DISTANCE = ImitationReward("distance")
DEMONSTRATION = jnp.array([[0.0], [10.0], [20.0], [30.0]])


def count(data):
  """A look that sees how many steps there were."""
  return {"embedding": data["count"][None]}


def roll(env, steps):
  """The states of an episode, its start among them, with a leading axis."""

  def step(state, _):
    state = env.step(state, jnp.zeros(1))
    return state, state

  start = env.reset(KEY)
  _, states = jax.lax.scan(step, start, None, length=steps)
  return jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest]), start, states)


def test_the_huber_style_reward_is_a_square_and_a_rounded_distance():
  value = huber_style(jnp.array([0.0, 9.0]), alpha=0.5, beta=2.0, gamma=16.0)
  np.testing.assert_allclose(value, [-2.0 * 4.0, -0.5 * 9.0 - 2.0 * 5.0])


def test_distance_and_threshold_are_what_they_say():
  np.testing.assert_allclose(negative_distance(jnp.array([0.0, 9.0])), [0.0, -3.0])
  value = thresholded(jnp.array([0.0, 1.0, 16.0, 25.0]), threshold=4.0)
  np.testing.assert_allclose(value, [1.0, 0.75, 0.0, 0.0])


@pytest.mark.parametrize(("kind", "worth"), [("tcn", -4.0), ("distance", -2.0), ("threshold", 0.5)])
def test_distances_are_taken_in_units_before_constants_apply(kind, worth):
  reward = ImitationReward(kind, unit=3.0, alpha=0.5, beta=1.0, gamma=1e-9, threshold=4.0)
  value, distance = imitation_reward(reward, jnp.array([6.0, 1.0]), jnp.array([0.0, 1.0]))
  assert distance == pytest.approx(2.0)
  assert value == pytest.approx(worth)


def test_the_unit_is_the_median_distance_of_two_views_of_the_same_instants():
  first = np.array([[0.0, 0.0], [1.0, 0.0], [5.0, 5.0]])
  second = first + np.array([[3.0, 4.0], [0.0, 1.0], [0.0, 70.0]])
  assert cross_view_unit(first, second) == pytest.approx(5.0)
  with pytest.raises(ValueError, match="differ by 0.0"):
    cross_view_unit(first, first)


@pytest.mark.parametrize(
  ("reward", "complaint"),
  [
    (ImitationReward("distanc"), "no reward 'distanc'; did you mean distance"),
    (ImitationReward(threshold=0.0), "threshold must be positive, not 0.0"),
    (ImitationReward(unit=float("nan")), "unit must be positive, not nan"),
    (ImitationReward(alpha=-1.0), "alpha must not be negative, got -1.0"),
  ],
)
def test_rewards_that_make_no_sense_are_refused(reward, complaint):
  with pytest.raises(ValueError, match=re.escape(complaint)):
    check(reward)


def test_a_step_is_compared_with_the_frame_of_its_own_time(counter):
  states = roll(VideoReward(counter(), count, DEMONSTRATION, DISTANCE), 2)
  np.testing.assert_array_equal(states.info["demo_frame"], [0, 1, 2])
  np.testing.assert_allclose(states.reward, [0.0, 1.0 - 10.0, 2.0 - 20.0])
  np.testing.assert_allclose(states.metrics["video_distance"], [0.0, 9.0, 18.0])


def test_the_last_frame_holds_when_the_demonstration_is_over(counter):
  states = roll(VideoReward(counter(), count, DEMONSTRATION, DISTANCE), 5)
  np.testing.assert_array_equal(states.info["demo_frame"], [0, 1, 2, 3, 3, 3])
  np.testing.assert_allclose(states.reward[3:], [3.0 - 30.0, 4.0 - 30.0, 5.0 - 30.0])


def test_a_start_within_the_demonstration_goes_on_from_there(counter):
  start_of = lambda data: jnp.int32(2) + data["count"].astype(jnp.int32)  # noqa: E731
  env = VideoReward(counter(), count, DEMONSTRATION, DISTANCE, start_of=start_of)
  states = roll(env, 2)
  np.testing.assert_array_equal(states.info["demo_frame"], [2, 3, 3])
  np.testing.assert_allclose(states.reward[1:], [1.0 - 30.0, 2.0 - 30.0])


def test_the_goal_frame_is_compared_at_all_times_where_asked_for(counter):
  env = VideoReward(counter(), count, DEMONSTRATION, DISTANCE, goal_only=True)
  np.testing.assert_allclose(roll(env, 2).reward[1:], [1.0 - 30.0, 2.0 - 30.0])


def test_an_early_end_costs_what_staying_there_would_have(counter):
  states = roll(VideoReward(counter(ends_at=1), count, DEMONSTRATION, DISTANCE), 1)
  assert states.reward[1] == pytest.approx(3 * (1.0 - 10.0))  # frames 1, 2 and 3


def test_an_early_end_pays_nothing_where_rewards_are_positive(counter):
  reward = ImitationReward("threshold", threshold=10.0)
  states = roll(VideoReward(counter(ends_at=1), count, DEMONSTRATION, reward), 1)
  assert states.reward[1] == pytest.approx(1.0 - 9.0 / 10.0)


def test_the_worlds_own_reward_is_not_told_and_its_success_is(counter):
  env = VideoReward(counter(), count, DEMONSTRATION, DISTANCE)
  state = env.step(env.reset(KEY), jnp.array([6.0]))  # this world pays its action
  assert state.reward == pytest.approx(1.0 - 10.0)
  assert state.metrics["success"] == 1.0


def test_without_a_reward_of_its_own_the_world_pays(counter):
  env = VideoReward(counter(), count, DEMONSTRATION, None)
  state = env.step(env.reset(KEY), jnp.array([6.0]))
  assert state.reward == 6.0
  assert state.metrics["video_distance"] == 9.0
  assert set(state.obs) == {"state", "embedding"}


def test_every_way_of_looking_shows_the_chosen_features_beside_what_the_world_shows(counter):
  look = lambda data: {"embedding": data["count"][None], "pixels": jnp.zeros(4)}  # noqa: E731
  env = VideoReward(counter(), look, DEMONSTRATION, DISTANCE)
  state = env.step(env.reset(KEY), jnp.zeros(1))
  assert set(state.obs) == {"state", "embedding"} == set(env.spec().observation)
  np.testing.assert_array_equal(state.obs["embedding"], [1.0])
  np.testing.assert_array_equal(env.observe(state.data)["embedding"], [1.0])


def test_a_world_that_begins_anew_begins_at_its_own_frame(counter):
  start_of = lambda data: (100.0 * data["origin"]).astype(jnp.int32) % 3  # noqa: E731
  env = EpisodeLimit(VideoReward(counter(), count, DEMONSTRATION, DISTANCE, start_of=start_of), 2)
  env = AutoReset(env, pool_size=8)
  states = env.reset(jax.random.split(KEY, 16))
  for _ in range(2):
    states = env.step(states, jnp.zeros((16, 1)))
  assert states.done.all()
  begun = states.info["demo_frame"]
  np.testing.assert_array_equal(begun, jax.vmap(start_of)(states.data))
  assert len(set(begun.tolist())) > 1
  np.testing.assert_array_equal(states.obs["embedding"], 0.0)
  np.testing.assert_array_equal(states.info["final_observation"]["embedding"], 2.0)


def test_a_demonstration_has_frames(counter):
  with pytest.raises(ValueError, match="at least one frame"):
    VideoReward(counter(), count, jnp.zeros((0, 3)), DISTANCE)


class Painter:
  """A camera that paints a place in one colour, and remembers how many it was asked for."""

  def __init__(self):
    self.asked = []

  def render(self, qpos):
    def paint(places):
      places = np.asarray(places)
      self.asked.append(places.shape[:-1])
      frames = np.zeros((*places.shape[:-1], 2, 4, 4, 3), np.uint8)
      frames[..., 1, :, :, :] = places[..., :1, None, None]  # of the second view
      return frames

    shape = jax.ShapeDtypeStruct((2, 4, 4, 3), np.uint8)
    return jax.pure_callback(paint, shape, qpos, vmap_method="broadcast_all")


def features_of(params, frames):
  """The mean colour times `params`, by a convolution over the whole frame."""
  kernel = jnp.full((4, 4, 3, 1), params / 48.0)
  layout = ("NHWC", "HWIO", "NHWC")
  value = frames.astype(jnp.float32)
  value = jax.lax.conv_general_dilated(value, kernel, (1, 1), "VALID", dimension_numbers=layout)
  return {"embedding": value[:, 0, 0, :]}


def look_through(painter, params=1.0):
  return camera_look(painter.render, lambda data: data, features_of, params)


def test_a_look_sees_all_views():
  seen = look_through(Painter())(jnp.array([7.0, 1.0]))
  np.testing.assert_allclose(seen["embedding"], [[0.0], [7.0]], rtol=1e-5)


def test_several_views_are_judged_by_the_mean_and_shown_side_by_side(counter):
  look = lambda data: {"embedding": data["count"] + jnp.array([[0.0], [4.0]])}  # noqa: E731
  env = VideoReward(counter(), look, DEMONSTRATION, ImitationReward("threshold", threshold=8.0))
  state = env.step(env.reset(KEY), jnp.zeros(1))  # 9 and 5 from the demonstration's 10
  assert state.reward == pytest.approx(0.5 * (0.0 + 3.0 / 8.0))
  assert state.metrics["video_distance"] == pytest.approx(7.0)
  np.testing.assert_array_equal(state.obs["embedding"], [1.0, 5.0])


def test_many_worlds_are_rendered_by_one_call_and_embedded_as_one_batch():
  painter = Painter()
  look = look_through(painter)
  places = jnp.arange(10.0)[:, None]
  seen = jax.jit(jax.vmap(look))(places)["embedding"]
  np.testing.assert_allclose(seen[:, 1], places, rtol=1e-5)
  np.testing.assert_allclose(seen[:, 0], 0.0)
  assert painter.asked == [(10,)]
  assert _convolved(jax.make_jaxpr(jax.vmap(look))(places).jaxpr) == [(20, 4, 4, 3)]


def test_seeds_with_networks_of_their_own_are_rendered_by_one_call_too():
  painter = Painter()
  places, params = jnp.arange(6.0).reshape(2, 3, 1), jnp.array([1.0, 10.0])
  of_seed = lambda params, places: jax.vmap(look_through(painter, params))(places)  # noqa: E731
  seen = jax.jit(jax.vmap(of_seed))(params, places)["embedding"]
  np.testing.assert_allclose(seen[:, :, 1], params[:, None, None] * places, rtol=1e-5)
  assert painter.asked == [(2, 3)]


def test_a_network_for_each_world_is_possible():
  look = lambda params, place: look_through(Painter(), params)(place)  # noqa: E731
  seen = jax.vmap(look)(jnp.array([1.0, 2.0]), jnp.array([[3.0], [5.0]]))["embedding"]
  np.testing.assert_allclose(seen[:, 1], [[3.0], [10.0]], rtol=1e-5)


def _convolved(jaxpr):
  """Shapes of all images that go into a convolution."""
  shapes = []
  for equation in jaxpr.eqns:
    if equation.primitive.name == "conv_general_dilated":
      shapes.append(equation.invars[0].aval.shape)
    for value in jax.tree.leaves(list(equation.params.values()), is_leaf=_is_jaxpr):
      if _is_jaxpr(value):
        shapes += _convolved(getattr(value, "jaxpr", value))
  return shapes


def _is_jaxpr(value):
  return hasattr(value, "eqns") or hasattr(value, "jaxpr")
