"""The commands around a Panda: what they refuse in a line, and what they do."""

import argparse
import importlib.util
import json
import shutil
import sys
import types

import numpy as np
import pytest

from jaxskills.deploy import bundle as bundles
from jaxskills.deploy import verification
from jaxskills.deploy.franka import build, motion, places, sources
from jaxskills.deploy.franka import simulate_command as simulate
from jaxskills.deploy.runtime import Policy
from jaxskills.errors import UserError
from tests.deploy.franka.conftest import address, lock_step, simulated
from tests.deploy.franka.test_faults import run

TARGET = "--target=0.5,0.1,0.4"


def test_a_run_compiles_the_bundle_moves_and_its_log_replays(
  reaching_bundle, libfranka, tmp_path, capsys
):
  log = tmp_path / "log"
  common = f"--bundle={reaching_bundle}"
  with simulated(network=lock_step()) as server:
    options = [f"--libfranka={libfranka}", TARGET, "--seconds=0.5", f"--log={log}", "--no-realtime"]
    assert run(common, f"--ip={address(server)}", *options) == 0
  assert server.motions[0]["end"] == "finished"
  assert run(common, f"--replay={log}") == 0
  assert ", 0 with another command" in capsys.readouterr().out


def test_a_log_of_another_kind_is_refused(reaching_bundle, tmp_path):
  (tmp_path / "log").write_bytes(b"no log")
  with pytest.raises(UserError, match="is no log"):
    run(f"--bundle={reaching_bundle}", f"--replay={tmp_path / 'log'}")
  with pytest.raises(UserError, match="not readable"):
    run(f"--bundle={reaching_bundle}", f"--replay={tmp_path / 'none'}")


@pytest.mark.parametrize(
  ("words", "message"),
  [
    ([], "name the robot"),
    (["--ip=1.2.3.4"], "at least one place"),
    (["--ip=1.2.3.4", "--target=0.5,0.1"], "x,y,z in m"),
    (["--ip=1.2.3.4", "--target=0.5,nan,0.4"], "x,y,z in m"),
    (["--ip=1.2.3.4", "--target=0.9,0.1,0.4"], "outside of where the policy was trained"),
    (["--ip=1.2.3.4", TARGET, "--seconds=-1"], "positive number"),
    (["--ip=1.2.3.4", TARGET, "--dwell=0"], "at least .1 s"),
  ],
)
def test_what_makes_no_sense_is_refused_before_anything_moves(reaching_bundle, words, message):
  with pytest.raises(UserError, match=message):
    run(f"--bundle={reaching_bundle}", *words)


def test_places_are_read_from_a_file(tmp_path):
  file = tmp_path / "places"
  file.write_text("0.5,0.1,0.4\n\n0.4 -0.1 0.3\n")
  parser = argparse.ArgumentParser()
  places.add_arguments(parser)
  found = places.read(parser.parse_args([f"--targets={file}"]))
  np.testing.assert_array_equal(found, [[0.5, 0.1, 0.4], [0.4, -0.1, 0.3]])


def test_libfranka_that_is_missing_or_only_half_there_is_named(reaching_bundle, tmp_path):
  bundle = bundles.read(reaching_bundle)
  with pytest.raises(UserError, match="no include/franka/robot.h"):
    build.compile_program(bundle, tmp_path, libfranka=tmp_path)
  (tmp_path / "include/franka").mkdir(parents=True)
  (tmp_path / "include/franka/robot.h").touch()
  with pytest.raises(UserError, match="no libfranka.so or .a"):
    build.compile_program(bundle, tmp_path, libfranka=tmp_path)


def test_a_compiler_that_is_missing_is_named(reaching_bundle, libfranka, tmp_path, monkeypatch):
  monkeypatch.setenv("CXX", "no-such-compiler")
  with pytest.raises(UserError, match="'no-such-compiler' of CXX is not on the PATH"):
    build.compile_program(bundles.read(reaching_bundle), tmp_path, libfranka=libfranka)


def test_constants_in_c_read_back_to_the_bit(constants):
  text = sources.header(constants, "0" * 64, "1" * 64)
  line = next(line for line in text.splitlines() if line.startswith("#define FRANKA_UPPER "))
  numbers = [float(word) for word in line.partition("{")[2].rstrip("}").split(",")]
  np.testing.assert_array_equal(numbers, constants.upper)


def test_simulating_reports_as_json(tmp_path):
  parser = argparse.ArgumentParser()
  simulate.add_arguments(parser)
  file = tmp_path / "report.json"
  words = ["--port=0", "--seconds=0.2", f"--json={file}", "--lock-step"]
  assert simulate.run(parser.parse_args(words)) == 0
  report = json.loads(file.read_text())
  assert report["motions"] == [] and 0 < report["ticks"] <= 300


def test_simulating_refuses_a_loss_that_is_no_share():
  parser = argparse.ArgumentParser()
  simulate.add_arguments(parser)
  with pytest.raises(UserError, match="--loss"):
    simulate.run(parser.parse_args(["--loss=2"]))


class FakeRobot:
  """What franky's robot would be told; its joints are where the last motion led."""

  def __init__(self):
    self.state = types.SimpleNamespace(q=np.array(motion_pose()), dq=np.zeros(7))
    self.motions = []

  def move(self, motion, asynchronous=False):
    self.motions.append((motion, asynchronous))
    if asynchronous:
      self.state = types.SimpleNamespace(q=motion[0].position, dq=motion[0].velocity)


def motion_pose():
  from jaxskills.assets.panda import PANDA

  return PANDA.default_pose


@pytest.fixture
def example(reaching_bundle):
  """The bundle's franky example as a module."""
  place = reaching_bundle / "franky_example.py"
  spec = importlib.util.spec_from_file_location("franky_example", place)
  assert spec is not None and spec.loader is not None
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


@pytest.fixture
def franky_motions(example, reaching_bundle):
  """What franky is told in 2.5 s to one target: two states a motion."""
  franky = types.SimpleNamespace(
    JointState=lambda position, velocity: types.SimpleNamespace(
      position=position, velocity=velocity
    ),
    JointWaypoint=lambda state: state,
    JointWaypointMotion=lambda states: states,
  )
  robot = FakeRobot()
  mover = example.Mover(bundles.read(reaching_bundle), np.array(motion_pose()))
  args = types.SimpleNamespace(seconds=2.5, dwell=4.0)
  example.move(franky, robot, mover, np.array([[0.5, 0.1, 0.4]]), args)
  assert len(robot.motions) == 50 and all(is_asynchronous for _, is_asynchronous in robot.motions)
  return [states for states, _ in robot.motions]


def test_the_franky_example_moves_to_its_target_within_the_limits(franky_motions, constants):
  ended = franky_motions[-1][0].position
  assert np.linalg.norm(motion.gripper(constants, ended) - [0.5, 0.1, 0.4]) < 0.02
  steps = np.diff([goal.position for goal, _ in franky_motions], axis=0)
  assert (np.abs(steps) <= constants.speed * constants.period * 1.0001).all()


def test_every_motion_of_the_franky_example_ends_at_rest_a_braking_distance_ahead(
  franky_motions, constants
):
  fastest = max(np.abs(goal.velocity).max() for goal, _ in franky_motions)
  assert fastest > 0.1
  for goal, rest in franky_motions:
    assert not rest.velocity.any()
    way, speed = rest.position - goal.position, np.abs(goal.velocity)
    assert (way * goal.velocity >= 0.0).all()
    assert (np.abs(way) >= 0.999 * speed**2 / (2.0 * constants.acceleration)).all()


def test_the_franky_example_refuses_what_is_not_verified_and_says_what_it_lacks(
  example, reaching_bundle, tmp_path, monkeypatch, capsys
):
  words = ["--ip=1.2.3.4", TARGET]
  copy = shutil.copytree(reaching_bundle, tmp_path / "bundle")
  (copy / verification.NAME).unlink()
  with pytest.raises(UserError, match="not verified"):
    example.main([*words, f"--bundle={copy}"])
  monkeypatch.setitem(sys.modules, "franky", None)
  with pytest.raises(ImportError):
    example.main([*words, f"--bundle={reaching_bundle}"])
  assert "no safety filter" in capsys.readouterr().err
  assert "does NOT have: the bundle's safety filter" in example.__doc__


def test_the_bundle_runs_without_a_robot_too(reaching_bundle):
  policy = Policy(bundles.read(reaching_bundle))
  seen = np.zeros(policy.bundle.manifest["observation"][0]["shape"], np.float32)
  np.testing.assert_array_equal(policy.step({"state": seen}), 0.0)
