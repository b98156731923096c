"""Puts a walking H1 together: model, engine, and what differs from world to world."""

import functools
from collections.abc import Mapping
from typing import NamedTuple

from jaxskills.assets.h1 import H1, h1_model
from jaxskills.envs.h1.conditions import Commands, Disturbances
from jaxskills.envs.h1.rewards import WEIGHTS
from jaxskills.envs.h1.velocity import LEGS, H1Velocity
from jaxskills.physics import randomization as vary
from jaxskills.physics.engine import make_engine, timestep_of
from jaxskills.physics.randomization import Randomizer


class Variation(NamedTuple):
  """Ranges of what every world has of its own, as factors unless a unit is given.

  After what published deployments of the H1 train with (unitree_rl_gym: friction .1 to 1.25, added
  mass -1 to 3 kg), without the slipperiest floors.

  Attributes:
    friction: of the soles, sliding.
    mass: of every link but the feet, each its own factor.
    foot_mass: of each foot; published models differ by a quarter.
    foot_center_of_mass: shift of each foot's, half width along each axis, m; likewise by 19 mm.
    payload: added to the torso, kg.
    center_of_mass: shift of the torso's, half width along each axis, m.
    motor_strength: of every motor, its own; gains and torque limit alike.
    stiffness: of the servos' kp.
    damping: of the servos' kd.
    joint_damping: passive damping of the joints.
    armature: of the joints.
  """

  friction: tuple[float, float] = (0.4, 1.25)
  mass: tuple[float, float] = (0.9, 1.1)
  foot_mass: tuple[float, float] = (0.9, 1.25)
  foot_center_of_mass: float = 0.02
  payload: tuple[float, float] = (-1.0, 3.0)
  center_of_mass: float = 0.03
  motor_strength: tuple[float, float] = (0.9, 1.1)
  stiffness: tuple[float, float] = (0.9, 1.1)
  damping: tuple[float, float] = (0.9, 1.1)
  joint_damping: tuple[float, float] = (0.8, 1.2)
  armature: tuple[float, float] = (0.9, 1.1)


VARIATION, COMMANDS, DISTURBANCES = Variation(), Commands(), Disturbances()
FEET = ("left_ankle_link", "right_ankle_link")
SOLES = tuple(name for foot in H1.foot_geoms for name in foot)


def make_randomizer(variation: Variation) -> Randomizer:
  """All of it at once."""
  return vary.combine(
    vary.friction(variation.friction, geoms=SOLES),
    vary.mass(scale=variation.mass, bodies=_links()),
    vary.mass(scale=variation.foot_mass, bodies=FEET),
    *(vary.center_of_mass(variation.foot_center_of_mass, body=foot) for foot in FEET),
    vary.payload(kg=variation.payload, body="torso_link"),
    vary.center_of_mass(variation.center_of_mass, body="torso_link"),
    vary.motor_strength(variation.motor_strength),
    vary.gains(variation.stiffness, variation.damping),
    vary.joint_damping(variation.joint_damping),
    vary.armature(variation.armature),
  )


@functools.cache
def _links() -> tuple[str, ...]:
  """All bodies of the robot but its feet."""
  model = h1_model(looks=False)
  names = (model.body(index).name for index in range(1, model.nbody))
  return tuple(name for name in names if name not in FEET)


def make_h1_velocity(
  engine: str = "auto",
  *,
  worlds: int = 1,
  threads: int | None = None,
  substeps: int = 4,
  variation: Variation | None = VARIATION,
  commands: Commands = COMMANDS,
  disturbances: Disturbances = DISTURBANCES,
  controlled: tuple[int, ...] = LEGS,
  action_scale: float = 0.25,
  clock_seconds: float = 0.64,
  history: int = 1,
  reward_weights: Mapping[str, float] = WEIGHTS,
) -> H1Velocity:
  """Builds the environment.

  Args:
    engine: "native", "mjx", "warp", or "auto" for what suits the device.
    worlds: that are stepped together at most.
    threads: of "native"; all cores if None.
    substeps: physics steps in a control step of 1 / `H1.control_hz` s.
    variation: what differs from world to world; nothing if None.
    commands: what is asked of the robot.
    disturbances: noise, latency, pushes.
    controlled: indices into `H1.joints` of the joints that the action moves.
    action_scale: displacement of a joint's target by an action of 1, rad; Unitree's own.
    clock_seconds: period of the gait clock; Unitree's own is .8, with which the hips sway more.
    history: measurements that the actor sees, newest first.
    reward_weights: by name, of `rewards.TERMS`.

  Raises:
    UserError: for an engine that is unknown or not installed.
    ValueError: for numbers that do not fit together.
  """
  timestep = timestep_of(H1.control_hz, substeps, disturbances.latency_seconds)
  _check(history, controlled, commands)
  periods = {
    "clock_seconds": clock_seconds,
    "commands.seconds": commands.seconds,
    "disturbances.push_seconds": disturbances.push_seconds,
  }
  for name, seconds in periods.items():
    if seconds * H1.control_hz < 1.0:
      raise ValueError(f"{name} must last a control step of {1 / H1.control_hz} s, not {seconds}")
  model = h1_model(timestep=timestep, looks=False)
  return H1Velocity(
    make_engine(engine, model, substeps, worlds=worlds, threads=threads),
    controlled=controlled,
    action_scale=action_scale,
    clock_seconds=clock_seconds,
    history=history,
    commands=commands,
    disturbances=disturbances,
    randomizer=None if variation is None else make_randomizer(variation),
    reward_weights=reward_weights,
  )


def _check(history: int, controlled: tuple[int, ...], commands: Commands) -> None:
  """Refuses numbers that no robot has."""
  if history < 1:
    raise ValueError(f"history must be at least 1, not {history}")
  wrong = [index for index in controlled if not 0 <= index < len(H1.joints)]
  if wrong or not controlled or len(set(controlled)) < len(controlled):
    raise ValueError(
      f"controlled joints are different numbers from 0 to {len(H1.joints) - 1}, got {controlled}"
    )
  if not 0.0 < commands.first_level <= 1.0:
    raise ValueError(f"first_level must lie in (0, 1], not {commands.first_level}")
