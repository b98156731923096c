"""Playground's environments in ours, on a stand-in for its package, and our robots in Brax's."""

import dataclasses
import importlib
import subprocess
import sys
from typing import Any
from unittest.mock import Mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from brax.envs.wrappers import training

from jaxskills.envs.h1.make import make_h1_velocity
from jaxskills.envs.panda.make import make_panda_lift_cube, make_panda_reach
from jaxskills.envs.playground import load, make_playground
from jaxskills.envs.wrappers.auto_reset import AutoReset
from jaxskills.envs.wrappers.episode import EpisodeLimit
from jaxskills.errors import UserError
from tests.envs.playground_state import PlaygroundState

STAND_IN = '''
"""What the adapter uses of Playground, and a record of what was loaded."""

from types import SimpleNamespace

loaded = []
world = None


def load(name, config=None, config_overrides=None):
  loaded.append((name, config_overrides))
  return world


registry = SimpleNamespace(ALL_ENVS=("CartpoleBalance", "H1JoystickGaitTracking"), load=load)
dm_control_suite = SimpleNamespace(ALL_ENVS=("CartpoleBalance",))
'''


class Sliding:
  """A world of Playground's kind: a place that actions move."""

  dt = 0.01
  action_size = 1

  def reset(self, rng):
    zero = jnp.zeros(())
    return PlaygroundState(zero, zero[None], zero, zero, {}, {"rng": rng})

  def step(self, state, action):
    place = state.data + action[0]
    return dataclasses.replace(state, data=place, obs=place[None], reward=place)


@pytest.fixture
def playground(tmp_path, monkeypatch):
  """The stand-in, installed in a folder of its own."""
  package = tmp_path / "mujoco_playground"
  package.mkdir()
  (package / "__init__.py").write_text(STAND_IN)
  monkeypatch.syspath_prepend(tmp_path)
  monkeypatch.delitem(sys.modules, "mujoco_playground", raising=False)
  module: Any = importlib.import_module("mujoco_playground")
  module.world = Sliding()
  yield module
  monkeypatch.delitem(sys.modules, "mujoco_playground", raising=False)


def test_an_environment_of_playground_runs_in_our_wrappers(playground):
  env = make_playground("CartpoleBalance", overrides={"ctrl_dt": 0.02})
  assert playground.loaded == [("CartpoleBalance", {"impl": "jax", "ctrl_dt": 0.02})]
  assert env.spec().step_seconds == 0.01 and env.spec().observation["state"].shape == (1,)
  batch = AutoReset(EpisodeLimit(env, 3), 4)
  state = jax.jit(batch.reset)(jax.random.split(jax.random.key(0), 2))
  step = jax.jit(batch.step)
  for expected in (1.0, 2.0, 3.0, 1.0):
    state = step(state, jnp.ones((2, 1)))
    np.testing.assert_array_equal(state.reward, expected)


def test_an_environment_of_the_real_package_runs_in_our_wrappers():
  """One of those that need no robots, hence no download."""
  pytest.importorskip("mujoco_playground")
  env = make_playground("CartpoleBalance")
  assert env.spec().step_seconds == 0.01 and env.spec().action_size == 1
  batch = AutoReset(EpisodeLimit(env, 3), 4)
  state = jax.jit(batch.reset)(jax.random.split(jax.random.key(0), 2))
  step = jax.jit(batch.step)
  resets = []
  for _ in range(4):
    state = step(state, jnp.zeros((2, 1)))
    resets.append(float(state.info["reset"][0]))
  assert resets == [0.0, 0.0, 1.0, 0.0]
  assert np.all(state.reward > 0.5) and np.all(np.isfinite(state.obs["state"]))


def test_nothing_is_downloaded_unless_asked_for(playground, tmp_path):
  with pytest.raises(UserError) as refusal:
    make_playground("H1JoystickGaitTracking")
  said = str(refusal.value)
  assert "would clone https://github.com/deepmind/mujoco_menagerie into" in said
  assert str(tmp_path) in said and "allow_download=True" in said and "\n" not in said
  assert playground.loaded == []
  make_playground("H1JoystickGaitTracking", allow_download=True)
  assert playground.loaded == [("H1JoystickGaitTracking", {"impl": "jax"})]


@pytest.mark.parametrize(
  "fault",
  [subprocess.CalledProcessError(128, ["git", "clone"]), FileNotFoundError(2, "no file", "git")],
)
def test_a_download_that_fails_is_one_line(playground, monkeypatch, fault):
  monkeypatch.setattr(playground.registry, "load", Mock(side_effect=fault))
  with pytest.raises(UserError, match=r"could not clone https://github.com/deepmind") as refusal:
    load("H1JoystickGaitTracking", allow_download=True)
  assert "git" in str(refusal.value) and "\n" not in str(refusal.value)
  with pytest.raises(type(fault)):  # had nothing to do with robots
    load("CartpoleBalance")


def test_worlds_that_share_buffers_are_refused_in_one_line(playground):
  with pytest.raises(
    UserError, match="impl 'warp' share buffers .* leave impl at 'jax'"
  ) as refusal:
    make_playground("CartpoleBalance", overrides={"impl": "warp"})
  assert "\n" not in str(refusal.value) and playground.loaded == []
  assert load("CartpoleBalance", overrides={"impl": "warp"}) is playground.world
  assert load("CartpoleBalance") is playground.world  # as it is: by its own default
  assert playground.loaded == [("CartpoleBalance", {"impl": "warp"}), ("CartpoleBalance", {})]


def test_robots_that_are_there_need_no_download(playground, tmp_path):
  (tmp_path / "mujoco_playground" / "external_deps" / "mujoco_menagerie").mkdir(parents=True)
  make_playground("H1JoystickGaitTracking")
  assert len(playground.loaded) == 1


def test_an_unknown_environment_is_refused_with_the_nearest(playground):
  with pytest.raises(UserError, match="no environment 'CartpoleBalanc'; did you mean Cartpole"):
    make_playground("CartpoleBalanc")


def test_without_playground_the_extra_is_named(monkeypatch):
  monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
  with pytest.raises(UserError, match=r"not installed.*jaxskills\[playground\]"):
    make_playground("CartpoleBalance")


@pytest.mark.parametrize(
  "make", [make_h1_velocity, make_panda_reach, make_panda_lift_cube], ids=lambda make: make.__name__
)
def test_braxs_wrappers_drive_our_robots(make):
  env = make("native", worlds=3, threads=1, variation=None)
  theirs = training.AutoResetWrapper(
    training.EpisodeWrapper(training.VmapWrapper(env), episode_length=2, action_repeat=1)
  )
  state = jax.jit(theirs.reset)(jax.random.key_data(jax.random.split(jax.random.key(0), 3)))
  start = np.asarray(state.pipeline_state.physics.qpos)
  step = jax.jit(theirs.step)
  actions = jnp.full((3, theirs.action_size), 0.5)
  middle = step(state, actions)
  assert (np.asarray(middle.pipeline_state.physics.qpos) != start).any(axis=1).all()
  np.testing.assert_array_equal(middle.done, 0.0)
  after = step(middle, actions)
  np.testing.assert_array_equal(after.done, 1.0)
  np.testing.assert_array_equal(after.info["truncation"], 1.0)
  np.testing.assert_array_equal(after.pipeline_state.physics.qpos, start)
  np.testing.assert_array_equal(after.obs["state"], state.obs["state"])
  sizes: Any = theirs.observation_size
  for name, leaf in after.obs.items():
    assert leaf.shape == (3, *sizes[name])
