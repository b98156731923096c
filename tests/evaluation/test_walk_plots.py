"""Figures of a walk show what was recorded."""

import numpy as np
import pytest
from matplotlib.colors import same_color

from jaxskills.evaluation import style, walk_plots
from jaxskills.evaluation.run_records import Curve
from tests.evaluation import fake_walk


def line(axes, label):
  return next(line for line in axes.lines if line.get_label() == label)


def test_tracking_draws_commands_truth_and_pushes():
  record = fake_walk.pushed()
  record.velocity[:, 1] = np.linspace(0, 0.3, 120)
  forward, sideways, turning = walk_plots.tracking(record).axes
  np.testing.assert_array_equal(line(forward, "command").get_ydata(), record.command[:, 0])
  np.testing.assert_array_equal(line(sideways, "true").get_ydata(), record.velocity[:, 1])
  np.testing.assert_array_equal(line(turning, "true").get_ydata(), record.yaw_rate)
  assert line(forward, "push").get_xdata()[0] == pytest.approx(41 * 0.02)
  low, high = forward.get_ylim()
  assert low < 0 and high > 0.6
  assert [axes.get_ylabel() for axes in (forward, sideways, turning)] == ["m/s", "m/s", "rad/s"]


def test_a_fall_does_not_decide_the_scale_and_is_marked():
  forward = walk_plots.tracking(fake_walk.fallen(300)).axes[0]
  assert forward.get_ylim()[1] < 2
  assert forward.patches[0].get_label() == "fell"
  assert forward.patches[0].get_x() == pytest.approx(301 * 0.02)


def test_the_gait_shows_contacts_over_the_clock():
  record = fake_walk.walk()
  record.contact[:] = record.stance
  record.contact[210:220, 1] = False  # in the air against the clock
  window = slice(200, 300)
  bars, heights, slips = walk_plots.gait(record, window).axes
  spans = {}
  for collection in bars.collections:
    color = collection.get_facecolor()[0]
    name = next(
      name
      for name, known in (("clock", "#E5E7EB"), ("left", style.BLUE), ("right", style.VERMILLION))
      if same_color(color, known)
    )
    boxes = [path.get_extents() for path in collection.get_paths()]
    spans.setdefault(name, []).append([(box.x0, box.x1) for box in boxes])
  for foot, name in enumerate(("left", "right")):
    seconds = sum(end - begin for begin, end in spans[name][0])
    assert seconds == pytest.approx(0.02 * record.contact[window, foot].sum())
    clock = sum(end - begin for begin, end in spans["clock"][foot])
    assert clock == pytest.approx(0.02 * record.stance[window, foot].sum())
  assert min(begin for begin, _ in spans["left"][0] + spans["right"][0]) == pytest.approx(4.0)
  np.testing.assert_allclose(heights.lines[0].get_ydata(), 100 * record.foot_height[window, 0])
  drawn = slips.lines[1].get_ydata()
  np.testing.assert_array_equal(np.isfinite(drawn), record.contact[window, 1])


def test_the_gait_is_of_the_fastest_straight_command_before_a_fall():
  assert walk_plots.gait_window(fake_walk.walk(), seconds=2.0) == slice(250, 350)
  assert walk_plots.gait_window(fake_walk.fallen(300), seconds=2.0) == slice(200, 300)
  with pytest.raises(ValueError, match="nothing was walked"):
    walk_plots.gait_window(fake_walk.fallen(30))


def test_joints_show_torques_and_ranges_of_their_limits():
  record = fake_walk.walk()
  left, right = walk_plots.joints(record).axes
  assert left.get_yticklabels()[0].get_text() == "left hip yaw"
  most = line(left, "greatest")
  assert most.get_xdata()[0] == pytest.approx(0.5) and most.get_xdata()[1] == 0
  median = [bar.get_width() for bar in left.containers[1]]
  assert median[0] == pytest.approx(0.25, abs=0.01)
  hip = list(record.joints).index("left_hip_pitch")
  bar = right.containers[1][hip]
  share = (record.joint_position[:, hip] - record.lower[hip]) / (2 * 1.57)
  assert bar.get_x() == pytest.approx(share.min())
  assert bar.get_x() + bar.get_width() == pytest.approx(share.max())
  assert left.get_ylim()[0] > left.get_ylim()[1]  # in the robot's order from above


def test_reward_terms_come_largest_first_and_tell_gain_from_loss():
  x = np.array([0.0, 1e6])
  curves = {
    "small": Curve(x, np.array([[0.1, 0.2]])),
    "loss": Curve(x, np.array([[0.0, -3.0]])),
    "gain": Curve(x, np.array([[0.0, 1.0]])),
  }
  grid = walk_plots.reward_terms(curves).axes
  assert [axes.get_title(loc="left") for axes in grid[:3]] == ["loss", "gain", "small"]
  colors = [axes.lines[0].get_color() for axes in grid[:3]]
  assert colors == [style.VERMILLION, style.BLUE, style.BLUE]
  np.testing.assert_array_equal(grid[0].lines[0].get_xdata(), [0.0, 1.0])
  with pytest.raises(ValueError, match="no reward term"):
    walk_plots.reward_terms({})
