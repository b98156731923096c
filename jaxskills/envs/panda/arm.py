"""What every world of the Panda shares: acting, latency, sensing, and the use of limits.

A task derives from `PandaArm` and says where an episode starts, what is seen besides the arm, and
what a step was worth. The gripper's place is computed from the joints (`kinematics.py`), as the
robot's own controller does, and so is the same on every physics engine and never a step old.
"""

import abc
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxskills.assets.panda import PANDA
from jaxskills.envs import base, terms
from jaxskills.envs.panda import control, kinematics
from jaxskills.envs.panda.control import ArmControl, Command, Control
from jaxskills.envs.terms import Term
from jaxskills.physics import disturbance
from jaxskills.physics.randomization import Randomizer
from jaxskills.physics.state import Engine, PhysicsState
from jaxskills.types import Key

JOINTS = len(PANDA.joints)
FINGER_SPEED = 0.05  # m/s; of each of the Franka Hand's fingers, by its data sheet
_GRIPPER_SITE = "gripper"


class Disturbances(NamedTuple):
  """What keeps the simulated robot from being the one robot that it was trained on.

  Attributes:
    noise: factor on the measurement noise that the observations declare.
    latency_seconds: greatest delay between a measurement and what the servos are told of it; drawn
      for each episode from 0 on, in physics steps, one control period at most.
    start_joint: half width of the joint positions' spread at the start, rad.
  """

  noise: float = 1.0
  latency_seconds: float = 0.02
  start_joint: float = 0.1


class Gripper(NamedTuple):
  """Where the gripper truly is, by the joints.

  Attributes:
    position: world frame, m.
    velocity: world frame, m/s.
  """

  position: Float[Array, "3"]
  velocity: Float[Array, "3"]


class ArmData(NamedTuple):
  """One world; `observe` looks at nothing else."""

  physics: PhysicsState
  gripper: Gripper
  parameters: Mapping[str, Array]
  """Model fields of its own."""
  key: Key
  goal: Float[Array, "3"]
  """Where something shall be, world frame, m."""
  command: Command
  """Of the arm, as of the last action; it reaches the servos late."""
  previous_command: Command
  opening: Float[Array, ""]
  """What each finger is told, as of the last action, m."""
  previous_opening: Float[Array, ""]
  action: Float[Array, "action"]
  previous_action: Float[Array, "action"]
  acceleration: Float[Array, "joints"]
  """Of the arm's joints over the last control step, rad/s^2."""
  torque: Float[Array, "joints"]
  """Of the arm's motors at its end, N m."""
  latency: Int[Array, ""]
  """In physics steps."""
  steps: Int[Array, ""]
  """Control steps since the start."""
  measured: Float[Array, "measured"]
  """What the sensors said."""


class PandaArm(base.Env):
  """A task of the Panda.

  Observations: `state` (float32), measurable on the robot, and `privileged`. Nothing terminates;
  put `EpisodeLimit` around it. `metrics` has every reward term, `success`, `overflow`, and
  `limits/velocity`, `limits/acceleration`, `limits/jerk`, `limits/torque`, `limits/torque_rate`:
  the greatest share over joints of what the robot allows, by differences over control steps.

  Attributes:
    grips: whether the last action is the gripper's.
    measurable: terms of `state`; a task's constructor sets them.
    privileged: terms of `privileged`, likewise.
  """

  keeps = True
  grips: bool
  measurable: tuple[Term, ...]
  privileged: tuple[Term, ...]

  def __init__(
    self,
    engine: Engine,
    *,
    control: Control,
    disturbances: Disturbances,
    randomizer: Randomizer | None,
  ):
    """Prepares the arm; a task then declares its terms."""
    self.engine = engine
    self.disturbances = disturbances
    self.chain = kinematics.make_chain(engine.model, _GRIPPER_SITE)
    self.arm = ArmControl(control, PANDA, self.chain, engine.step_seconds)
    self._randomizer = randomizer
    assert PANDA.gripper is not None
    self._opening = PANDA.gripper.opening

  @abc.abstractmethod
  def begin(
    self, key: Key, parameters: Mapping[str, Array]
  ) -> tuple[Float[Array, "rest"], Float[Array, "3"]]:
    """Positions of what is no robot at the start of an episode, and the goal."""

  @abc.abstractmethod
  def judge(self, data: ArmData) -> tuple[Array, dict[str, Array]]:
    """Reward and metrics of a control step; `success` is one of them."""

  def reset(self, key: Key) -> base.State:
    key = base.typed_key(key)
    parameter_key, pose_key, latency_key, task_key, own = jax.random.split(key, 5)
    parameters: Mapping[str, Array] = {}
    if self._randomizer is not None:
      parameters = self._randomizer(parameter_key, self.engine.model, {})
    rest, goal = self.begin(task_key, parameters)
    spread = self.disturbances.start_joint
    offset = jax.random.uniform(pose_key, (JOINTS,), minval=-spread, maxval=spread)
    joints = jnp.asarray(PANDA.default_pose) + offset
    joints = jnp.clip(joints, jnp.asarray(PANDA.lower), jnp.asarray(PANDA.upper))
    fingers = jnp.full(2, self._opening[1])
    qpos = jnp.concatenate([joints, fingers, rest])
    physics = self.engine.start(qpos, jnp.zeros(self.engine.model.nv), parameters)
    command, nothing = self.arm.rest(joints), jnp.zeros(self.action_size)
    data = ArmData(
      physics=physics,
      gripper=self._gripper(physics),
      parameters=parameters,
      key=own,
      goal=goal,
      command=command,
      previous_command=command,
      opening=fingers[0],
      previous_opening=fingers[0],
      action=nothing,
      previous_action=nothing,
      acceleration=jnp.zeros(JOINTS),
      torque=jnp.zeros(JOINTS),
      latency=disturbance.latency(
        latency_key, self.disturbances.latency_seconds, self.engine.model.opt.timestep
      ),
      steps=jnp.zeros((), jnp.int32),
      measured=jnp.zeros(terms.size(self.measurable)),
    )
    data = self._measure(data)
    metrics = {**self.judge(data)[1], **self._limits(data, data)}
    zero = jnp.zeros(())
    zeros = jax.tree.map(jnp.zeros_like, metrics)
    return base.State(data, self.observe(data), zero, zero, zeros, {})

  def begin_again(self, start: ArmData, before: base.State) -> ArmData:
    """The arm stays the one it was."""
    return start._replace(parameters=before.data.parameters)

  def advance(self, state: base.State, action: Float[Array, "action"]) -> base.State:
    before: ArmData = state.data
    action = jnp.clip(action, -1.0, 1.0)
    command, opening = self._follow(before, action)
    told = self.arm.told(before.command, command, self.engine.substeps, before.latency)
    fingers = disturbance.late(before.opening, opening, before.latency, self.engine.substeps)
    controls = jnp.concatenate([told, fingers[:, None]], axis=1)
    physics = self.engine.step(before.physics, controls, before.parameters)
    turned = physics.qvel[:JOINTS] - before.physics.qvel[:JOINTS]
    data = before._replace(
      physics=physics,
      gripper=self._gripper(physics),
      command=command,
      previous_command=before.command,
      opening=opening,
      previous_opening=before.opening,
      action=action,
      previous_action=before.action,
      acceleration=turned / self.step_seconds,
      torque=self._torque(physics, told[-1], before.parameters),
      steps=before.steps + 1,
    )
    data = self._measure(data)
    reward, metrics = self.judge(data)
    metrics = {**state.metrics, **metrics, **self._limits(before, data)}
    return state.replace(data=data, reward=reward, done=jnp.zeros(()), metrics=metrics)

  def observe(self, data: ArmData) -> dict[str, Array]:
    truth = terms.measure(self.privileged, data)
    return {"state": data.measured, "privileged": truth}

  @property
  def action_size(self) -> int:
    return self.arm.action_size + self.grips

  @property
  def step_seconds(self) -> float:
    return self.engine.step_seconds

  @property
  def backend(self) -> str:
    return self.engine.name

  def own(self, parameters: Mapping[str, Array], field: str) -> Array:
    """A model field of one world: its own, or the model's."""
    return parameters.get(field, jnp.asarray(getattr(self.engine.model, field), jnp.float32))

  def _follow(self, before: ArmData, action: Array) -> tuple[Command, Array]:
    """What an action tells the arm and the fingers."""
    joints = before.physics.qpos[:JOINTS]
    command = self.arm.follow(before.command, action[: self.arm.action_size], joints)
    if not self.grips:
      return command, before.opening
    most = FINGER_SPEED * self.step_seconds
    return command, control.open_gripper(before.opening, action[-1], self._opening, most)

  def _gripper(self, physics: PhysicsState) -> Gripper:
    pose = kinematics.pose(self.chain, physics.qpos[:JOINTS])
    return Gripper(pose.position, pose.jacobian[:3] @ physics.qvel[:JOINTS])

  def _torque(self, physics: PhysicsState, told: Array, parameters: Mapping[str, Array]) -> Array:
    """What the arm's servos ask of the motors, within their limits, N m."""
    fields = ("actuator_gainprm", "actuator_biasprm", "actuator_forcerange")
    gain, bias, limit = (self.own(parameters, name)[:JOINTS] for name in fields)
    qpos, qvel = physics.qpos[:JOINTS], physics.qvel[:JOINTS]
    asked = gain[:, 0] * told + bias[:, 1] * qpos + bias[:, 2] * qvel
    return jnp.clip(asked, limit[:, 0], limit[:, 1])

  def _limits(self, before: ArmData, after: ArmData) -> dict[str, Array]:
    """How much of the robot's limits a control step used, and whether the engine had room."""
    rate = lambda name: (getattr(after, name) - getattr(before, name)) / self.step_seconds  # noqa: E731
    used = control.limit_use(
      PANDA,
      velocity=after.physics.qvel[:JOINTS],
      acceleration=after.acceleration,
      jerk=rate("acceleration"),
      torque=after.torque,
      torque_rate=rate("torque"),
    )
    return {**used, "overflow": (after.physics.overflow != 0).astype(jnp.float32)}

  def _measure(self, data: ArmData) -> ArmData:
    """Reads the sensors once; what they said stays what they said."""
    key = jax.random.fold_in(data.key, data.steps)
    measured = terms.measure(self.measurable, data, key, self.disturbances.noise)
    return data._replace(measured=measured)


def reward_metrics(parts: Mapping[str, Array]) -> dict[str, Any]:
  """Reward terms by the names that reports look for."""
  return {f"reward/{name}": part for name, part in parts.items()}
