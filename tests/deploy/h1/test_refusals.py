"""Starts that are refused before anything is sent: damaged bundles, other robots, silence."""

import shutil
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest

from jaxskills.assets.h1 import H1
from jaxskills.cli.main import main
from jaxskills.deploy import bundle as bundles
from jaxskills.deploy import verification
from jaxskills.deploy.h1 import checks, messages, wire
from jaxskills.errors import UserError

ROBOT = H1._asdict()
SECONDS = 5.0  # that a refusal of a bundle takes at most, on a busy machine too


def start(bundle, domain=0) -> list[str]:
  """The arguments of a controller."""
  script = ["--command=0.5,0,0", "--start-after=0"]
  return ["run", "h1", f"--bundle={bundle}", f"--domain={domain}", *script]


@pytest.fixture
def copy(verified, tmp_path):
  return shutil.copytree(verified, tmp_path / "copy")


def test_one_changed_byte_in_any_file_of_the_bundle_is_refused(copy):
  checks.require_bundle(copy)
  names = sorted(path.name for path in copy.iterdir())
  assert {"policy.onnx", "policy.c", "manifest.json", "verification.json", "golden.npz"} <= {*names}
  for name in names:
    whole = (copy / name).read_bytes()
    damaged = bytearray(whole)
    damaged[len(damaged) // 2] ^= 0x01
    (copy / name).write_bytes(damaged)
    begun = time.monotonic()
    with pytest.raises(UserError):
      checks.require_bundle(copy)
    assert time.monotonic() - begun < SECONDS
    (copy / name).write_bytes(whole)
  checks.require_bundle(copy)


def test_a_damaged_bundle_is_one_line_and_exit_code_2(copy, capsys):
  content = (copy / "policy.onnx").read_bytes()
  (copy / "policy.onnx").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
  assert main(start(copy)) == 2
  said = capsys.readouterr().err.splitlines()
  assert len(said) == 1
  assert "policy.onnx is damaged or was changed" in said[0]


def test_a_manifest_of_another_bundle_is_refused(copy, panda_bundle):
  shutil.copy(panda_bundle / "manifest.json", copy / "manifest.json")
  with pytest.raises(UserError):
    checks.require_bundle(copy)


def test_a_manifest_that_was_changed_and_signed_again_is_refused(copy):
  bundle = bundles.read(copy)
  control = {**bundle.manifest["control"], "rate_hz": 51.0}
  changed = {**bundle.manifest, "control": control}
  (copy / "manifest.json").write_bytes(bundles.encode_manifest(changed))
  bundles.read(copy)  # it is whole
  with pytest.raises(UserError, match="is of another bundle"):
    checks.require_bundle(copy)


def test_a_bundle_that_is_not_verified_or_failed_is_refused(copy):
  (copy / "verification.json").unlink()
  with pytest.raises(UserError, match="is not verified yet"):
    checks.require_bundle(copy)
  verification.write(bundles.read(copy), [verification.Check("closed loop", False, "fell")])
  with pytest.raises(UserError, match="failed its verification"):
    checks.require_bundle(copy)


def test_a_bundle_of_another_robot_is_refused(panda_bundle, tmp_path):
  folder = shutil.copytree(panda_bundle, tmp_path / "panda")
  verification.write(bundles.read(folder), [verification.Check("of a test", True, "")])
  with pytest.raises(UserError, match="for robot 'franka'"):
    checks.require_bundle(folder)


def test_a_script_without_a_start_is_refused(verified, capsys):
  assert main(["run", "h1", f"--bundle={verified}", "--command=0.5,0,0"]) == 2
  assert "--start-after" in capsys.readouterr().err


def standing(tick: int = 2) -> np.ndarray:
  """An H1 that stands."""
  state = messages.blank(messages.LOW_STATE)
  state["imu_state"]["quaternion"][0], state["tick"] = 1.0, tick
  motors = state["motor_state"]
  motors["q"][np.array(H1.motors)] = H1.default_pose
  motors["temperature"][np.array(H1.motors)] = 30
  return messages.sign(state)


@contextmanager
def speaking(domain: int, state: np.ndarray):
  """Somebody who says the same state over and over, its clock going on."""
  over = threading.Event()
  writer = wire.Wire("lo", domain).writer(messages.LOW_STATE)

  def speak() -> None:
    said = state.copy()
    while not over.wait(0.002):
      said["tick"] += 2
      writer.write(messages.sign(said))

  thread = threading.Thread(target=speak)
  thread.start()
  try:
    yield
  finally:
    over.set()
    thread.join()


def go2() -> np.ndarray:
  """A Go2 that lies: the same messages, twelve motors, folded knees."""
  state = standing()
  motors = state["motor_state"]
  motors["q"], motors["temperature"] = 0.0, 0
  motors["q"][:12] = np.tile([0.1, 1.3, -2.7], 4)
  motors["temperature"][:12] = 30
  return messages.sign(state)


def test_a_go2_on_the_wire_is_refused(stage):
  with speaking(stage.domain, go2()):
    controller = stage.controller()
    assert controller.process.wait(timeout=60) == 2
  assert "is not this bundle's H1" in controller.text


def test_nobody_on_the_wire_is_one_line(verified, domain, capsys, monkeypatch):
  monkeypatch.setattr(checks, "_HEAR_SECONDS", 0.3)
  assert main(start(verified, domain)) == 2
  assert "no H1 is heard" in capsys.readouterr().err


def test_an_interface_that_is_not_there_is_one_line(verified, capsys):
  assert main([*start(verified), "--interface=nowhere7"]) == 2
  assert "nowhere7" in capsys.readouterr().err
  assert main([*start(verified), "--interface=<x>"]) == 2


def test_an_h1_is_an_h1():
  assert checks.robot_fault([standing(2), standing(4)], ROBOT) == ""


def test_what_is_wrong_with_a_robot_is_named():
  silent, wild, still = standing(4), standing(4), [standing(2), standing(2)]
  for name in ("q", "temperature"):
    silent["motor_state"][name][18] = 0
  wild["motor_state"]["q"][H1.motors[H1.joints.index("left_knee")]] = -1.8
  assert "motor 18 (left_shoulder_yaw) says nothing" in checks.robot_fault([silent], ROBOT)
  assert "left_knee is at -1.80 rad" in checks.robot_fault([wild], ROBOT)
  assert "stands still" in checks.robot_fault(still, ROBOT)
  wild["motor_state"]["q"][H1.motors[0]] = np.nan
  assert "not a number" in checks.robot_fault([wild], ROBOT)
