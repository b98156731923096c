"""What `jaxskills verify` asks of a bundle's safety filter: its limits, its fuzz, its C.

Everything is of the bundle: the limits in its manifest, the C among its files.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxskills.deploy import safety, safety_fuzz
from jaxskills.deploy.bundle import Bundle
from jaxskills.deploy.safety import Limits
from jaxskills.deploy.safety_fuzz import FILTERS, Report
from jaxskills.deploy.safety_twin import SOURCES, Twin
from jaxskills.deploy.verification import Check
from jaxskills.errors import UserError

LIMITS, FILTER, TWIN = "safety limits", "safety filter", "safety filter in c"
_ACTIONS = 10_000  # that are turned into targets, in both languages


def run(bundle: Bundle, ticks: int, folder: Path) -> Iterator[Check]:
  """All checks of the filter.

  Args:
    bundle: of a robot.
    ticks: of the fuzz.
    folder: for what the compiler makes.
  """
  try:
    limits = safety.from_json(bundle.manifest["parts"].get("safety"))
  except UserError as error:
    yield from (Check(name, False, str(error)) for name in (LIMITS, FILTER, TWIN))
    return
  yield check_limits(bundle.manifest["parts"]["robot"], limits)
  twin, fault = None, ""
  try:
    if missing := [name for name in SOURCES if name not in bundle.files]:
      raise UserError(f"the bundle has no {missing[0]}; export it again.")
    twin = Twin(bundle.files, limits, FILTERS, folder)
  except UserError as error:
    fault = str(error)
  report = safety_fuzz.fuzz(limits, ticks, twin=twin)
  yield check_fuzz(report)
  yield Check(TWIN, False, fault) if twin is None else check_twin(limits, report, twin)


def check_limits(robot: Mapping[str, Any], limits: Limits) -> Check:
  """The limits must lie within the robot's own.

  Args:
    robot: the manifest's `parts.robot`.
    limits: of the filter.
  """
  commanded = limits.stiffness > 0.0  # others have a controller of their own, which knows torques
  wrong = [
    name
    for name, holds in (
      ("joints", list(limits.joints) == list(robot["joints"])),
      ("controlled joints", limits.controlled.tolist() == list(robot["controlled"])),
      ("positions", _is_within(limits, robot)),
      ("velocity", _at_most(limits.velocity, robot["velocity_limit"])),
      ("acceleration", _at_most(limits.acceleration, robot["acceleration_limit"])),
      ("jerk", _at_most(limits.jerk, robot["jerk_limit"])),
      ("torque", _at_most(np.where(commanded, limits.torque, 0.0), robot["torque_limit"])),
      ("stiffness", _at_most(limits.stiffness, robot["stiffness"])),
    )
    if not holds
  ]
  if wrong:
    return Check(LIMITS, False, f"not within the robot's own: {', '.join(wrong)}")
  return Check(LIMITS, True, f"within those of the robot, all {len(limits.joints)} joints")


def check_fuzz(report: Report) -> Check:
  """Not one command outside of the limits, from filters that did move."""
  broken = ", ".join(f"{name} {count:,}" for name, count in report.violations.items())
  text = f"commands outside the limits: {broken or 'none'}, in {report.ticks:,} ticks of fuzz"
  text += f", {report.modes[safety.RUN]:,} of them in RUN"
  figures = {name: value for name, value in report._asdict().items() if name != "different"}
  return Check(FILTER, not broken and report.modes[safety.RUN] > 0, text, figures)


def check_twin(limits: Limits, report: Report, twin: Twin) -> Check:
  """The same bits from the bundle's C, for ticks and for the targets of actions."""
  actions = np.random.default_rng(0).normal(size=(_ACTIONS, len(limits.controlled)))
  actions = (2.0 * limits.action_limit * actions).astype(np.float32)
  actions[::100, 0] = np.resize([np.nan, np.inf, -np.inf, 1e30], _ACTIONS // 100)
  mine, theirs = safety.target_of(limits, actions), twin.target_of(actions)
  same = (mine == theirs) | (np.isnan(mine) & np.isnan(theirs))
  targets = int(np.count_nonzero(~same.all(axis=1)))
  return Check(
    TWIN,
    report.different == 0 and targets == 0,
    f"{report.different:,} of {report.ticks:,} ticks and {targets:,} of {_ACTIONS:,} targets "
    "differ from Python",
    {"ticks": report.different, "targets": targets},
  )


def _is_within(limits: Limits, robot: Mapping[str, Any]) -> bool:
  lower, upper = np.asarray(robot["lower"]), np.asarray(robot["upper"])
  return bool(np.all((lower <= limits.lower) & (limits.upper <= upper)))


def _at_most(values: np.ndarray, greatest: Sequence[float] | None) -> bool:
  return greatest is None or bool(np.all(values <= np.asarray(greatest)))
