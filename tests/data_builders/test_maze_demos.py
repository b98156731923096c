"""The recipe of `maze_demos`: what is kept, that every record can be made again, and who walks."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.data_builders import manifest, shards
from jaxskills.data_builders.maze_demos import builder, cloning, planner
from jaxskills.envs.maze import dynamics, layouts

SMALL = {"trajectories": 30, "shard_records": 20, "size": 8, "max_steps": 60, "min_steps": 25}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
  """A small data set, which compiles once, and its folder; a shard takes several batches."""
  dataset, directory = builder.maze_demos("quick", **SMALL), tmp_path_factory.mktemp("maze_demos")
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(builder, "_CANDIDATES", 16)
    shards.build(dataset, directory)
    yield dataset, directory


def test_the_full_preset_is_the_papers_85000_trajectories_of_at_most_500_steps():
  config = builder.PRESETS["full"]
  assert (config.trajectories, config.size, config.max_steps) == (85_000, 20, 500)
  dataset = builder.maze_demos("full")
  assert sum(dataset.shard_records) == 85_000 and set(dataset.shard_records) == {1000}


def test_short_and_hopeless_trajectories_are_left_out_and_long_ones_cut(built):
  records = shards.read_records(built[1])
  assert len(records) == 30
  distance_field = jax.jit(layouts.distance_field)
  for record in records:
    assert 25 < record["length"] <= 60
    assert record["reached"] == (record["length"] < 60)
    for name in ("position", "velocity", "action"):
      assert record[name].shape == (record["length"], 2)
    field = distance_field(record["walls"], record["goal"])
    start = np.floor(record["position"][0]).astype(int)
    assert field[start[0], start[1]] < layouts.UNREACHABLE


def test_every_record_can_be_made_again_from_its_origin(built):
  def demonstrate(origin):
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(0), origin[0]), origin[1])
    return planner.demonstrate(key, 8, 60, planner.Disturbance())

  records = list(shards.read_records(built[1]))
  origins = np.stack([record["origin"] for record in records])
  np.testing.assert_array_equal(origins[:, 0], [0] * 20 + [1] * 10)
  assert origins[:20, 1].max() >= 16 and np.all(np.diff(origins[:20, 1]) > 0)
  again = jax.jit(jax.vmap(demonstrate))(origins)
  for row, record in enumerate(records):
    np.testing.assert_array_equal(again.walls[row], record["walls"])
    assert again.length[row] == record["length"]
    for name in ("position", "velocity", "action"):
      wanted = getattr(again, name)[row, : record["length"]]
      np.testing.assert_allclose(wanted, record[name], rtol=0, atol=1e-3)


def test_no_two_records_share_a_maze(built):
  layouts_seen = {record["walls"].tobytes() for record in shards.read_records(built[1])}
  assert len(layouts_seen) == 30


def test_a_lost_shard_comes_back_with_the_same_bytes(built):
  dataset, directory = built
  held = manifest.verify(directory)
  (directory / list(held.shards)[1]).unlink()
  assert shards.build(dataset, directory).files == held.files


def go_right(observation, key):
  return jnp.array([0.0, 3.0]) + 0.0 * observation["view"].sum()


def test_a_policy_that_is_handed_in_walks_from_rest_with_clipped_actions(tmp_path):
  dataset = builder.maze_demos(
    "mediocre", policy=go_right, collector="right", **{**SMALL, "trajectories": 5}
  )
  shards.build(dataset, tmp_path)
  advance = jax.jit(jax.vmap(dynamics.advance, in_axes=(None, 0, 0, 0)))
  for record in shards.read_records(tmp_path):
    assert record["length"] == 60 and not record["reached"]
    np.testing.assert_array_equal(record["goal"], (-1, -1))
    np.testing.assert_array_equal(record["action"], np.tile([0.0, 1.0], (60, 1)))
    np.testing.assert_array_equal(record["velocity"][0], 0.0)
    following, _ = advance(
      record["walls"], record["position"], record["velocity"], record["action"]
    )
    np.testing.assert_allclose(following[:-1], record["position"][1:], atol=1e-5)


def test_a_policy_sees_where_it_was_one_step_before():
  seen = jnp.array([0.3, 0.2])

  def reveal(observation, key):
    frames = observation["view"].astype(jnp.float32)
    return jnp.where(jnp.abs(frames[..., 0] - frames[..., 1]).max() > 0, seen, -seen)

  walls = jnp.zeros((10, 10), bool).at[::2, ::2].set(True)  # posts, for something to see
  walls = walls.at[jnp.array([0, -1])].set(True).at[:, jnp.array([0, -1])].set(True)
  *_, action = jax.jit(lambda key: cloning.walk(key, reveal, walls, 10))(jax.random.key(5))
  np.testing.assert_allclose(action[0], -seen)  # at rest, both frames are the same
  np.testing.assert_allclose(action[3], seen)


@pytest.mark.parametrize("arguments", [{"policy": go_right}, {"collector": "right"}])
def test_a_policy_and_its_name_come_together(arguments):
  with pytest.raises(ValueError, match="a policy needs a collector name of its own"):
    builder.maze_demos("quick", **arguments)


def bumps(trajectory):
  """How often a ball comes to lie against a wall."""
  cell = np.floor(trajectory.position).astype(int)
  inside = trajectory.position - cell
  touching = np.zeros(len(cell), bool)
  for axis, side in ((0, -1), (0, 1), (1, -1), (1, 1)):
    beside = cell.copy()
    beside[:, axis] += side
    gap = 1 - inside[:, axis] if side > 0 else inside[:, axis]
    touching |= (gap < dynamics.RADIUS + 1e-3) & trajectory.walls[beside[:, 0], beside[:, 1]]
  return np.sum(np.diff(touching.astype(int)) > 0)


@pytest.mark.slow
def test_the_clone_walks_like_the_planner_but_bumps_into_walls_as_in_the_paper():
  clone = cloning.clone_planner(jax.random.key(0), 20, 500)
  roll = functools.partial(
    cloning.roll, policy=functools.partial(cloning.act, clone), size=20, max_steps=500
  )
  rolls = jax.jit(jax.vmap(roll))(jax.random.split(jax.random.key(1), 128))
  rolls = [jax.tree.map(lambda leaf, row=row: np.asarray(leaf[row]), rolls) for row in range(128)]
  moved = [
    np.linalg.norm(roll.position[10:] - roll.position[:-10], axis=1).mean() for roll in rolls
  ]
  assert np.mean(moved) > 0.25  # m a skill of ten steps; the planner's .42
  assert 1.0 < np.mean([bumps(roll) for roll in rolls]) < 6.0  # the paper's clone: 2.5
