"""The walking H1's world as a configuration describes it."""

from typing import Any

from ml_collections import ConfigDict

from jaxskills.config import with_tuples
from jaxskills.envs.h1.conditions import Commands, Disturbances
from jaxskills.envs.h1.make import Variation, make_h1_velocity
from jaxskills.envs.h1.velocity import H1Velocity


def make_env(config: ConfigDict, worlds: int, **changes: Any) -> H1Velocity:
  """One world as configured, with an engine that is ready for `worlds` of them.

  Args:
    config: the experiment's.
    worlds: stepped together at most.
    changes: arguments of `make_h1_velocity` that take the configuration's place.
  """
  task = config.task
  arguments: dict[str, Any] = {
    "engine": config.engine,
    "worlds": worlds,
    "substeps": task.substeps,
    "variation": Variation(**with_tuples(config.variation)) if task.randomize else None,
    "commands": Commands(**with_tuples(config.commands)),
    "disturbances": Disturbances(**config.disturbances),
    "controlled": tuple(task.controlled),
    "history": task.history,
    "reward_weights": dict(config.reward),
    "action_scale": task.action_scale,
    "clock_seconds": task.clock_seconds,
  }
  return make_h1_velocity(**{**arguments, **changes})


def whole_commands(config: ConfigDict) -> Commands:
  """The commands at the end of their curriculum, pushes likewise."""
  return Commands(**with_tuples(config.commands))._replace(first_level=1.0)
