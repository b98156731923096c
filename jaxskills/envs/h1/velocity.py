"""Unitree H1 on flat ground, told how fast to go: the planar velocity and yaw rate of its base.

The actor sees what the robot measures, as its own deployment sees it (`observations.py`); the
critic sees the truth too. Every world is a robot of its own, with the same masses, friction and
motors in all its episodes; each episode has its own latency, pushes and sensor noise. An action is
a displacement of the joint targets from the default pose, held by the robot's own position servos;
joints that are not controlled are held in it.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxskills.assets.h1 import H1
from jaxskills.envs import base, terms
from jaxskills.envs.h1 import conditions, observations, rewards
from jaxskills.envs.h1.conditions import Commands, Disturbances
from jaxskills.physics import disturbance, frames
from jaxskills.physics.randomization import Randomizer
from jaxskills.physics.sensors import Sensors
from jaxskills.physics.state import Engine, PhysicsState
from jaxskills.types import Key

LEGS = tuple(range(10))  # of H1.joints
_FALLEN_HEIGHT, _FALLEN_TILT = 0.6, 0.5  # m; cosine of 60 degrees
ACTION_LIMIT = 4.0  # ours: a radian at the usual scale
_CONTACT_FORCE = 1.0  # N, above which a foot is on the ground


class WalkData(NamedTuple):
  """One world; `observe` looks at nothing else."""

  physics: PhysicsState
  parameters: Mapping[str, Array]
  """Model fields of its own."""
  key: Key
  command: Float[Array, "3"]
  phase: Float[Array, ""]
  """Of the gait clock, 0 to 1."""
  action: Float[Array, "action"]
  previous_action: Float[Array, "action"]
  latency: Int[Array, ""]
  """In physics steps."""
  steps: Int[Array, ""]
  """Control steps since the start."""
  measured: Float[Array, "history measured"]
  """What the sensors said, newest first."""


class H1Velocity(base.Env):
  """The walking H1; made by `make_h1_velocity`.

  Observations: `state` (float32 `[history * 41]` when ten joints are controlled), measurable on the
  robot, and `privileged`. `metrics` has every reward term, `velocity_error` (m/s), `fall`,
  `overflow`, and `level` where there is a curriculum. `info["level"]` is the curriculum's,
  0 to 1; it outlives episodes.
  """

  reports = frozenset({"level"})
  keeps = True

  def __init__(
    self,
    engine: Engine,
    *,
    controlled: tuple[int, ...],
    action_scale: float,
    clock_seconds: float,
    history: int,
    commands: Commands,
    disturbances: Disturbances,
    randomizer: Randomizer | None,
    reward_weights: Mapping[str, float],
  ):
    self.engine = engine
    self.controlled = np.asarray(controlled)
    self.commands, self.disturbances = commands, disturbances
    self.clock_seconds, self.history = clock_seconds, history
    self._scale = action_scale
    self._randomizer = randomizer
    self._weights = dict(reward_weights)
    self._sensors = Sensors(engine.model)
    self._default = jnp.asarray(H1.default_pose)
    self._hips = np.array([i for i in LEGS if H1.joints[i].endswith(("hip_yaw", "hip_roll"))])
    self.measurable, self.privileged = observations.declare(self)
    terms.check((*self.measurable, *self.privileged))

  def reset(self, key: Key) -> base.State:
    key = base.typed_key(key)
    parameter_key, pose_key, latency_key, command_key, own = jax.random.split(key, 5)
    parameters = self._parameters(parameter_key)
    physics = self.engine.start(*self._start(pose_key), parameters)
    level = jnp.asarray(self.commands.first_level, jnp.float32)
    nothing = jnp.zeros(self.action_size)
    data = WalkData(
      physics=physics,
      parameters=parameters,
      key=own,
      command=conditions.draw_command(self.commands, command_key, level),
      phase=jnp.zeros(()),
      action=nothing,
      previous_action=nothing,
      latency=disturbance.latency(
        latency_key, self.disturbances.latency_seconds, self.engine.model.opt.timestep
      ),
      steps=jnp.zeros((), jnp.int32),
      measured=jnp.zeros((self.history, terms.size(self.measurable))),
    )
    data = self._measure(data, first=True)
    stride = self.stride(data)
    zeros = jax.tree.map(jnp.zeros_like, self._report(data, stride, level)[1])
    zero = jnp.zeros(())
    return base.State(data, self.observe(data), zero, zero, zeros, {"level": level})

  def begin_again(self, start: WalkData, before: base.State) -> WalkData:
    """The robot stays the one it was, and its first command is as hard as the last."""
    data = start._replace(parameters=before.data.parameters)
    if self.commands.first_level >= 1.0:
      return data
    harder = before.info["level"] / self.commands.first_level  # ranges grow in proportion
    return self._measure(data._replace(command=harder * start.command), first=True)

  def advance(self, state: base.State, action: Float[Array, "action"]) -> base.State:
    before: WalkData = state.data
    action = jnp.clip(action, -ACTION_LIMIT, ACTION_LIMIT)
    level = state.info["level"]
    key = jax.random.fold_in(before.key, before.steps)
    push_key, command_key = jax.random.split(key)
    qvel = conditions.push(
      self.disturbances, push_key, before.physics.qvel, level, self.step_seconds
    )
    physics = self.engine.step(
      before.physics._replace(qvel=qvel),
      self._controls(before, action),
      before.parameters,
    )
    data = before._replace(
      physics=physics,
      action=action,
      previous_action=before.action,
      phase=(before.phase + self.step_seconds / self.clock_seconds) % 1.0,
      steps=before.steps + 1,
    )
    stride = self.stride(data)
    reward, metrics = self._report(data, stride, level)
    period = round(self.commands.seconds / self.step_seconds)
    is_due = data.steps % period == 0
    level = conditions.next_level(self.commands, level, stride, is_due)
    drawn = conditions.draw_command(self.commands, command_key, level)
    command = jnp.where(is_due, drawn, data.command)
    data = self._measure(data._replace(command=command))
    return state.replace(
      data=data,
      reward=reward,
      done=stride.fell.astype(jnp.float32),
      metrics={**state.metrics, **metrics},
      info={**state.info, "level": level},
    )

  def observe(self, data: WalkData) -> dict[str, Array]:
    truth = terms.measure(self.privileged, data)
    return {"state": data.measured.reshape(-1), "privileged": truth}

  def stride(self, data: WalkData) -> rewards.Stride:
    """What rewards look at."""
    physics, sensors = data.physics, self._sensors
    read = lambda name: sensors(physics.sensordata, name)  # noqa: E731
    quaternion = physics.qpos[3:7]
    gravity = frames.rotate_inverse(quaternion, jnp.array(frames.DOWN))
    velocity = frames.about_z(-frames.yaw(quaternion), physics.qvel[:3])
    feet = [read(f"{side}_foot_position")[2] for side in ("left", "right")]
    speeds = [jnp.linalg.norm(read(f"{side}_foot_velocity")[:2]) for side in ("left", "right")]
    height = physics.qpos[2]
    return rewards.Stride(
      velocity=velocity,
      angular_velocity=physics.qvel[3:6],
      gravity=gravity,
      height=height,
      command=data.command,
      is_moving=self.is_moving(data.command),
      contact=self.contact(data),
      phase=data.phase,
      foot_height=jnp.stack(feet),
      foot_speed=jnp.stack(speeds),
      joint_velocity=physics.qvel[6:],
      torque=self.torque(data),
      hip_position=physics.qpos[7 + self._hips],
      action=data.action,
      previous_action=data.previous_action,
      fell=~((height >= _FALLEN_HEIGHT) & (gravity[2] <= -_FALLEN_TILT)),  # nor is NaN upright
    )

  def is_moving(self, command: Float[Array, "3"]) -> Bool[Array, ""]:
    """Whether a command asks for steps."""
    return jnp.max(jnp.abs(command)) > 0.05

  def contact(self, data: WalkData) -> Bool[Array, "2"]:
    """Which feet are on the ground."""
    read = lambda side: self._sensors(data.physics.sensordata, f"{side}_foot_contact")[0]  # noqa: E731
    return jnp.stack([read("left"), read("right")]) > _CONTACT_FORCE

  def torque(self, data: WalkData) -> Float[Array, "joints"]:
    """What the servos ask of the motors at the end of the step, within their limits, N m."""
    model, qpos, qvel = self.engine.model, data.physics.qpos[7:], data.physics.qvel[6:]
    own = data.parameters.get
    gain = own("actuator_gainprm", jnp.asarray(model.actuator_gainprm, jnp.float32))
    bias = own("actuator_biasprm", jnp.asarray(model.actuator_biasprm, jnp.float32))
    limit = own("actuator_forcerange", jnp.asarray(model.actuator_forcerange, jnp.float32))
    is_late = data.latency >= self.engine.substeps
    target = self.targets(jnp.where(is_late, data.previous_action, data.action))
    asked = gain[:, 0] * target + bias[:, 1] * qpos + bias[:, 2] * qvel
    return jnp.clip(asked, limit[:, 0], limit[:, 1])

  def targets(self, action: Float[Array, "action"]) -> Float[Array, "joints"]:
    """Joint targets of an action, within the joints' ranges, rad."""
    targets = self._default.at[self.controlled].add(self._scale * action)
    return jnp.clip(targets, jnp.asarray(H1.lower), jnp.asarray(H1.upper))

  @property
  def action_size(self) -> int:
    return len(self.controlled)

  @property
  def action_limit(self) -> float:
    return ACTION_LIMIT

  @property
  def step_seconds(self) -> float:
    return self.engine.step_seconds

  @property
  def backend(self) -> str:
    return self.engine.name

  def _parameters(self, key: Key) -> Mapping[str, Array]:
    return {} if self._randomizer is None else self._randomizer(key, self.engine.model, {})

  def _start(self, key: Key) -> tuple[Array, Array]:
    """Positions and velocities: on its feet, facing anywhere, joints a little off."""
    joint_key, yaw_key = jax.random.split(key)
    heading = jax.random.uniform(yaw_key, (), minval=-jnp.pi, maxval=jnp.pi)
    spread = self.disturbances.start_joint
    offset = jax.random.uniform(joint_key, (len(H1.joints),), minval=-spread, maxval=spread)
    controlled = jnp.zeros(len(H1.joints)).at[self.controlled].set(1.0)
    joints = self._default + controlled * offset
    place = jnp.array([0.0, 0.0, H1.base_height + 0.2 * spread])
    qpos = jnp.concatenate([place, frames.from_yaw(heading), joints])
    return qpos, jnp.zeros(self.engine.model.nv)

  def _controls(self, before: WalkData, action: Array) -> Float[Array, "substeps joints"]:
    """The old targets until the latency has passed, then the new ones."""
    old, new = self.targets(before.action), self.targets(action)
    return disturbance.late(old, new, before.latency, self.engine.substeps)

  def _measure(self, data: WalkData, first: bool = False) -> WalkData:
    """Reads the sensors once; what they said stays what they said."""
    key = jax.random.fold_in(jax.random.fold_in(data.key, 1), data.steps)
    now = terms.measure(self.measurable, data, key, self.disturbances.noise)
    older = jnp.broadcast_to(now, data.measured.shape) if first else data.measured
    return data._replace(measured=jnp.concatenate([now[None], older[:-1]]))

  def _report(
    self, data: WalkData, stride: rewards.Stride, level: Array
  ) -> tuple[Array, dict[str, Any]]:
    """Reward and metrics of a step."""
    reward, parts = rewards.total(stride, self._weights, self.step_seconds)
    metrics = {f"reward/{name}": part for name, part in parts.items()}
    metrics |= {
      "velocity_error": rewards.velocity_error(stride),
      "yaw_rate_error": rewards.yaw_rate_error(stride),
      "fall": stride.fell.astype(jnp.float32),
      "overflow": (data.physics.overflow != 0).astype(jnp.float32),
    }
    if self.commands.first_level < 1.0:
      metrics["level"] = level
    return reward, metrics
