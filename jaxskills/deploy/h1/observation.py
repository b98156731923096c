"""The policy's input, built from the manifest: which numbers, in which order, scale and history."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from jaxskills.deploy.h1.sensing import Senses
from jaxskills.errors import UserError

INPUT = "state"


class Policy(Protocol):
  """As `runtime.Policy`."""

  def step(self, observation: dict[str, np.ndarray]) -> np.ndarray:
    """The action of one observation."""
    ...

  def reset(self) -> None:
    """Forgets what it remembers."""
    ...


class Observation:
  """One policy's view of the robot; remembers the history and nothing else."""

  def __init__(self, manifest: Mapping[str, Any]) -> None:
    """Reads the contract.

    Raises:
      UserError: if it asks for something that this controller cannot build, naming it.
    """
    declared = {entry["name"]: entry for entry in manifest["observation"]}
    if list(declared) != [INPUT]:
      raise UserError(
        f"the policy reads {', '.join(declared)}; this controller builds '{INPUT}' only."
      )
    entry, parts = declared[INPUT], manifest["parts"]
    self._terms = entry["terms"]
    self._length = entry["history"]["length"]
    self._controlled = np.array(parts["robot"]["controlled"])
    self._default = np.array(parts["robot"]["default_pose"])
    self._clock_steps = parts["task"]["clock_seconds"] / manifest["control"]["step_seconds"]
    self._readers: Mapping[str, Callable[[Senses, Sequence[float], np.ndarray, int], Any]] = {
      "gyro": lambda senses, command, action, step: senses.gyro,
      "projected_gravity": lambda senses, command, action, step: senses.gravity,
      "command": lambda senses, command, action, step: command,
      "joint_position": lambda senses, command, action, step: (senses.position - self._default)[
        self._controlled
      ],
      "joint_velocity": lambda senses, command, action, step: senses.velocity[self._controlled],
      "last_action": lambda senses, command, action, step: action,
      "clock": lambda senses, command, action, step: self._clock(step),
    }
    self._check(entry["shape"])
    self._scale = np.concatenate([np.asarray(term["scale"], np.float64) for term in self._terms])
    self._measured = np.zeros((0, self._scale.size), np.float32)

  def reset(self) -> None:
    """Forgets the history: the next measurement fills all of it."""
    self._measured = self._measured[:0]

  def build(
    self, senses: Senses, command: Sequence[float], action: np.ndarray, step: int
  ) -> dict[str, np.ndarray]:
    """The policy's input at one decision.

    Args:
      senses: what was measured.
      command: forward and sideways velocity, m/s, and yaw rate, rad/s.
      action: the last decision, clipped; zeros before the first one.
      step: number of control periods since the policy began, which the gait's clock counts.

    Returns:
      float32 `[history * size]`, newest first.
    """
    values = [self._readers[term["name"]](senses, command, action, step) for term in self._terms]
    now = (self._scale * np.concatenate(values)).astype(np.float32)[None]
    older = self._measured if len(self._measured) else np.repeat(now, self._length, axis=0)
    self._measured = np.concatenate([now, older[: self._length - 1]])
    return {INPUT: self._measured.reshape(-1)}

  def _clock(self, step: int) -> tuple[float, float]:
    angle = 2.0 * math.pi * (step / self._clock_steps % 1.0)
    return math.sin(angle), math.cos(angle)

  def _check(self, shape: Sequence[int]) -> None:
    """Refuses terms that are unknown, or do not lie one behind the other."""
    end = 0
    for term in self._terms:
      if term["name"] not in self._readers:
        raise UserError(
          f"the policy reads '{term['name']}', which an H1's controller cannot build; it builds "
          f"{', '.join(self._readers)}."
        )
      begin, behind = term["slice"]
      if begin != end or len(term["scale"]) != behind - begin:
        raise UserError(
          f"the manifest's term '{term['name']}' has no place of its own; export again."
        )
      end = behind
    if list(shape) != [self._length * end]:
      raise UserError(
        f"the manifest's terms have {end} numbers, its input {list(shape)}; export again."
      )
