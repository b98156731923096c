"""Reading trajectories and cutting windows: nothing is lost, doubled, misplaced or favoured."""

import functools

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxskills.data import maze
from jaxskills.data_builders import manifest, shards
from jaxskills.data_builders.maze_demos import builder
from jaxskills.envs.maze import dynamics, view
from jaxskills.errors import UserError

SIZE, STEPS, RECORDS = 8, 40, 12


@functools.cache
def trajectory(number):
  """A record whose every step can be told from all others."""
  noise = np.random.default_rng(number)
  length = 11 + (7 * number) % 29
  code = number + np.arange(length) / 1000
  return {
    "walls": np.pad(noise.random((SIZE, SIZE)) < 0.3, 1, constant_values=True),
    "position": noise.uniform(1.2, 8.8, (length, 2)).astype(np.float32),
    "velocity": noise.uniform(-2, 2, (length, 2)).astype(np.float32),
    "action": np.stack([code, -code], axis=1).astype(np.float32),
    "length": length,
    "goal": np.array([1, 1], np.int32),
    "reached": length < STEPS,
    "origin": np.array([0, number], np.int32),
  }


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
  dataset = shards.Dataset(
    name="maze_demos",
    preset="numbered",
    version="1.0.0",
    description="",
    citation="",
    recipe={"max_steps": STEPS},
    features=lambda: builder.features(SIZE),
    shard_records=(RECORDS // 2, RECORDS // 2),
    examples=lambda shard: (trajectory(shard * RECORDS // 2 + row) for row in range(RECORDS // 2)),
  )
  folder = tmp_path_factory.mktemp("numbered")
  shards.build(dataset, folder)
  return folder


def numbers(batch):
  """Which trajectories a batch holds."""
  return [int(action[0, 0]) for action in batch["action"]]


def batch_of(lengths):
  """Padded trajectories of given lengths whose actions tell row and step."""
  count, steps = len(lengths), max(lengths)
  rows, times = np.meshgrid(np.arange(count), np.arange(steps), indexing="ij")
  walls = np.ones((count, SIZE + 2, SIZE + 2), bool)
  walls[:, 1:-1, 1:-1] = False
  position = np.full((count, steps, 2), 4.5, np.float32)
  return {
    "walls": walls,
    "position": position,
    "velocity": np.zeros_like(position),
    "action": np.stack([rows, times], axis=-1).astype(np.float32),
    "length": np.array(lengths, np.int32),
  }


def test_a_batch_is_padded_by_repeating_the_end(directory):
  batch = maze.TrajectoryFeed(directory, batch=4).next()
  assert batch["walls"].shape == (4, SIZE + 2, SIZE + 2) and batch["walls"].dtype == bool
  for row, number in enumerate(numbers(batch)):
    wanted = trajectory(number)
    length = int(batch["length"][row])
    assert length == wanted["length"]
    np.testing.assert_array_equal(batch["walls"][row], wanted["walls"])
    for name in ("position", "velocity", "action"):
      assert batch[name].shape == (4, STEPS, 2) and batch[name].dtype == np.float32
      np.testing.assert_array_equal(batch[name][row, :length], wanted[name])
      np.testing.assert_array_equal(
        batch[name][row, length:], np.tile(wanted[name][-1], (STEPS - length, 1))
      )


def test_every_epoch_holds_every_trajectory_once_in_another_order(directory):
  feed = maze.TrajectoryFeed(directory, batch=4, seed=1)
  epochs = [[number for _ in range(3) for number in numbers(feed.next())] for _ in range(3)]
  assert all(sorted(epoch) == list(range(RECORDS)) for epoch in epochs)
  assert epochs[0] != epochs[1] != epochs[2]


def test_the_seed_decides_the_order(directory):
  first, same, other = (
    numbers(maze.TrajectoryFeed(directory, batch=RECORDS, seed=seed).next()) for seed in (1, 1, 2)
  )
  assert first == same != other


def test_a_batch_may_be_larger_than_the_data_set(directory):
  batch = maze.TrajectoryFeed(directory, batch=2 * RECORDS).next()
  assert sorted(numbers(batch)) == sorted(2 * list(range(RECORDS)))


@pytest.mark.parametrize("before", [0, 1, 5])
def test_a_saved_position_continues_exactly_in_another_process(directory, before):
  feed = maze.TrajectoryFeed(directory, batch=5, seed=3)
  for _ in range(before):
    feed.next()
  state = feed.get_state()
  wanted = [feed.next() for _ in range(4)]
  fresh = maze.TrajectoryFeed(directory, batch=5, seed=3)
  fresh.next()
  for resumed in (feed, fresh):
    resumed.set_state(state)
    for batch in wanted:
      jax.tree.map(np.testing.assert_array_equal, resumed.next(), batch)


@pytest.mark.parametrize(
  ("change", "named"), [({"batch": 6}, "batch"), ({"seed": 4}, "seed"), ({}, "records")]
)
def test_a_position_of_another_stream_is_refused(directory, tmp_path, change, named):
  feed = maze.TrajectoryFeed(directory, **{"batch": 5, "seed": 3, **change})
  state = feed.get_state()
  if named == "records":
    held = manifest.verify(directory)
    state = state.replace(held.fingerprint.encode(), b"0" * 64)
  with pytest.raises(ValueError, match=f"saved feed position differs in {named}"):
    maze.TrajectoryFeed(directory, batch=5, seed=3).set_state(state)


def test_a_feed_refuses_a_damaged_shard(directory, tmp_path):
  folder = tmp_path / "copy"
  folder.mkdir()
  for path in directory.iterdir():
    (folder / path.name).write_bytes(path.read_bytes())
  shard = next(folder.glob("*00001-of-00002"))
  shard.write_bytes(shard.read_bytes()[:-100])
  with pytest.raises(UserError, match="shard 1 of maze_demos:numbered is damaged"):
    maze.TrajectoryFeed(folder)


def test_a_window_is_what_its_trajectory_did_and_saw(directory):
  batch = maze.TrajectoryFeed(directory, batch=RECORDS).next()
  windows = jax.jit(maze.sample_windows, static_argnums=(2, 3))(batch, jax.random.key(0), 200, 10)
  assert windows.observation["view"].shape == (200, 32, 32, 2)
  views = jax.jit(jax.vmap(jax.vmap(view.egocentric_view, (None, 0))))
  starts, layouts, places = [], [], []
  for row in range(200):
    actions = np.asarray(windows.actions[row])
    number = int(actions[0, 0])
    start = round(1000 * float(actions[0, 0] - number))
    record = trajectory(number)
    np.testing.assert_array_equal(actions, record["action"][start : start + 10])
    position, velocity = record["position"][start], record["velocity"][start]
    state = windows.observation["state"][row]
    np.testing.assert_array_equal(state, np.concatenate([position, velocity]))
    before = record["position"][start - 1] if start else position - 0.01 * velocity
    starts.append(start)
    layouts.append(record["walls"])
    places.append([position, before])
  assert 0 in starts
  wanted = np.moveaxis(np.asarray(views(np.stack(layouts), np.array(places))), 1, -1)
  difference = windows.observation["view"].astype(int) - wanted
  assert np.abs(difference).max() <= 1  # of 255, where rounding differs between the two programs


@settings(max_examples=25, deadline=None)
@given(
  lengths=st.lists(st.integers(1, 12), min_size=6, max_size=6).filter(lambda all: max(all) >= 4),
  seed=st.integers(0, 1000),
)
def test_a_window_never_reaches_past_its_trajectory(lengths, seed):
  lengths = [*lengths, 12]  # one shape, hence one compilation
  windows = SAMPLE(batch_of(lengths), jax.random.key(seed), 64, 4)
  actions = np.asarray(windows.actions)
  rows, first = actions[:, 0, 0].astype(int), actions[:, 0, 1]
  assert np.all(first + 4 <= np.array(lengths)[rows])
  np.testing.assert_array_equal(actions[:, :, 1] - first[:, None], np.tile(np.arange(4), (64, 1)))


SAMPLE = jax.jit(maze.sample_windows, static_argnums=(2, 3))


def test_every_window_is_drawn_equally_often():
  lengths = [4, 13, 3, 8]  # hence 1, 10, 0 and 5 windows of four steps
  draws = 16_000
  windows = SAMPLE(batch_of(lengths), jax.random.key(7), draws, 4)
  start = np.asarray(windows.actions[:, 0]).astype(int)
  count = np.zeros((4, 13), int)
  np.add.at(count, (start[:, 0], start[:, 1]), 1)
  drawn = [count[row, : max(length - 3, 0)] for row, length in enumerate(lengths)]
  assert sum(each.sum() for each in drawn) == draws
  each = np.concatenate(drawn)
  assert len(each) == 16
  assert np.all(np.abs(each - draws / 16) < 5 * np.sqrt(draws / 16))


def test_random_actions_replace_a_fraction_and_move_the_ball_by_the_law():
  batch = batch_of([40, 30, 35, 40, 38])
  mixed = jax.jit(maze.with_random_actions, static_argnums=2)(batch, jax.random.key(1), 0.4)
  for name in ("walls", "length"):
    np.testing.assert_array_equal(mixed[name], batch[name])
  for name in ("position", "velocity", "action"):
    np.testing.assert_array_equal(mixed[name][2:], batch[name][2:])
  actions = np.asarray(mixed["action"][:2])
  assert np.abs(actions).max() <= 1.0 and abs(actions.mean()) < 0.2
  assert abs(actions.std() - 1 / np.sqrt(3)) < 0.1  # uniform in [-1, 1]
  for row in range(2):
    following, _ = jax.jit(jax.vmap(dynamics.advance, in_axes=(None, 0, 0, 0)))(
      batch["walls"][row], *(mixed[name][row] for name in ("position", "velocity", "action"))
    )
    np.testing.assert_allclose(following[:-1], mixed["position"][row][1:], atol=1e-5)
    np.testing.assert_allclose(mixed["position"][row][0] % 1, 0.5)


def test_no_random_actions_leave_every_trajectory_as_it_is():
  batch = batch_of([20, 30])
  mixed = maze.with_random_actions(batch, jax.random.key(1), 0.0)
  jax.tree.map(np.testing.assert_array_equal, dict(mixed), batch)
