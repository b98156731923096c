"""Robots whose safety filter is tested: the two that there are, and one made up to be awkward."""

from typing import Any

import numpy as np

from jaxskills.assets.h1 import H1
from jaxskills.assets.panda import PANDA
from jaxskills.deploy import safety
from jaxskills.deploy.safety import Command, Limits, Output, Reading


def h1() -> Limits:
  """The walking H1: ten joints are controlled, at 50 Hz."""
  return safety.limits_of(
    H1._asdict(),
    controlled=range(10),
    scale=[0.25] * 10,
    offset=H1.default_pose[:10],
    action_limit=4.0,
    policy_seconds=0.02,
  )


def panda() -> Limits:
  """The Panda, whose targets come from its own command generator at 20 Hz."""
  return safety.limits_of(
    PANDA._asdict(),
    controlled=range(7),
    scale=[0.0] * 7,
    offset=PANDA.default_pose,
    action_limit=1.0,
    policy_seconds=0.05,
  )


def awkward() -> Limits:
  """Bounds of zero, a window of 7 ticks, a slow tick, a joint that cannot move, weak motors."""
  values: dict[str, Any] = safety.to_json(h1())
  values = {name: entry[:4] if _is_long(entry) else entry for name, entry in values.items()}
  values |= {
    "robot": "awkward",
    "tick": 0.01,
    "range_lower": [-1.0, 0.0, 0.0, 0.25],
    "range_upper": [0.0, 1.0, 0.5, 0.25],
    "lower": [-1.0, 0.0, 0.1, 0.25],
    "upper": [0.0, 0.9, 0.4, 0.25],
    "velocity": [3.0, 1.0, 0.5, 2.0],
    "acceleration": [30.0, 3.0, 50.0, 1.0],
    "jerk": [900.0, 1000.0, 1500.0, 100.0],
    "torque": [1.0, 100.0, None, 0.5],
    "torque_rate": [100.0, None, 20.0, 30.0],
    "stiffness": [100.0, 0.0, 50.0, 10.0],
    "damping": [2.0, 5.0, 0.0, 1.0],
    "default_pose": [0.0, 0.0, 0.1, 0.25],
    "controlled": [2, 0],
    "action_scale": [0.1, -0.5],
    "action_offset": [0.2, 0.0],
    "miss_limit": 2.0,
  }
  return safety.from_json(values)


def _is_long(entry: Any) -> bool:
  return isinstance(entry, list) and len(entry) > 4


ROBOTS = {"h1": h1, "panda": panda, "awkward": awkward}


class Driver:
  """A filter, ticked by hand: what holds is said again in every tick, fresh.

  A position `[batch, n]` makes it as many filters.
  """

  def __init__(self, limits: Limits, position: np.ndarray | None = None) -> None:
    self.position = limits.default_pose if position is None else position
    self.limits, self.batch = limits, self.position.shape[:-1]
    self.state = safety.start(limits, self.batch)
    self.now = -limits.tick
    self.velocity = np.zeros(self.position.shape)
    self.target, self.engaged = self.position, False
    self.upright, self.height = 1.0, 1.0 if np.isfinite(limits.least_height) else np.inf
    self.reading: Reading | None = None  # instead of a fresh one
    self.command: Command | None = None

  def tick(self, *, late: bool = False, reset: bool = False, now: float | None = None) -> Output:
    """One tick later, or at `now`."""
    self.now = self.now + self.limits.tick if now is None else now
    stamp, upright, height = map(self._each, (self.now, self.upright, self.height))
    here = Reading(stamp, self.position, self.velocity, upright, height)
    asked = Command(stamp, self.target, self._each(self.engaged))
    self.state, output = safety.step(
      self.limits,
      self.state,
      stamp,
      self.reading or here,
      self.command or asked,
      late=late,
      reset=reset,
    )
    return output

  def ticks(self, count: int) -> Output:
    """So many ticks; the last output."""
    output = self.tick()
    for _ in range(count - 1):
      output = self.tick()
    return output

  def engage(self, target: np.ndarray | None = None) -> "Driver":
    """Runs from here on."""
    self.tick()
    self.engaged = True
    if target is not None:
      self.target = target
    assert np.all(self.tick().mode == safety.RUN)
    return self

  def _each(self, value: Any) -> Any:
    return np.full(self.batch, value)[()]

  def reason(self) -> str:
    """Of the latch."""
    return safety.REASONS[int(self.state.reason)]


def column(limits: Limits, value: float) -> np.ndarray:
  """The same for each joint."""
  return np.full(len(limits.joints), value)
