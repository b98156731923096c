"""How much room a world's contacts and constraints need in engines with buffers of fixed size.

MuJoCo Warp drops what does not fit. The room is therefore the worst case where that is small, and
a stated cap where it is not; `PhysicsState.overflow` tells when it was not enough.
"""

from typing import NamedTuple

import mujoco

_MOST_CONTACTS = 128  # a world
_PER_PAIR = 4  # contacts of a box or capsule on a plane, at most
_ROWS = {mujoco.mjtCone.mjCONE_PYRAMIDAL: 4, mujoco.mjtCone.mjCONE_ELLIPTIC: 3}  # condim 3


class Capacity(NamedTuple):
  """Buffer sizes for one world.

  Attributes:
    contacts: detected contacts.
    constraints: rows of the constraint Jacobian.
  """

  contacts: int
  constraints: int


def capacity_of(model: mujoco.MjModel) -> Capacity:
  """Room for every pair of geoms that may touch, with every limit and equality active."""
  contacts = min(_PER_PAIR * _pairs(model), _MOST_CONTACTS)
  rows = _ROWS[mujoco.mjtCone(model.opt.cone)]
  limits = int(model.jnt_limited.sum() + model.tendon_limited.sum())
  friction = int((model.dof_frictionloss > 0).sum() + (model.tendon_frictionloss > 0).sum())
  equality = 6 * model.neq
  return Capacity(max(contacts, 1), max(rows * contacts + limits + friction + equality, 1))


def _pairs(model: mujoco.MjModel) -> int:
  """Pairs of geoms whose collision is not excluded by their bits, bodies or joints."""
  excluded = {tuple(sorted((s >> 16, s & 0xFFFF))) for s in map(int, model.exclude_signature)}
  count = model.npair
  for first in range(model.ngeom):
    for second in range(first + 1, model.ngeom):
      count += _may_touch(model, first, second, excluded)
  return count


def _may_touch(
  model: mujoco.MjModel, first: int, second: int, excluded: set[tuple[int, ...]]
) -> bool:
  """MuJoCo's dynamic filter, before any geometry."""
  bits = (model.geom_contype[first] & model.geom_conaffinity[second]) | (
    model.geom_contype[second] & model.geom_conaffinity[first]
  )
  bodies = (int(model.geom_bodyid[first]), int(model.geom_bodyid[second]))
  welds = [int(model.body_weldid[body]) for body in bodies]
  if not bits or welds[0] == welds[1] or tuple(sorted(bodies)) in excluded:
    return False
  parents = [int(model.body_weldid[model.body_parentid[weld]]) for weld in welds]
  adjacent = welds[0] == parents[1] or welds[1] == parents[0]
  return not (adjacent and 0 not in welds)
