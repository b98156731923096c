"""The Panda's worlds as a configuration describes them."""

from typing import Any

from ml_collections import ConfigDict

from jaxskills.config import with_tuples
from jaxskills.envs.panda.arm import Disturbances, PandaArm
from jaxskills.envs.panda.control import Control
from jaxskills.envs.panda.lift_cube import Cubes
from jaxskills.envs.panda.make import (
  CubeVariation,
  Variation,
  make_panda_lift_cube,
  make_panda_reach,
)
from jaxskills.envs.panda.reach import Targets
from jaxskills.envs.panda.rewards import SPARSE_WEIGHTS
from jaxskills.experiments import on_policy as shared

REWARDS = ("dense", "sparse")


def groups() -> dict[str, Any]:
  """The part of a configuration that both tasks have, with its defaults."""
  return {
    "seed": 0,
    "engine": "auto",
    "task": {"substeps": 10, "randomize": True, "reward": "dense"},
    "control": Control()._asdict(),
    "disturbances": Disturbances()._asdict(),
    "variation": Variation()._asdict(),
    **shared.groups(),
  }


def make_env(config: ConfigDict, worlds: int, **changes: Any) -> PandaArm:
  """One world as configured, with an engine that is ready for `worlds` of them.

  Args:
    config: of `panda/reach`, or of `panda/lift_cube` if it has the group `cubes`.
    worlds: stepped together at most.
    changes: arguments of `make_panda_reach` or `make_panda_lift_cube` that take the
      configuration's place.

  Raises:
    ValueError: for numbers that do not fit together.
  """
  task = config.task
  if task.reward not in REWARDS:
    raise ValueError(f"config.task.reward is {task.reward!r}; there are {', '.join(REWARDS)}")
  arguments: dict[str, Any] = {
    "engine": config.engine,
    "worlds": worlds,
    "substeps": task.substeps,
    "control": Control(**with_tuples(config.control)),
    "disturbances": Disturbances(**config.disturbances),
    "variation": Variation(**with_tuples(config.variation)) if task.randomize else None,
    "reward_weights": SPARSE_WEIGHTS if task.reward == "sparse" else dict(config.reward),
  }
  if "cubes" not in config:
    return make_panda_reach(
      **{**arguments, "targets": Targets(**with_tuples(config.targets)), **changes}
    )
  arguments |= {
    "cubes": Cubes(**with_tuples(config.cubes)),
    "cube_is_tracked": task.cube_is_tracked,
    "cube_variation": CubeVariation(**with_tuples(config.cube_variation)),
  }
  return make_panda_lift_cube(**{**arguments, **changes})
