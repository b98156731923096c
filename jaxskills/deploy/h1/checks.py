"""What must hold before an H1's controller sends its first command; each refusal is one line."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxskills.deploy import verification
from jaxskills.deploy.bundle import Bundle
from jaxskills.deploy.h1 import wire
from jaxskills.errors import UserError

_HEAR_SECONDS, _LISTEN_SECONDS = 5.0, 1.0
_MARGIN = 0.2  # rad outside a joint's range that a reading may be


def require_bundle(path: Path) -> Bundle:
  """A verified bundle of an H1.

  Raises:
    UserError: if it is damaged, not verified, failed, or of another robot.
  """
  bundle = verification.require(path)
  if bundle.manifest["robot"] != "h1":
    raise UserError(
      f"{path} is a bundle for robot '{bundle.manifest['robot']}'; run 'jaxskills export' with "
      "--robot=h1."
    )
  return bundle


def hear_robot(
  link: wire.Wire, states: wire.Reader, foreign: wire.Reader, robot: Mapping[str, Any]
) -> None:
  """Listens until it is clear that the robot is an H1 and that nobody commands it.

  Args:
    link: the participant; its own writer of commands must exist already, so that of two controllers
      that start at once each sees the other.
    states: of the robot.
    foreign: commands of others.
    robot: the manifest's `parts["robot"]`.

  Raises:
    UserError: if no robot is heard, it is another one, or somebody commands it.
  """
  begun = time.monotonic()
  heard = list(states.wait(_HEAR_SECONDS))
  if not heard:
    raise UserError(_silence(link, states))
  while time.monotonic() < begun + _LISTEN_SECONDS:
    time.sleep(0.02)
    heard.extend(states.take())
  if foreign.take() or _commanders(link):
    raise UserError(
      f"another process already commands this robot (it writes {wire.COMMAND_TOPIC}): end it "
      "first; 'pgrep -af jaxskills.deploy.h1' finds a guard that was left on this computer."
    )
  if fault := robot_fault(heard, robot):
    raise UserError(f"what speaks on {wire.STATE_TOPIC} is not this bundle's H1: {fault}.")


def robot_fault(states: list[np.ndarray], robot: Mapping[str, Any]) -> str:
  """Why these states cannot come from the robot, or "".

  The Go2 speaks with the same messages; it has twelve motors and other ranges.
  """
  slots = np.stack([state["motor_state"] for state in states])
  motors = np.array(robot["motors"])
  readings = slots["q"][:, motors]
  if len(states) > 1 and len({int(state["tick"]) for state in states}) == 1:
    return "its clock ('tick') stands still"
  if not np.isfinite(readings).all():
    return "a joint's position is not a number"
  is_silent = np.all([~slots[name].any(axis=0) for name in ("q", "dq", "temperature")], axis=0)
  if is_silent[motors].any() and not is_silent[motors].all():
    joint = robot["joints"][int(np.argmax(is_silent[motors]))]
    return f"motor {motors[np.argmax(is_silent[motors])]} ({joint}) says nothing"
  low, high = np.array(robot["lower"]) - _MARGIN, np.array(robot["upper"]) + _MARGIN
  if np.any(outside := ((readings < low) | (readings > high)).any(0)):
    index = int(np.argmax(outside))
    return f"{robot['joints'][index]} is at {readings[-1, index]:.2f} rad, beyond its range"
  return ""


def _commanders(link: wire.Wire) -> list[wire.Publication]:
  return [found for found in link.publications() if found.topic == wire.COMMAND_TOPIC]


def _silence(link: wire.Wire, states: wire.Reader) -> str:
  """Why no state came, in words."""
  speakers = {found.type_name for found in link.publications() if found.topic == wire.STATE_TOPIC}
  if foreign := sorted(name for name in speakers if "unitree_go" not in name):
    return f"the robot on the wire is no H1: its states are {foreign[0]}."
  if states.refused:
    return (
      f"{states.refused} states came and none was intact (size, head or CRC): this is no H1, or "
      "another version of its protocol."
    )
  return (
    f"no H1 is heard on {wire.STATE_TOPIC} within {_HEAR_SECONDS:.0f} s; check the cable, "
    "--interface and --domain, and that the robot is on (or 'jaxskills simulate h1' runs)."
  )
