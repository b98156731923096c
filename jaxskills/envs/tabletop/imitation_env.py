"""A Panda in the scene of a demonstration, for learning to do what it showed: `ImitationEnv`.

ASN (Mees et al. 2020, section III-C) trains its policies in the demonstration's scene, begins
episodes at random states along it, and begins anew where the end effector "vastly differs" from it,
following Peng et al. (2018). Both take the demonstration's *states*: knowledge of a simulator that
no video gives, and so the one thing here that is not learned from the video alone. Either can be
switched off. What is earned is a wrapper's business (`envs/wrappers/video_reward.py`); the world
itself pays for true success alone.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxskills.assets.panda import PANDA
from jaxskills.envs import base
from jaxskills.envs.panda import control as panda_control
from jaxskills.envs.panda import kinematics
from jaxskills.envs.panda.arm import FINGER_SPEED, JOINTS
from jaxskills.envs.panda.control import ArmControl, Command, Control
from jaxskills.physics.state import Engine, PhysicsState
from jaxskills.types import Key

FIRST_OBJECT = JOINTS + 2  # where the first object's free joint begins in qpos and qvel
PHASE_WAVES = 16  # the shortest is an eighth of the demonstration
FAR = 0.15  # m; ours: a hand's width, where the papers say "vastly"


Succeeds = Callable[[Array, Array, Array], Bool[Array, ""]]
"""`(qpos, qvel, gripper's place) -> bool`, whether the task is done."""


class Reference(NamedTuple):
  """The states of a demonstration, one for each control step; privileged."""

  qpos: Float[Array, "time nq"]
  qvel: Float[Array, "time nv"]
  opening: Float[Array, "time"]
  """What each finger was told, m."""


class Starts(NamedTuple):
  """Where episodes begin.

  Attributes:
    anywhere: share of the episodes that begin at a random instant of the demonstration; the others
      begin where it began.
    joint: half width of the joints' spread about the demonstration's first state, rad.
    object: half width of the objects' spread about theirs, in x and in y, m. States further on are
      taken as they are: the gripper may hold an object there.
  """

  anywhere: float = 0.5
  joint: float = 0.02
  object: float = 0.005


CONTROL, STARTS = Control(mode="end_effector"), Starts()


class ImitationData(NamedTuple):
  """One world; `observe` looks at nothing else."""

  physics: PhysicsState
  gripper: Float[Array, "3"]
  """Where it is by the joints, world frame, m."""
  command: Command
  """Of the arm, as of the last action."""
  opening: Float[Array, ""]
  """What each finger is told, m."""
  frame: Int[Array, ""]
  """Of the demonstration, that this instant belongs to; stays at its last one."""


class ImitationEnv(base.Env):
  """The world of one demonstration.

  Actions move the gripper through space, upright (`Control.mode` "end_effector"); the last one,
  where it `grips`, is the gripper's: 1 opens, -1 closes. Without, the fingers are told what the
  demonstration told them where the episode began.

  Observations, all float32: `joints`, relative to the default pose, rad, and the width between the
  fingers in units of 5 cm; `phase`, what share of the demonstration is over, as `PHASE_WAVES`
  cosines; and for critics and ceilings `objects`, the gripper's and all objects' places in units of
  10 cm from the middle of the table. `metrics` has `success` and `astray`, 1 where an episode ended
  because the gripper was further than `far` from the demonstration's.
  """

  def __init__(
    self,
    engine: Engine,
    reference: Reference,
    succeeds: Succeeds,
    *,
    grips: bool = True,
    control: Control = CONTROL,
    starts: Starts = STARTS,
    far: float = FAR,
  ):
    """Prepares the world.

    Args:
      engine: of the demonstration's scene; the robot's joints come first, then the objects'. Its
        control step is the time between two frames of the demonstration.
      reference: of the demonstration.
      succeeds: whether the task is done.
      grips: whether the last action is the gripper's.
      control: what the other actions mean.
      starts: where episodes begin.
      far: distance of the gripper from the demonstration's at which an episode ends, m; 0 for
        never.

    Raises:
      ValueError: for a demonstration of another scene or too short, or numbers out of range.
    """
    if reference.qpos.shape[1] != engine.model.nq:
      raise ValueError(
        f"the demonstration has {reference.qpos.shape[1]} positions and the scene {engine.model.nq}"
      )
    if len(reference.qpos) < 2:
      raise ValueError("a demonstration needs at least two instants")
    check(starts, far)
    self.engine, self.reference = engine, jax.tree.map(jnp.asarray, reference)
    self.starts, self.far, self.grips = starts, far, grips
    self.chain = kinematics.make_chain(engine.model, "gripper")
    self.arm = ArmControl(control, PANDA, self.chain, engine.step_seconds)
    self._succeeds = succeeds
    self._places = jax.vmap(self._gripper)(self.reference.qpos)
    self._speed = jnp.asarray(PANDA.velocity_limit)

  def reset(self, key: Key) -> base.State:
    anywhere_key, frame_key, joint_key, object_key = jax.random.split(base.typed_key(key), 4)
    is_anywhere = jax.random.bernoulli(anywhere_key, self.starts.anywhere)
    frame = jax.random.randint(frame_key, (), 0, self.last)
    frame = jnp.where(is_anywhere, frame, 0)
    qpos = self.reference.qpos[frame]
    qpos += (frame == 0) * self._spread(joint_key, object_key)
    qvel = self.reference.qvel[frame]
    physics = self.engine.start(qpos, qvel, {})
    joints, speed = qpos[:JOINTS], jnp.clip(qvel[:JOINTS], -self._speed, self._speed)
    command = Command(joints - self.step_seconds * speed, speed, speed)  # which ends where they are
    data = ImitationData(
      physics, self._gripper(physics.qpos), command, self.reference.opening[frame], frame
    )
    zero = jnp.zeros(())
    return base.State(data, self.observe(data), zero, zero, {"success": zero, "astray": zero}, {})

  def advance(self, state: base.State, action: Float[Array, "action"]) -> base.State:
    before: ImitationData = state.data
    action = jnp.clip(action, -1.0, 1.0)
    joints = before.physics.qpos[:JOINTS]
    command = self.arm.follow(before.command, action[: self.arm.action_size], joints)
    opening = before.opening
    if self.grips:
      assert PANDA.gripper is not None
      most = FINGER_SPEED * self.step_seconds
      opening = panda_control.open_gripper(opening, action[-1], PANDA.gripper.opening, most)
    substeps = self.engine.substeps
    told = self.arm.told(before.command, command, substeps, jnp.zeros((), jnp.int32))
    fingers = jnp.linspace(before.opening, opening, substeps + 1)[1:, None]
    physics = self.engine.step(before.physics, jnp.concatenate([told, fingers], axis=1), {})
    frame = jnp.minimum(before.frame + 1, self.last)
    gripper = self._gripper(physics.qpos)
    data = ImitationData(physics, gripper, command, opening, frame)
    success = self._succeeds(physics.qpos, physics.qvel, gripper).astype(jnp.float32)
    astray = jnp.zeros(())
    if self.far > 0.0:
      astray = (jnp.linalg.norm(gripper - self._places[frame]) > self.far).astype(jnp.float32)
    metrics = {**state.metrics, "success": success, "astray": astray}
    return state.replace(data=data, reward=success, done=astray, metrics=metrics)

  def observe(self, data: ImitationData) -> dict[str, Array]:
    qpos = data.physics.qpos
    joints = qpos[:JOINTS] - jnp.asarray(PANDA.default_pose)
    width = jnp.sum(qpos[JOINTS:FIRST_OBJECT])[None]
    return {
      "joints": jnp.concatenate([joints, 20.0 * width]),
      "objects": 10.0 * (places(data) - jnp.array([0.5, 0.0, 0.0])).reshape(-1),
      "phase": _waves(data.frame / jnp.float32(self.last)),
    }

  @property
  def last(self) -> int:
    """The demonstration's last frame."""
    return len(self.reference.qpos) - 1

  @property
  def action_size(self) -> int:
    return self.arm.action_size + self.grips

  @property
  def step_seconds(self) -> float:
    return self.engine.step_seconds

  @property
  def backend(self) -> str:
    return self.engine.name

  def _gripper(self, qpos: Float[Array, "nq"]) -> Float[Array, "3"]:
    return kinematics.pose(self.chain, qpos[:JOINTS]).position

  def _spread(self, joint_key: Key, object_key: Key) -> Float[Array, "nq"]:
    """What a start may differ from the demonstration's by."""
    spread = jnp.zeros(self.engine.model.nq)
    joint, place = self.starts.joint, self.starts.object
    joints = jax.random.uniform(joint_key, (JOINTS,), minval=-joint, maxval=joint)
    number = (self.engine.model.nq - FIRST_OBJECT) // 7
    shifts = jax.random.uniform(object_key, (number, 2), minval=-place, maxval=place)
    poses = jnp.zeros((number, 7)).at[:, :2].set(shifts)
    return spread.at[:JOINTS].set(joints).at[FIRST_OBJECT:].set(poses.reshape(-1))


def places(data: ImitationData) -> Float[Array, "things 3"]:
  """Of the gripper and of every object's centre, world frame, m; privileged."""
  poses = data.physics.qpos[FIRST_OBJECT:].reshape(-1, 7)
  return jnp.concatenate([data.gripper[None], poses[:, :3]])


def reference_places(env: ImitationEnv) -> Float[Array, "time things 3"]:
  """Those of the demonstration."""
  poses = env.reference.qpos[:, FIRST_OBJECT:].reshape(env.last + 1, -1, 7)
  return jnp.concatenate([env._places[:, None], poses[..., :3]], axis=1)


def _waves(share: Float[Array, ""]) -> Float[Array, "waves"]:
  """`cos(pi k share)` for `k` of 1 to `PHASE_WAVES`, by which moments that are near differ clearly.

  By the share alone a small network is slow to tell a turn from what comes just before it.
  """
  return jnp.cos(jnp.pi * share * jnp.arange(1, PHASE_WAVES + 1))


def check(starts: Starts, far: float) -> None:
  """Refuses numbers that make no sense.

  Raises:
    ValueError: naming the number.
  """
  if not 0.0 <= starts.anywhere <= 1.0:
    raise ValueError(f"anywhere is a share of episodes, not {starts.anywhere}")
  named: dict[str, Any] = {"joint": starts.joint, "object": starts.object, "far": far}
  for name, value in named.items():
    if not value >= 0.0:
      raise ValueError(f"{name} must not be negative, got {value}")
