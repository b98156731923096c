"""Where a serial arm's tool is and how its joints move it, in JAX, from a model's transforms alone.

The robot's controller has this and no simulator: it turns a motion of the hand into motions of the
joints before any physics engine sees a command. Everything is in the frame of the world, in which
the arm is bolted down. The constant transforms are folded on the host, and their zeros left out of
what is compiled, so that a few hundred operations make the pose of the whole arm.
"""

from typing import NamedTuple

import jax.numpy as jnp
import mujoco
import numpy as np
from jaxtyping import Array, Float

from jaxskills.config import nearest

_ZERO = 1e-7  # a component of a constant transform that rounding left


class Chain(NamedTuple):
  """Constant transforms of a serial arm whose joints turn about the z axes of their frames.

  Attributes:
    offsets: of each joint's frame in the frame before it, and last of the tool's, m.
    rotations: likewise; columns are the axes of the frame.
  """

  offsets: Float[np.ndarray, "links 3"]
  rotations: Float[np.ndarray, "links 3 3"]


class Pose(NamedTuple):
  """Where the tool is, and how each joint moves it.

  Attributes:
    position: m.
    rotation: columns are the tool's axes.
    jacobian: rows are linear (m/s) and then angular velocity (rad/s) of the tool, for a velocity of
      1 rad/s of each joint.
  """

  position: Float[Array, "3"]
  rotation: Float[Array, "3 3"]
  jacobian: Float[Array, "6 joints"]


def make_chain(model: mujoco.MjModel, site: str) -> Chain:
  """The chain of hinges from the world to a site.

  Raises:
    ValueError: if there is no such site, or a joint on the way is no hinge about its body's origin.
  """
  index = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_SITE, site)
  if index < 0:
    names = [model.site(index).name for index in range(model.nsite)]
    raise ValueError(f"the model has no site {site!r}{nearest(site, names)}")
  bodies = [int(model.site_bodyid[index])]
  while model.body_parentid[bodies[-1]]:
    bodies.append(int(model.body_parentid[bodies[-1]]))
  place, turn = np.zeros(3), np.eye(3)
  offsets, rotations = [], []
  for body in reversed(bodies):
    place = place + turn @ model.body_pos[body]
    turn = turn @ _matrix(model.body_quat[body])
    first, number = int(model.body_jntadr[body]), int(model.body_jntnum[body])
    for joint in range(first, first + number):
      if model.jnt_type[joint] != mujoco.mjtJoint.mjJNT_HINGE or model.jnt_pos[joint].any():
        raise ValueError(f"joint {model.joint(joint).name!r} is no hinge about its body's origin")
      aligned = _towards(model.jnt_axis[joint])
      offsets.append(place)
      rotations.append(turn @ aligned)
      place, turn = np.zeros(3), aligned.T
  offsets.append(place + turn @ model.site_pos[index])
  rotations.append(turn @ _matrix(model.site_quat[index]))
  return Chain(np.stack(offsets), np.stack(rotations))


def pose(chain: Chain, angles: Float[Array, "joints"]) -> Pose:
  """The tool of an arm whose joints stand at `angles`, rad."""
  place, frame = jnp.zeros(3), tuple(jnp.asarray(axis) for axis in np.eye(3, dtype=np.float32))
  origins, axes = [], []
  for index in range(len(chain.offsets)):
    place = place + _combine(frame, chain.offsets[index])
    x, y, z = (_combine(frame, column) for column in chain.rotations[index].T)
    if index < len(angles):
      origins.append(place)
      axes.append(z)
      cos, sin = jnp.cos(angles[index]), jnp.sin(angles[index])
      x, y = cos * x + sin * y, cos * y - sin * x
    frame = (x, y, z)
  angular = jnp.stack(axes)
  linear = jnp.cross(angular, place - jnp.stack(origins))
  jacobian = jnp.concatenate([linear, angular], axis=1).T
  return Pose(place, jnp.stack(frame, axis=1), jacobian)


def damped_least_squares(
  jacobian: Float[Array, "6 joints"], velocity: Float[Array, "6"], damping: float
) -> Float[Array, "joints"]:
  """Joint velocities that come near a velocity of the tool without growing where it is singular.

  `J^T (J J^T + damping^2 I)^-1 v` (Wampler 1986; Nakamura and Hanafusa 1986), the minimum of
  `|J x - v|^2 + damping^2 |x|^2`.
  """
  square = jacobian @ jacobian.T + damping**2 * jnp.eye(6)
  return jacobian.T @ jnp.linalg.solve(square, velocity)


def rotation_error(rotation: Float[Array, "3 3"], wanted: Float[Array, "3 3"]) -> Float[Array, "3"]:
  """The turn from one attitude to another: its axis times the sine of its angle.

  It points the shorter way round and vanishes also half a turn away, where no way is shorter.
  """
  return 0.5 * jnp.sum(jnp.cross(rotation, wanted, axisa=0, axisb=0, axisc=0), axis=1)


def _combine(axes: tuple[Array, ...], weights: np.ndarray) -> Array:
  """The sum of axes by constant weights, without those that are zero."""
  terms = [
    axis if weight == 1.0 else np.float32(weight) * axis
    for axis, weight in zip(axes, weights, strict=True)
    if abs(weight) > _ZERO
  ]
  return sum(terms[1:], start=terms[0]) if terms else jnp.zeros(3)


def _matrix(quaternion: np.ndarray) -> np.ndarray:
  flat = np.zeros(9)
  mujoco.mju_quat2Mat(flat, quaternion)
  return flat.reshape(3, 3)


def _towards(axis: np.ndarray) -> np.ndarray:
  """A rotation that takes z to a unit vector; none where it is there already."""
  quaternion = np.zeros(4)
  mujoco.mju_quatZ2Vec(quaternion, axis)
  return _matrix(quaternion)
