"""The H1's states and what they send: zero torque, stand, policy, damp. Pure but for its memory.

  zero torque  --stand-->  stand  --walk, 2 s later-->  policy
       ^                     |                             |
       +------reset------  damp  <----stop, or any fault---+

Nothing here reads a clock, a network or a file, so the controller, its replay and the closed loop
of a verification run the same lines. The safety filter has the last word on every tick; a fault
that only the controller can see (somebody else commands the robot) damps in the same way. The
filter keeps the torque of damping within the motors' by the newest reading that it believes; before
the first such reading it knows no velocity, and damping is sent as it is.
"""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from jaxskills.deploy import safety
from jaxskills.deploy.h1 import messages
from jaxskills.deploy.h1.commands import Ranges, Wish

TICK_SECONDS = 0.002  # between two orders
STAND_SECONDS = 2.0
_RESET_SECONDS = 0.1  # that a request to begin anew waits for a fresh reading, ours
Indices = Sequence[int] | np.ndarray


class State(IntEnum):
  """What the controller is doing."""

  ZERO_TORQUE = 0
  STAND = 1
  POLICY = 2
  DAMP = 3


class Fault(IntEnum):
  """What ends a run besides the safety filter's own reasons."""

  NONE = 0
  OPERATOR = 1
  FOREIGN_COMMANDS = 2
  POLICY_FAILED = 3


FAULTS = {
  Fault.OPERATOR: "the operator stopped it",
  Fault.FOREIGN_COMMANDS: "another process commands this robot",
  Fault.POLICY_FAILED: "the policy failed",
}


class Contract(NamedTuple):
  """What the manifest says, ready to use.

  Attributes:
    limits: of the safety filter.
    motors: index of each joint in the arrays of motors.
    modes: byte that enables each joint's motor.
    default_pose: rad, `[joints]`.
    ranges: of velocities that may be asked for.
    step_seconds: between two decisions.
    action_size: numbers of a decision.
  """

  limits: Any
  motors: np.ndarray
  modes: np.ndarray
  default_pose: np.ndarray
  ranges: Ranges
  step_seconds: float
  action_size: int


def read_contract(manifest: Mapping[str, Any]) -> Contract:
  """The contract of an H1's bundle."""
  parts = manifest["parts"]
  robot, task = parts["robot"], parts["task"]
  return Contract(
    limits=safety.from_json(parts["safety"]),
    motors=np.array(robot["motors"]),
    modes=np.array(robot["motor_modes"], np.uint8),
    default_pose=np.array(robot["default_pose"], np.float64),
    ranges=Ranges(tuple(task["command_low"]), tuple(task["command_high"])),
    step_seconds=float(manifest["control"]["step_seconds"]),
    action_size=int(manifest["decision"]["size"]),
  )


class Decision(NamedTuple):
  """What the policy wants.

  Attributes:
    step: control periods since the policy began.
    stamp: when it looked, s.
    target: of the joints, rad, `[joints]`.
  """

  step: int
  stamp: float
  target: np.ndarray


class Order(NamedTuple):
  """What one tick sends.

  Attributes:
    state: of the controller.
    mode: of the safety filter.
    reason: why it damps, in words; "" where it does not.
    position: targets, rad, `[joints]`; the others likewise.
    stiffness: kp.
    damping: kd.
  """

  state: State
  mode: int
  reason: str
  position: np.ndarray
  stiffness: np.ndarray
  damping: np.ndarray


class Machine:
  """The states, and the filter behind them."""

  def __init__(self, contract: Contract) -> None:
    """Begins in zero torque."""
    self._contract = contract
    self._filter = safety.start(contract.limits)
    self._pose, self._last = contract.default_pose, contract.default_pose
    self._reason = ""
    self._asked_reset, self._reset_until = False, -np.inf
    self.state = State.ZERO_TORQUE
    self.since = 0.0

  @property
  def believed(self) -> float:
    """Stamp of the newest reading that the filter took; it refuses what cannot be."""
    return float(self._filter.reading_stamp)

  def tick(
    self,
    now: float,
    reading: safety.Reading,
    wish: Wish,
    decision: Decision | None,
    *,
    late: bool = False,
    fault: Fault = Fault.NONE,
  ) -> Order:
    """Moves on by one tick.

    Args:
      now: the controller's clock, s.
      reading: the newest one; it may be the one of the tick before.
      wish: the operator's.
      decision: the policy's newest, or None.
      late: the tick began late.
      fault: that the controller found.
    """
    wants_reset = self._wants_reset(now, wish, fault)
    self._move(now, wish, fault)
    stamp, target, engaged = self._command(now, decision)
    if self.state is State.DAMP and int(self._filter.mode) == safety.IDLE:
      target = np.full_like(target, np.nan)  # which the filter refuses: it latches, and damps
    command = safety.Command(stamp, target, engaged)
    self._filter, output = safety.step(
      self._contract.limits, self._filter, now, reading, command, late=late, reset=wants_reset
    )
    mode = int(output.mode)
    if mode == safety.DAMP and self.state is not State.DAMP:
      self._damp(now, safety.REASONS[int(output.reason)])
    elif wants_reset and mode == safety.IDLE:
      self._enter(now, State.ZERO_TORQUE)
      self._reason = ""
    return Order(self.state, mode, self._reason, output.position, output.stiffness, output.damping)

  def _wants_reset(self, now: float, wish: Wish, fault: Fault) -> bool:
    """Whether to begin anew: asked for since the robot damps, and neither stop nor fault is there.

    What counts is when the wish comes up, lest one that is kept up lets go of each fault to come.
    """
    if self.state is not State.DAMP or wish.stop or fault:
      self._reset_until = -np.inf
    elif wish.reset and not self._asked_reset:
      self._reset_until = now + _RESET_SECONDS
    self._asked_reset = wish.reset
    return now <= self._reset_until

  def _move(self, now: float, wish: Wish, fault: Fault) -> None:
    """Changes state where the operator or a fault asks for it."""
    if self.state is not State.DAMP and (fault or wish.stop):
      self._damp(now, FAULTS[fault or Fault.OPERATOR])
    elif self.state is State.ZERO_TORQUE and wish.stand and self.believed >= 0.0:
      self._pose = np.asarray(self._filter.position, np.float64)
      self._enter(now, State.STAND)
    elif self.state is State.STAND and wish.walk and now - self.since >= STAND_SECONDS:
      self._last = self._contract.default_pose
      self._enter(now, State.POLICY)

  def _command(self, now: float, decision: Decision | None) -> tuple[float, np.ndarray, bool]:
    """Stamp, target and whether the motors are to be held."""
    if self.state is State.STAND:
      share = min((now - self.since) / STAND_SECONDS, 1.0)
      return now, self._pose + share * (self._contract.default_pose - self._pose), True
    if self.state is State.POLICY:
      if decision is not None and decision.stamp >= self.since:
        return decision.stamp, decision.target, True
      return self.since, self._last, True
    return now, self._contract.default_pose, False

  def _damp(self, now: float, reason: str) -> None:
    self._enter(now, State.DAMP)
    self._reason = reason

  def _enter(self, now: float, state: State) -> None:
    self.state, self.since = state, now


class Packer:
  """Writes orders into `LowCmd_` records."""

  def __init__(self, motors: Indices, modes: Indices) -> None:
    """Prepares a record whose unused slots move nothing."""
    self._motors = np.asarray(motors)
    self._record = messages.blank(messages.LOW_COMMAND)
    slots = self._record["motor_cmd"]
    slots["q"], slots["dq"] = messages.POSITION_STOP, messages.VELOCITY_STOP
    slots["mode"][self._motors], slots["dq"][self._motors] = modes, 0.0

  def pack(self, position: np.ndarray, stiffness: np.ndarray, damping: np.ndarray) -> np.ndarray:
    """The signed record; the next call overwrites it."""
    slots = self._record["motor_cmd"]
    slots["q"][self._motors] = position
    slots["kp"][self._motors] = stiffness
    slots["kd"][self._motors] = damping
    return messages.sign(self._record)
