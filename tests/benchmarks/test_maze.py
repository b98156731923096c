"""Tests of the maze benchmark, at sizes that measure nothing."""

import numpy as np
import pytest

from jaxskills.benchmarks import maze as benchmark
from jaxskills.envs.maze import dynamics, tasks

SIZES = benchmark.Sizes(worlds=3, steps=20, peer_steps=4, rounds=1, seconds=0.0)


@pytest.mark.parametrize(
  "make",
  [benchmark.physics_contender, benchmark.states_contender, benchmark.skills_contender],
)
def test_our_contenders_count_their_environment_steps(make):
  contender, seconds = make(SIZES)
  assert contender.units == 3 * 20 and seconds > 0.0
  figures = contender.run()
  assert all(np.isfinite(value) for value in figures.values())
  assert contender.run() != figures  # the worlds go on, they do not begin again


def test_the_peer_stands_on_our_walls_and_obeys_our_physics():
  pytest.importorskip("gymnasium_robotics", reason="the peer is in the extra 'bench'")
  environment = benchmark.make_point_maze("quick", 1, False)
  try:
    inner = environment.envs[0].unwrapped
    task = tasks.find_task("quick")
    peer_walls = np.array([[cell == 1 for cell in line] for line in inner.maze.maze_map])
    np.testing.assert_array_equal(peer_walls, task.walls)
    model = inner.point_env.model
    assert model.opt.timestep == dynamics.STEP_SECONDS
    assert model.body_mass.max() == pytest.approx(dynamics.MASS, rel=1e-3)
    assert model.actuator_gear[0, 0] == dynamics.GEAR
  finally:
    environment.close()
