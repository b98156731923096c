"""The Panda brings its gripper to a place in the air, drawn anew for every episode."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxskills.envs import terms
from jaxskills.envs.panda import observations, rewards
from jaxskills.envs.panda.arm import JOINTS, ArmData, Disturbances, PandaArm, reward_metrics
from jaxskills.envs.panda.control import Control
from jaxskills.physics.randomization import Randomizer
from jaxskills.physics.state import Engine
from jaxskills.types import Key


class Targets(NamedTuple):
  """Where targets are, and when one is reached.

  Attributes:
    low: least coordinates, world frame, m.
    high: greatest coordinates, m. The arm reaches every place between the two with its gripper
      pointing down.
    tolerance: greatest distance from the target that counts as reached, m.
  """

  low: tuple[float, float, float] = (0.35, -0.3, 0.1)
  high: tuple[float, float, float] = (0.6, 0.3, 0.5)
  tolerance: float = 0.02


class PandaReach(PandaArm):
  """The reaching Panda; made by `make_panda_reach`.

  The action is the arm's (`control.py`); the fingers stay open. `metrics` has `success`, 1 within
  `Targets.tolerance` at the end of the step, and `distance`, m.
  """

  grips = False

  def __init__(
    self,
    engine: Engine,
    *,
    control: Control,
    targets: Targets,
    disturbances: Disturbances,
    randomizer: Randomizer | None,
    reward_weights: Mapping[str, float],
  ):
    super().__init__(engine, control=control, disturbances=disturbances, randomizer=randomizer)
    self.targets = targets
    self._weights = dict(reward_weights)
    of_arm, of_task = observations.arm(self), observations.reach(self)
    self.measurable, self.privileged = (
      (*arm, *task) for arm, task in zip(of_arm, of_task, strict=True)
    )
    terms.check((*self.measurable, *self.privileged))

  def begin(
    self, key: Key, parameters: Mapping[str, Array]
  ) -> tuple[Float[Array, "rest"], Float[Array, "3"]]:
    del parameters
    low, high = jnp.asarray(self.targets.low), jnp.asarray(self.targets.high)
    return jnp.zeros(0), jax.random.uniform(key, (3,), minval=low, maxval=high)

  def judge(self, data: ArmData) -> tuple[Array, dict[str, Array]]:
    step = self.reaching(data)
    reward, parts = rewards.total(step, rewards.REACH_TERMS, self._weights, self.step_seconds)
    figures = {"success": step.success.astype(jnp.float32), "distance": step.distance}
    return reward, {**reward_metrics(parts), **figures}

  def reaching(self, data: ArmData) -> rewards.Reaching:
    """What rewards look at."""
    distance = jnp.linalg.norm(data.goal - data.gripper.position)
    motion = rewards.Motion(data.physics.qvel[:JOINTS], data.action, data.previous_action)
    return rewards.Reaching(motion, distance, distance < self.targets.tolerance)
