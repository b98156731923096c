"""What a walking run was asked and what differed from world to world, as a table of its report."""

from collections.abc import Mapping
from typing import Any

from jaxskills.evaluation import page
from jaxskills.evaluation.report_record import Report, as_object

_RUN, _EPISODE, _STEP = "once for every world", "every episode", "every control step"
# Group and name in the configuration: what it is, how it reads, when it is drawn.
_ROWS = {
  ("commands", "forward"): ("Commanded forward velocity", "{} m/s", "every command"),
  ("commands", "sideways"): ("Commanded sideways velocity", "{} m/s", "every command"),
  ("commands", "yaw_rate"): ("Commanded yaw rate", "{} rad/s", "every command"),
  ("commands", "standing_share"): ("Commands to stand", "{} of all", "every command"),
  ("variation", "friction"): ("Friction of the soles", "{}", _RUN),
  ("variation", "mass"): ("Mass of each link", "{} times", _RUN),
  ("variation", "payload"): ("Mass added to the torso", "{} kg", _RUN),
  ("variation", "center_of_mass"): ("Centre of mass of the torso", "\u00b1{} m", _RUN),
  ("variation", "motor_strength"): ("Strength of each motor", "{} times", _RUN),
  ("variation", "stiffness"): ("Stiffness of the servos", "{} times", _RUN),
  ("variation", "damping"): ("Damping of the servos", "{} times", _RUN),
  ("variation", "joint_damping"): ("Damping of the joints", "{} times", _RUN),
  ("variation", "armature"): ("Armature of the joints", "{} times", _RUN),
  ("disturbances", "latency_seconds"): ("Latency", "0 to {} s", _EPISODE),
  ("disturbances", "start_joint"): ("Joints at the start", "\u00b1{} rad", _EPISODE),
  ("disturbances", "noise"): ("Noise of the sensors", "{} times what they declare", _STEP),
  ("disturbances", "push_speed"): ("Pushes of the base", "up to {} m/s, in any direction", ""),
}


def randomised(report: Report) -> str:
  """A table of all that training drew by chance.

  Raises:
    ValueError: if the run's configuration is not known.
  """
  config = as_object(report.runs[0].config.get("config"))
  if not config:
    raise ValueError("there is no config.json")
  return page.table(("What", "Range", "Drawn"), rows(config), caption=_caption(config))


def rows(config: Mapping[str, Any]) -> list[tuple[str, str, str]]:
  """What, range and when; without what is switched off. Ranges that are unknown here stay bare."""
  is_on = as_object(config.get("task")).get("randomize", True)
  found = []
  for group in ("commands", "variation", "disturbances"):
    if group == "variation" and not is_on:
      continue
    values = as_object(config.get(group))
    for name, value in values.items():
      if (group, name) in _ROWS:
        what, form, when = _ROWS[group, name]
        if name == "push_speed":
          when = f"every {_text(values.get('push_seconds'))} s, on average"
        if not _is_nothing(value):
          found.append((what, form.format(_text(value)), when))
      elif group == "variation":
        found.append((name.replace("_", " "), _text(value), _RUN))
  return found


def _caption(config: Mapping[str, Any]) -> str:
  command = as_object(config.get("commands"))
  text = f"A command holds {_text(command.get('seconds'))} s. "
  if as_object(config.get("task")).get("randomize", True):
    return text + "Every world has its own robot, the same for the whole run."
  return text + "The robot itself was the nominal one."


def _is_nothing(value: Any) -> bool:
  values = value if isinstance(value, list | tuple) else [value]
  return all(part in (0, 0.0, None) for part in values)


def _text(value: Any) -> str:
  """`0.4 to 1.25` of a range, or a number."""
  if isinstance(value, list | tuple):
    return " to ".join(_text(part) for part in value)
  return f"{value:g}" if isinstance(value, int | float) else str(value)
