"""The simulated H1's body: C MuJoCo, motors that obey `LowCmd_`, a harness, and what it all counts.

The robot begins hanging in a harness, as a real one does: its pelvis is held upright, first clear
of the floor, then lowered until the soles touch it once the motors hold. The harness lets go when
the commanded legs leave the pose in which they stood (the policy moves), or after a stated time, or
never. A real robot does not stand in its default pose by stiffness alone; neither does this one.
"""

import math
from typing import Any, NamedTuple

import mujoco
import numpy as np

from jaxskills.assets.h1 import H1, h1_model
from jaxskills.deploy.h1 import messages

CLEARANCE = 0.15  # m that the soles hang over the floor
_LOWERING_SECONDS, _STANDS_SECONDS, _MOVED = 0.5, 2.5, 0.02  # s, s, rad
_FALLEN_HEIGHT, _FALLEN_UPRIGHT = 0.6, 0.5  # m, cosine: as the training environment's
_SLACK_POSITION, _SLACK_SHARE = 0.02, 1e-3  # rad past a stop that gives; of torques
_SLACK_SPEED = 0.1  # of a joint's speed: a foot that meets the floor turns its ankle, not the motor
_TIP_SECONDS, _TIPPED = 0.4, 1.4  # s, rad
_LEGS = 10
_MOTORS = np.array(H1.motors)
_LOWER, _UPPER = np.array(H1.lower), np.array(H1.upper)
_SPEED, _TORQUE = np.array(H1.velocity_limit), np.array(H1.torque_limit)


class Harness(NamedTuple):
  """When the harness lets go.

  Attributes:
    kind: "policy", when the legs' targets begin to move; "never"; or "seconds".
    seconds: after the robot stands, where the kind says so.
  """

  kind: str = "policy"
  seconds: float = 0.0


class Body:
  """One simulated robot. Time is the simulation's own, in s.

  Attributes:
    counts: violations of limits, by name, in physics steps; `falls`.
    saturated: physics steps in which a motor was asked for more than its torque and gave that. The
      filter predicts the torque from the newest state; on a late network it can be off a little.
    fastest: greatest share of its speed limit that a joint reached.
    events: time of the first of each: stiff, lowered, released, tipped, fallen, damped.
  """

  def __init__(self, harness: Harness, timestep: float = 0.002, seed: int = 0) -> None:
    """Hangs the robot up, joints limp.

    Args:
      harness: when it lets go.
      timestep: of physics and motors, s.
      seed: of the first pose, which is a few degrees off.
    """
    self.model = h1_model(timestep=timestep, collisions="full")
    self.data = mujoco.MjData(self.model)
    self._harness = harness
    random = np.random.default_rng(seed)
    self.data.qpos[:7] = 0.0, 0.0, H1.base_height + CLEARANCE, 1.0, 0.0, 0.0, 0.0
    self.data.qpos[7:] = random.uniform(-0.05, 0.05, len(H1.joints))
    self._held = self._is_damped = True
    self._stood: np.ndarray | None = None
    self._tipped_at: float | None = None
    self._heading = 0.0
    self._command = messages.blank(messages.LOW_COMMAND)
    self.counts: dict[str, int] = {
      name: 0 for name in ("falls", "position", "velocity", "target", "commands_refused")
    }
    self.events: dict[str, float] = {}
    self._state = messages.blank(messages.LOW_STATE)
    self.saturated, self.fastest = 0, 0.0
    self.walked = 0.0
    mujoco.mj_forward(self.model, self.data)

  @property
  def time(self) -> float:
    """Simulated seconds."""
    return self.data.time

  @property
  def is_held(self) -> bool:
    """Whether the harness still carries the robot."""
    return self._held

  def obey(self, command: np.ndarray) -> None:
    """Sets what the motors are told, until the next command; what is not finite is refused."""
    slots = command["motor_cmd"][_MOTORS]
    if not all(np.isfinite(slots[name]).all() for name in ("q", "dq", "tau", "kp", "kd")):
      self.counts["commands_refused"] += 1
      return
    self._command = command
    stiff, damped = bool(slots["kp"].any()), bool(slots["kd"].any())
    if stiff:
      self._event("stiff")
    elif damped and "stiff" in self.events:
      self._event("damped")
    self._is_damped = not stiff
    if stiff and np.any((slots["q"] < _LOWER) | (slots["q"] > _UPPER)):
      self.counts["target"] += 1
    if stiff and self._held and self._stands():
      legs = slots["q"][:_LEGS].astype(float)
      self._stood = legs if self._stood is None else self._stood

  def velocity(self) -> tuple[float, float]:
    """Of the base, ahead and to the left of where it faces, m/s."""
    heading = self._yaw()
    x, y = self.data.qvel[:2]
    cos, sin = math.cos(heading), math.sin(heading)
    return float(cos * x + sin * y), float(cos * y - sin * x)

  def tip(self) -> None:
    """Somebody takes the robot and tips it over, forwards."""
    self._heading = self._yaw()
    self._held, self._tipped_at = True, self.time
    self._event("tipped")

  def step(self) -> np.ndarray:
    """One physics step; the signed `LowState_` of the instant before it."""
    self._drive()
    self._hold()
    position, velocity = self.data.qpos[7:].copy(), self.data.qvel[6:].copy()
    mujoco.mj_step(self.model, self.data)
    self._judge(position, velocity)
    return self._measure(position, velocity)

  def _stands(self) -> bool:
    return self.time - self.events["stiff"] >= _STANDS_SECONDS

  def _drive(self) -> None:
    """Motors: torque kp (q* - q) + kd (dq* - dq) + tau, within the limit; mode 0 gives none."""
    slots = self._command["motor_cmd"][_MOTORS]
    on = slots["mode"] != 0
    kp, kd = np.where(on, slots["kp"], 0.0), np.where(on, slots["kd"], 0.0)
    self.model.actuator_gainprm[:, 0] = kp
    self.model.actuator_biasprm[:, 0] = np.where(on, slots["tau"] + kd * slots["dq"], 0.0)
    self.model.actuator_biasprm[:, 1], self.model.actuator_biasprm[:, 2] = -kp, -kd
    self.data.ctrl[:] = slots["q"]

  def _hold(self) -> None:
    """Where the harness has the pelvis; whether it lets go."""
    if self._held and self._tipped_at is None and self._lets_go():
      self._held = False
      self._event("released")
    if not self._held:
      return
    height, pitch = H1.base_height + CLEARANCE * (1.0 - self._lowered()), 0.0
    if self._tipped_at is not None:
      pitch = _TIPPED * min((self.time - self._tipped_at) / _TIP_SECONDS, 1.0)
    turn, lean = 0.5 * self._heading, 0.5 * pitch
    self.data.qpos[2:7] = (
      height,
      math.cos(turn) * math.cos(lean),
      -math.sin(turn) * math.sin(lean),
      math.cos(turn) * math.sin(lean),
      math.sin(turn) * math.cos(lean),
    )
    self.data.qvel[:6] = 0.0

  def _lowered(self) -> float:
    """Part of the way down to the floor: begins once the robot stands."""
    if "stiff" not in self.events:
      return 0.0
    since = self.time - self.events["stiff"] - (_STANDS_SECONDS - _LOWERING_SECONDS)
    share = min(max(since / _LOWERING_SECONDS, 0.0), 1.0)
    if share == 1.0:
      self._event("lowered")
    return share

  def _lets_go(self) -> bool:
    if self._stood is None or self._is_damped or self._harness.kind == "never":
      return False
    if self._harness.kind == "seconds":
      return self.time - self.events.get("lowered", math.inf) >= self._harness.seconds
    legs = self._command["motor_cmd"]["q"][_MOTORS][:_LEGS]
    return bool(np.abs(legs - self._stood).max() > _MOVED)

  def _judge(self, position: np.ndarray, velocity: np.ndarray) -> None:
    """Counts what is beyond a limit while the motors hold."""
    if self._is_damped:
      return
    slots = self._command["motor_cmd"][_MOTORS]
    asked = slots["kp"] * (slots["q"] - position) - slots["kd"] * velocity
    speed = np.abs(velocity) / _SPEED
    self.fastest = max(self.fastest, float(speed.max()))
    over = {
      "position": np.maximum(position - _UPPER, _LOWER - position) > _SLACK_POSITION,
      "velocity": speed > 1.0 + _SLACK_SPEED,
    }
    self.saturated += bool((np.abs(asked) > _TORQUE * (1.0 + _SLACK_SHARE)).any())
    for name, is_over in over.items():
      self.counts[name] += bool(is_over.any())
    if not self._held:
      upright = 1.0 - 2.0 * (self.data.qpos[4] ** 2 + self.data.qpos[5] ** 2)
      self.walked += math.hypot(*self.data.qvel[:2]) * self.model.opt.timestep
      if not (self.data.qpos[2] >= _FALLEN_HEIGHT and upright >= _FALLEN_UPRIGHT):
        self.counts["falls"] += "fallen" not in self.events
        self._event("fallen")

  def _measure(self, position: np.ndarray, velocity: np.ndarray) -> np.ndarray:
    state, sensor = self._state, self.data.sensor
    unit, motors = state["imu_state"], state["motor_state"]
    unit["quaternion"], unit["gyroscope"] = sensor("imu_quat").data, sensor("gyro").data
    unit["accelerometer"] = sensor("accelerometer").data
    motors["q"][_MOTORS], motors["dq"][_MOTORS] = position, velocity
    motors["tau_est"][_MOTORS] = self.data.actuator_force
    motors["mode"][_MOTORS] = self._command["motor_cmd"]["mode"][_MOTORS]
    motors["temperature"][_MOTORS] = 30
    state["tick"] = round(1000.0 * self.time) % (1 << 32)
    return messages.sign(state)

  def _yaw(self) -> float:
    w, x, y, z = self.data.qpos[3:7]
    return math.atan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))

  def _event(self, name: str) -> None:
    self.events.setdefault(name, self.time)

  def report(self) -> dict[str, Any]:
    """What happened, as JSON values."""
    return {
      "seconds": self.time,
      "counts": dict(self.counts),
      "saturated": self.saturated,
      "fastest_joint": self.fastest,
      "events": dict(self.events),
      "walked_metres": self.walked,
    }
