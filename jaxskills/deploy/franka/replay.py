"""Does a log of the robot give the same commands again? Bit for bit, by the NumPy twin.

A log has what every callback got and what it answered. `controller.py` is given the former and must
answer the latter; the actions in it are asked of the bundle's own graph again, each with the look
that it followed from, which rounds in another order: those must agree to 1e-4.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxskills.deploy import safety
from jaxskills.deploy.bundle import Bundle
from jaxskills.deploy.franka import controller, motion
from jaxskills.deploy.franka.controller import Inputs
from jaxskills.deploy.runtime import Policy
from jaxskills.errors import UserError

ACTION_TOLERANCE = 1e-4
_MAGIC = b"JSFRANK1"
_HAS_ACTION, _IS_STOPPING, _IS_LATE = 1, 2, 4
RECORD = np.dtype(
  [
    ("index", "<u8"),
    ("period", "<u8"),
    ("milliseconds", "<u8"),
    ("flags", "<u8"),
    ("now", "<f8"),
    ("joints", "<f8", (5, motion.JOINTS)),
    ("target", "<f8", 3),
    ("action", "<f8", motion.JOINTS),
    ("action_position", "<f8", motion.JOINTS),
    ("told", "<f8", motion.JOINTS),
    ("action_look", "<u8"),
    ("mode", "<i8"),
    ("reason", "<i8"),
    ("nanoseconds", "<u8"),
    ("processor_nanoseconds", "<u8"),
  ]
)
"""One callback, as `franka_policy.hpp` writes it."""


class Replay(NamedTuple):
  """What a replay found.

  Attributes:
    callbacks: in the log.
    differing: of them, whose command, mode or reason is not the same.
    first_differing: index of the first, or None.
    actions: decisions of the policy in the log.
    action_difference: greatest between them and the bundle's graph; infinite for one that follows
      from no look in the log, or where only one of the two is finite.
    microseconds: that callbacks took: median, 99 %, 99.9 %, all.
    processor_microseconds: of them, those in which their thread was not kept from running.
  """

  callbacks: int
  differing: int
  first_differing: int | None
  actions: int
  action_difference: float
  microseconds: tuple[float, float, float, float]
  processor_microseconds: tuple[float, float, float, float]

  @property
  def is_same(self) -> bool:
    """Whether the log is what this bundle's controller does."""
    return self.differing == 0 and self.action_difference <= ACTION_TOLERANCE


def read(path: Path, bundle: Bundle) -> np.ndarray:
  """The records of a log, `[callbacks]` of `RECORD`.

  Raises:
    UserError: if it is no log, of another policy, cut off or has gaps.
  """
  try:
    content = path.read_bytes()
  except OSError as error:
    raise UserError(
      f"{path} is not readable: {error.strerror}; name a log of 'run franka'."
    ) from error
  head = len(_MAGIC) + 8 + 64
  size = int.from_bytes(content[len(_MAGIC) : len(_MAGIC) + 8], "little")
  if content[: len(_MAGIC)] != _MAGIC or size != RECORD.itemsize:
    raise UserError(f"{path} is no log of 'jaxskills run franka' of this version.")
  if content[head - 64 : head].decode(errors="replace") != bundle.manifest["parameters_sha256"]:
    raise UserError(f"{path} is a log of another policy than {bundle.path}; name that bundle.")
  whole = (len(content) - head) // size * size
  records = np.frombuffer(content[head : head + whole], RECORD)
  if not len(records) or (records["index"] != np.arange(len(records))).any():
    raise UserError(f"{path} lacks callbacks; the disk was too slow, log to a faster one.")
  return records


def replay(bundle: Bundle, records: np.ndarray) -> Replay:
  """Does again what the log says was done.

  Args:
    bundle: whose controller it was.
    records: from `read`.
  """
  constants = motion.constants_of(bundle.manifest)
  limits = safety.from_json(bundle.manifest["parts"]["safety"])
  policy, state, sights, actions, largest = Policy(bundle), None, {}, 0, 0.0
  differs = np.zeros(len(records), bool)
  for index, record in enumerate(records):
    inputs = inputs_of(record)
    if state is None:
      state, told = controller.begin(constants, limits, inputs)
    else:
      state, told = controller.tick(constants, limits, state, inputs)
    if inputs.action is not None:
      sight = sights.get(int(record["action_look"]))
      off = np.inf if sight is None else _difference(policy, constants, sight, inputs.action)
      actions, largest = actions + 1, max(largest, off)
    if told.sight is not None:
      sights[index] = told.sight
    same = told.position.tobytes() == record["told"].tobytes()
    differs[index] = not (same and (told.mode, told.reason) == (record["mode"], record["reason"]))
  return Replay(
    callbacks=len(records),
    differing=int(differs.sum()),
    first_differing=int(differs.argmax()) if differs.any() else None,
    actions=actions,
    action_difference=largest,
    microseconds=microseconds(records["nanoseconds"]),
    processor_microseconds=microseconds(records["processor_nanoseconds"]),
  )


def inputs_of(record: np.void) -> Inputs:
  """What the callback of a record got."""
  flags = int(record["flags"])
  return Inputs(
    period=int(record["period"]),
    milliseconds=int(record["milliseconds"]),
    joints=record["joints"].copy(),
    target=record["target"].copy(),
    action=record["action"].copy() if flags & _HAS_ACTION else None,
    action_position=record["action_position"].copy(),
    is_stopping=bool(flags & _IS_STOPPING),
    late=bool(flags & _IS_LATE),
  )


def microseconds(nanoseconds: np.ndarray) -> tuple[float, float, float, float]:
  """Of what callbacks took: median, 99 %, 99.9 %, the slowest."""
  taken = nanoseconds * 1e-3
  median, most, nearly_all = np.quantile(taken, (0.5, 0.99, 0.999)).tolist()
  return median, most, nearly_all, float(taken.max())


def _difference(
  policy: Policy, constants: motion.Constants, sight: motion.Sight, action: np.ndarray
) -> float:
  """Between what the bundle's graph decides and an action of the log, as the robot clips it."""
  try:
    expected = policy.step({"state": motion.observe(constants, sight)})
  except (ValueError, FloatingPointError):  # it sees or decides what is not finite
    return np.inf if np.isfinite(action).all() else 0.0
  gap = np.abs(expected - np.clip(action, -1.0, 1.0)).max()
  return float(gap) if np.isfinite(gap) else np.inf
