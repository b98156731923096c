"""Replays the log of an H1's controller: the same policy and filter must give the same bits."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxskills.deploy.h1.commands import Wish
from jaxskills.deploy.h1.machine import Decision, Fault, Machine, Packer, read_contract
from jaxskills.deploy.h1.observation import Observation, Policy
from jaxskills.deploy.h1.record import UNDECIDED, Log
from jaxskills.deploy.h1.sensing import Sensing, reading_of
from jaxskills.deploy.safety import target_of
from jaxskills.errors import UserError


class Outcome(NamedTuple):
  """What a replay found.

  Attributes:
    decisions: that were replayed.
    ticks: likewise.
    differing_decisions: whose actions are not the same bits.
    differing_ticks: whose messages are not the same bits.
    is_whole: whether the log goes to the end of its run.
  """

  decisions: int
  ticks: int
  differing_decisions: int
  differing_ticks: int
  is_whole: bool

  @property
  def is_same(self) -> bool:
    """Whether all came out as it was, and anything did."""
    return self.ticks > 0 and not self.differing_decisions and not self.differing_ticks


def replay(log: Log, manifest: Mapping[str, Any], manifest_sha256: str, policy: Policy) -> Outcome:
  """Runs every frame of a log again.

  Args:
    log: from `record.read_log`.
    manifest: of the bundle.
    manifest_sha256: of that manifest.
    policy: of the bundle.

  Raises:
    UserError: if the log is of another bundle, or a frame is damaged or missing.
  """
  if log.header.get("manifest_sha256") != manifest_sha256:
    raise UserError("the log is of another bundle; name the --bundle that it was made with.")
  contract = read_contract(manifest)
  sensing = Sensing(manifest["parts"]["robot"])
  observation, machine = Observation(manifest), Machine(contract)
  packer = Packer(contract.motors, contract.modes)
  action = np.zeros(contract.action_size, np.float32)
  decisions: dict[float, Decision] = {}
  counts = dict.fromkeys(Outcome._fields[:-1], 0)
  is_whole = False
  for frame in log.frames():
    if frame["kind"] == b"E":
      is_whole = int(frame["frames"]) == counts["decisions"] + counts["ticks"]
      break
    senses = sensing.read(frame["sensors"])
    if frame["kind"] == b"D":
      if frame["step"] == 0:
        policy.reset()
        observation.reset()
        action = np.zeros_like(action)
      velocity, step = tuple(frame["velocity"].tolist()), int(frame["step"])
      action = policy.step(observation.build(senses, velocity, action, step))
      stamp = float(frame["stamp"])
      decisions[stamp] = Decision(step, stamp, target_of(contract.limits, action))
      counts["decisions"] += 1
      counts["differing_decisions"] += action.tobytes() != frame["action"][: action.size].tobytes()
    else:
      message = _tick(machine, packer, frame, senses, decisions)
      counts["ticks"] += 1
      counts["differing_ticks"] += not _is_same(message, frame)
  return Outcome(**counts, is_whole=is_whole)


def _tick(
  machine: Machine,
  packer: Packer,
  frame: np.ndarray,
  senses: Any,
  decisions: Mapping[float, Decision],
) -> np.ndarray:
  decided = float(frame["decided"])
  if decided != UNDECIDED and decided not in decisions:
    raise UserError("a decision is missing in the log; it cannot be replayed from there.")
  order = machine.tick(
    float(frame["now"]),
    reading_of(senses, float(frame["stamp"])),
    Wish((0.0, 0.0, 0.0), *(bool(flag) for flag in frame["wish"])),
    decisions.get(decided),
    late=bool(frame["late"]),
    fault=Fault(int(frame["fault"])),
  )
  return packer.pack(order.position, order.stiffness, order.damping)


def _is_same(message: np.ndarray, frame: np.ndarray) -> bool:
  names = ("q", "kp", "kd")
  slots, logged = message["motor_cmd"], frame["motor_cmd"]
  return bool(message["crc"] == frame["crc"]) and all(
    slots[name].tobytes() == logged[name].tobytes() for name in names
  )
