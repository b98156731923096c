"""Puts the Panda's worlds together: scene, engine, and what differs from world to world."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import mujoco

from jaxskills.assets.panda import PANDA, panda_model, panda_spec
from jaxskills.envs.panda.arm import Disturbances
from jaxskills.envs.panda.control import Control, check
from jaxskills.envs.panda.lift_cube import EDGE, Cubes, PandaLiftCube
from jaxskills.envs.panda.reach import PandaReach, Targets
from jaxskills.envs.panda.rewards import LIFT_WEIGHTS, REACH_WEIGHTS
from jaxskills.physics import randomization as vary
from jaxskills.physics.engine import make_engine, timestep_of
from jaxskills.physics.randomization import Randomizer
from jaxskills.physics.state import Parameters
from jaxskills.types import Key

_LINKS = tuple(f"link{index}" for index in range(1, 8))
_CUBE_MASS = 0.1  # kg


class Variation(NamedTuple):
  """Ranges of what every arm has of its own, as factors.

  Gravity is compensated as drawn: a controller that knows its robot. The ranges are ours.

  Attributes:
    mass: of every link, each its own factor.
    stiffness: of the servos' kp.
    damping: of the servos' kd.
    joint_damping: passive damping of the joints.
    armature: of the joints.
  """

  mass: tuple[float, float] = (0.9, 1.1)
  stiffness: tuple[float, float] = (0.9, 1.1)
  damping: tuple[float, float] = (0.9, 1.1)
  joint_damping: tuple[float, float] = (0.8, 1.2)
  armature: tuple[float, float] = (0.9, 1.1)


class CubeVariation(NamedTuple):
  """Ranges of what every cube has of its own.

  Attributes:
    edge: length, m; no more than `EDGE`, for which engines have made room.
    mass: factor on .1 kg, whatever the edge.
    tip_friction: sliding, of the fingertips on anything; theirs decides.
    table_friction: sliding, of the cube on the table.
  """

  edge: tuple[float, float] = (0.04, EDGE)
  mass: tuple[float, float] = (0.5, 2.0)
  tip_friction: tuple[float, float] = (0.8, 1.5)
  table_friction: tuple[float, float] = (0.5, 1.0)


VARIATION, CUBE_VARIATION, DISTURBANCES = Variation(), CubeVariation(), Disturbances()
CONTROL, TARGETS, CUBES = Control(), Targets(), Cubes()


def make_randomizer(variation: Variation, cube: CubeVariation | None = None) -> Randomizer:
  """All of it at once."""
  motors = (*PANDA.joints,)
  parts = [
    vary.mass(variation.mass, bodies=_LINKS),
    vary.gains(variation.stiffness, variation.damping, motors=motors),
    vary.joint_damping(variation.joint_damping, joints=motors),
    vary.armature(variation.armature, joints=motors),
  ]
  if cube is not None:
    assert PANDA.gripper is not None
    parts += [
      cube_edge(cube.edge),
      vary.mass(cube.mass, bodies=("cube",)),
      vary.friction(cube.tip_friction, geoms=PANDA.gripper.tips),
      vary.friction(cube.table_friction, geoms=("cube", "floor")),
    ]
  return vary.combine(*parts)


def cube_edge(metres: tuple[float, float]) -> Randomizer:
  """Draws the length of the cube's edges, and with it its inertia.

  Raises:
    ValueError: for a range outside (0, `EDGE`]: engines look for contacts within the nominal cube.
  """
  low, high = metres
  if not 0.0 < low <= high <= EDGE:
    raise ValueError(f"a cube's edge lies in (0, {EDGE}] m, got {low} to {high}")

  def randomize(key: Key, model: mujoco.MjModel, parameters: Parameters) -> Parameters:
    edge = jax.random.uniform(key, minval=low, maxval=high)
    own = {
      name: parameters.get(name, jnp.asarray(getattr(model, name), jnp.float32))
      for name in ("geom_size", "body_inertia")
    }
    size = own["geom_size"].at[model.geom("cube").id].set(edge / 2.0)
    inertia = own["body_inertia"].at[model.body("cube").id].multiply((edge / EDGE) ** 2)
    return {**parameters, "geom_size": size, "body_inertia": inertia}

  return randomize


def make_panda_reach(
  engine: str = "auto",
  *,
  worlds: int = 1,
  threads: int | None = None,
  substeps: int = 10,
  control: Control = CONTROL,
  targets: Targets = TARGETS,
  variation: Variation | None = VARIATION,
  disturbances: Disturbances = DISTURBANCES,
  reward_weights: Mapping[str, float] = REACH_WEIGHTS,
) -> PandaReach:
  """Builds the reaching environment.

  Args:
    engine: "native", "mjx", "warp", or "auto" for what suits the device.
    worlds: that are stepped together at most.
    threads: of "native"; all cores if None.
    substeps: physics steps in a control step of 1 / `PANDA.control_hz` s.
    control: what actions mean.
    targets: where targets are.
    variation: what differs from world to world; nothing if None.
    disturbances: noise, latency, spread of the start.
    reward_weights: by name, of `rewards.REACH_TERMS`; `rewards.SPARSE_WEIGHTS` for a sparse reward.

  Raises:
    UserError: for an engine that is unknown or not installed.
    ValueError: for numbers that do not fit together.
  """
  check(control)
  timestep = timestep_of(PANDA.control_hz, substeps, disturbances.latency_seconds)
  mode = "velocity" if control.mode == "joint_velocity" else "position"
  model = panda_model(control=mode, timestep=timestep, looks=False)
  return PandaReach(
    make_engine(engine, model, substeps, worlds=worlds, threads=threads),
    control=control,
    targets=targets,
    disturbances=disturbances,
    randomizer=None if variation is None else make_randomizer(variation),
    reward_weights=reward_weights,
  )


def make_panda_lift_cube(
  engine: str = "auto",
  *,
  worlds: int = 1,
  threads: int | None = None,
  substeps: int = 10,
  control: Control = CONTROL,
  cubes: Cubes = CUBES,
  cube_is_tracked: bool = True,
  variation: Variation | None = VARIATION,
  cube_variation: CubeVariation | None = CUBE_VARIATION,
  disturbances: Disturbances = DISTURBANCES,
  reward_weights: Mapping[str, float] = LIFT_WEIGHTS,
) -> PandaLiftCube:
  """Builds the lifting environment.

  Args:
    engine: "native", "mjx", "warp", or "auto" for what suits the device.
    worlds: that are stepped together at most.
    threads: of "native"; all cores if None.
    substeps: physics steps in a control step of 1 / `PANDA.control_hz` s.
    control: what actions mean.
    cubes: where cubes lie and belong.
    cube_is_tracked: whether the policy sees where the cube is, as a tracker would tell it.
    variation: what differs from arm to arm; nothing if None, for arm and cube.
    cube_variation: what differs from cube to cube; nothing if None.
    disturbances: noise, latency, spread of the start.
    reward_weights: by name, of `rewards.LIFT_TERMS`; `rewards.SPARSE_WEIGHTS` for a sparse reward.

  Raises:
    UserError: for an engine that is unknown or not installed.
    ValueError: for numbers that do not fit together.
  """
  check(control)
  timestep = timestep_of(PANDA.control_hz, substeps, disturbances.latency_seconds)
  mode = "velocity" if control.mode == "joint_velocity" else "position"
  model = cube_model(mode, timestep)
  return PandaLiftCube(
    make_engine(engine, model, substeps, worlds=worlds, threads=threads),
    control=control,
    cubes=cubes,
    cube_is_tracked=cube_is_tracked,
    disturbances=disturbances,
    randomizer=None if variation is None else make_randomizer(variation, cube_variation),
    reward_weights=reward_weights,
  )


def cube_model(control: str, timestep: float, *, looks: bool = False) -> mujoco.MjModel:
  """The Panda over a table with a cube of 4.5 cm on it.

  Args:
    control: "position" or "velocity", of the arm's servos.
    timestep: of the physics, s.
    looks: with the geoms that are only seen.
  """
  spec = panda_spec(control=control, looks=looks)
  spec.option.timestep = timestep
  for key in list(spec.keys):
    spec.delete(key)  # it would have to hold the cube's place too
  cube = spec.worldbody.add_body(name="cube", pos=[0.5, 0.0, EDGE / 2])
  cube.simple = False  # so that it may have another mass (`elements.check_inertial`)
  cube.add_freejoint(name="cube")
  cube.add_geom(
    name="cube",
    type=mujoco.mjtGeom.mjGEOM_BOX,
    size=[EDGE / 2] * 3,
    mass=_CUBE_MASS,
    contype=1,
    conaffinity=1,
    friction=[1.0, 0.005, 0.0001],
    rgba=[0.85, 0.3, 0.2, 1.0],
  )
  return spec.compile()
