"""Tests of the peers that the robots' benchmark races: Brax's process and Playground's loop."""

import json
import stat
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from jaxskills.benchmarks import measuring, robot_peers
from jaxskills.benchmarks.robot_peer_brax import JoinedCritic
from jaxskills.benchmarks.robot_peer_playground import StepLoop, stepped
from jaxskills.benchmarks.robot_stages import Bench
from jaxskills.envs import playground
from jaxskills.errors import UserError
from tests.benchmarks import tiny_robot
from tests.benchmarks.tiny_robot import WORLDS
from tests.physics.conftest import SMALL


def fake_python(folder: Path, *lines: str) -> Path:
  """A program that answers the first request as Brax's process does, and then as given."""
  path = folder / "python"
  path.write_text("\n".join(["#!/bin/sh", "read request", *lines]) + "\n")
  path.chmod(path.stat().st_mode | stat.S_IXUSR)
  return path


def ready(parameters: int) -> str:
  versions = {"brax": "0.14.2", "jax": "0.9.2"}
  answer = {"versions": versions, "parameters": parameters, "seconds_before": 1.0}
  return f"echo '{json.dumps(answer)}'"


def test_brax_is_asked_for_an_iteration_at_a_time(target, start, tmp_path):
  # 15 numbers of state, 3 masses; 8 hidden; actor with a deviation, critic of both
  parameters = (15 * 8 + 8 + 8 + 1 + 1) + ((15 + 3) * 8 + 8 + 8 + 1)
  python = fake_python(
    tmp_path, ready(parameters), "while read line; do echo '{\"loss\": 0.5}'; done"
  )
  bench = Bench(target, "native", start, seconds=0.0)
  with robot_peers.open_peer("brax", python, target, bench, start) as peer:
    assert peer.stage == "training" and peer.floor == 1.2
    assert peer.contender.units == WORLDS * 4
    assert peer.contender.run() == {} and peer.meter.faults["nonfinite"] == 0
    assert "0.14.2" in peer.contender.name and "native" in peer.contender.name


def test_brax_with_networks_of_another_size_is_no_comparison(target, start, tmp_path):
  bench = Bench(target, "native", start, seconds=0.0)
  python = fake_python(tmp_path, ready(7))
  with pytest.raises(AssertionError, match="7 in Brax's networks"):
    with robot_peers.open_peer("brax", python, target, bench, start):
      pass


def test_brax_sees_what_our_actor_and_critic_see_and_nothing_else(target):
  env = tiny_robot.make_env(target.config, WORLDS)
  joined = JoinedCritic(env, ("state",), ("privileged", "state"))
  begun = joined.reset(jax.random.key(0))
  for state in (begun, joined.step(begun, jnp.zeros(1))):
    assert set(state.obs) == {"state", "critic"}
    np.testing.assert_array_equal(state.obs["critic"][3:], state.obs["state"])
  assert joined.action_size == 1


def test_a_peer_that_dies_is_quoted(target, start, tmp_path):
  bench = Bench(target, "native", start, seconds=0.0)
  python = fake_python(tmp_path, "echo 'no module named brax' >&2")
  with pytest.raises(UserError, match="it said: no module named brax; .*pip install brax"):
    with robot_peers.open_peer("brax", python, target, bench, start):
      pass


@pytest.fixture(scope="module")
def loop(start):
  """Playground's loop on the tiny robot."""
  starts = start.states.info["pool"].data.physics.qpos
  model = mujoco.MjModel.from_xml_string(SMALL)
  return StepLoop(model, "jax", tiny_robot.SUBSTEPS, starts, WORLDS), starts


def test_playgrounds_loop_holds_a_control_for_all_physics_steps(loop):
  env, starts = loop
  state = jax.jit(env.reset)(jax.random.key(0))
  assert any(np.allclose(state.pipeline_state.qpos, pose) for pose in starts)
  after = jax.jit(env.step)(state, jnp.array([0.5]))
  model = mujoco.MjModel.from_xml_string(SMALL)
  data = mujoco.MjData(model)
  data.qpos[:], data.ctrl[:] = state.pipeline_state.qpos, 0.5
  for _ in range(tiny_robot.SUBSTEPS):
    mujoco.mj_step(model, data)
  np.testing.assert_allclose(after.pipeline_state.qpos, data.qpos, atol=1e-5)
  assert after.done == 0.0 and after.obs.shape == (env.observation_size,)


@pytest.mark.parametrize(("degrees", "fell"), [(0, False), (25, False), (40, True), (180, True)])
def test_playgrounds_loop_ends_where_the_base_tilts(loop, degrees, fell):
  half = np.deg2rad(degrees) / 2
  qpos = jnp.array([0, 0, 0.3, np.cos(half), np.sin(half), 0, 0, 0.2])
  assert bool(loop[0]._fell(qpos)) == fell


def test_a_robot_that_playground_does_not_have_is_refused(target, start):
  engine = tiny_robot.make_env(target.config, WORLDS).engine
  with pytest.raises(UserError, match="no likeness of tiny/robot"):
    stepped("tiny/robot", "jax", engine, start)


@pytest.mark.parametrize("allow_download", [False, True])
def test_playgrounds_loop_races_with_its_own_solver_settings(
  target, start, monkeypatch, capfd, allow_download
):
  likeness = robot_peers.robot_peer_playground.Likeness(None, 1, 5, 8)
  monkeypatch.setitem(robot_peers.robot_peer_playground.LIKENESSES, "tiny/robot", likeness)
  bench = Bench(target, "native", start, seconds=0.0)
  opened = robot_peers.open_peer("playground", None, target, bench, start, allow_download)
  with opened as peer:
    rates = measuring.race((peer.contender,), rounds=1, seconds=0.0)
    assert peer.stage == "environment" and peer.floor == 2.5
    assert "iterations 1" in peer.facts["peer_does"]
    assert peer.facts["peer_note"].endswith("Playground has no environment of tiny/robot")
    assert peer.facts["peer_note"] in capfd.readouterr().err
    assert set(peer.meter.faults.values()) == {0}
    assert peer.contacts is not None and 0.0 <= peer.contacts() <= 4.0
  assert rates[peer.contender.name][0] > 0
  assert bench.physics.model.opt.iterations == 5  # ours is as it was


def test_an_environment_of_playgrounds_own_races_too(target, start, monkeypatch):
  """One that needs no download; what it is does not matter to the race."""
  pytest.importorskip("mujoco_playground")
  likeness = robot_peers.robot_peer_playground.Likeness("CartpoleBalance", 1, 5, 8)
  monkeypatch.setitem(robot_peers.robot_peer_playground.LIKENESSES, "tiny/robot", likeness)
  bench = Bench(target, "native", start, seconds=0.0)
  with robot_peers.open_peer("playground", None, target, bench, start) as peer:
    assert measuring.race((peer.contender,), rounds=1, seconds=0.0)
    assert "CartpoleBalance" in peer.contender.name and "peer_note" not in peer.facts
    assert set(peer.meter.faults.values()) == {0}
    assert peer.contacts is not None and peer.contacts() == 0.0


def test_a_download_that_was_asked_for_and_fails_is_not_a_loop_instead(target, start, monkeypatch):
  likeness = robot_peers.robot_peer_playground.Likeness("TinyRobot", 1, 5, 8)
  monkeypatch.setitem(robot_peers.robot_peer_playground.LIKENESSES, "tiny/robot", likeness)

  def load(name, *, allow_download, overrides):
    assert allow_download and name == "TinyRobot"
    raise UserError("could not clone")

  monkeypatch.setattr(playground, "package", lambda: None)
  monkeypatch.setattr(playground, "load", load)
  bench = Bench(target, "native", start, seconds=0.0)
  with pytest.raises(UserError, match="could not clone"):
    with robot_peers.open_peer("playground", None, target, bench, start, allow_download=True):
      pass


@pytest.mark.parametrize(
  ("experiment", "impl", "defaults", "room"),
  [
    ("h1/velocity", "warp", ("naconmax",), {"naconmax": 8 * 64}),
    ("panda/lift_cube", "warp", ("naconmax", "naccdmax"), {"naconmax": 1536, "naccdmax": 1536}),
    ("panda/lift_cube", "jax", ("naconmax", "naccdmax"), {}),
  ],
)
def test_playgrounds_own_robots_have_room_for_their_contacts(
  monkeypatch, experiment, impl, defaults, room
):
  registry = SimpleNamespace(get_default_config=lambda name: dict.fromkeys(defaults, 0))
  monkeypatch.setattr(playground, "package", lambda: SimpleNamespace(registry=registry))
  asked = []

  def load(name, *, allow_download, overrides):
    assert not allow_download
    asked.append(overrides)
    raise UserError("it is a stand-in")

  monkeypatch.setattr(playground, "load", load)
  with pytest.raises(UserError, match="stand-in"):
    robot_peers.robot_peer_playground.real(experiment, impl, worlds=64)
  assert asked == [{"impl": impl, **room}]
