"""How much room a world's contacts and constraints need in engines with buffers of fixed size.

MuJoCo Warp drops what does not fit. The room is therefore the worst case where that is small, and
a stated cap where it is not; `PhysicsState.overflow` tells when it was not enough. Contacts of
flexes are not counted.
"""

from collections.abc import Iterator
from typing import NamedTuple

import mujoco
import numpy as np

_MOST_CONTACTS = 128  # a world

# As numbers, which is how a model holds them.
_SPHERE, _ELLIPSOID = int(mujoco.mjtGeom.mjGEOM_SPHERE), int(mujoco.mjtGeom.mjGEOM_ELLIPSOID)
_CAPSULE, _BOX = int(mujoco.mjtGeom.mjGEOM_CAPSULE), int(mujoco.mjtGeom.mjGEOM_BOX)
_UNEVEN = {int(mujoco.mjtGeom.mjGEOM_HFIELD), int(mujoco.mjtGeom.mjGEOM_SDF)}


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
  contacts = contact_rows = 0
  for first, second, condim in _pairs(model):
    number = most_contacts(int(model.geom_type[first]), int(model.geom_type[second]))
    contacts += number
    contact_rows += number * _rows(model, condim)
    if contacts >= _MOST_CONTACTS:
      contacts = _MOST_CONTACTS
      contact_rows = contacts * _rows(model, int(max([*model.geom_condim, *model.pair_dim])))
      break
  limits = int(model.jnt_limited.sum() + model.tendon_limited.sum())
  friction = int((model.dof_frictionloss > 0).sum() + (model.tendon_frictionloss > 0).sum())
  equality = 6 * model.neq
  return Capacity(max(contacts, 1), max(contact_rows + limits + friction + equality, 1))


def most_contacts(first: int, second: int) -> int:
  """The most contacts of two geoms of these types (`mujoco.mjtGeom`), in C MuJoCo and in Warp.

  A plane counts as any other flat face; two boxes make eight where their faces lie on each other
  turned by 45 degrees, and all other faces are cut down to four.
  """
  kinds = {first, second}
  if kinds & _UNEVEN:
    return int(mujoco.mjMAXCONPAIR)
  if kinds & {_SPHERE, _ELLIPSOID}:
    return 1
  if _CAPSULE in kinds:
    return 2
  return 8 if kinds == {_BOX} else 4


def _rows(model: mujoco.MjModel, condim: int) -> int:
  """Rows of one contact: one without friction, else as the friction cone has sides or axes."""
  is_pyramid = model.opt.cone == mujoco.mjtCone.mjCONE_PYRAMIDAL
  return 2 * (condim - 1) if is_pyramid and condim > 1 else condim


def _pairs(model: mujoco.MjModel) -> Iterator[tuple[int, int, int]]:
  """Pairs of geoms whose collision is not excluded by their bits, bodies or joints; their condim.

  Where priorities differ, MuJoCo takes the condim of one geom; here the larger always counts.
  """
  explicit = zip(model.pair_geom1, model.pair_geom2, model.pair_dim, strict=True)
  yield from ((int(first), int(second), int(condim)) for first, second, condim in explicit)
  excluded = {tuple(sorted((s >> 16, s & 0xFFFF))) for s in map(int, model.exclude_signature)}
  for first, second in _may_touch(model):
    bodies = sorted((int(model.geom_bodyid[first]), int(model.geom_bodyid[second])))
    if tuple(bodies) not in excluded:
      yield first, second, int(max(model.geom_condim[first], model.geom_condim[second]))


def _may_touch(model: mujoco.MjModel) -> Iterator[tuple[int, int]]:
  """Pairs of geoms that MuJoCo's dynamic filter lets collide, before any geometry."""
  weld = model.body_weldid[model.geom_bodyid]
  parent = model.body_weldid[model.body_parentid[weld]]
  for first in range(model.ngeom):
    later = np.arange(first + 1, model.ngeom)
    bits = (model.geom_contype[first] & model.geom_conaffinity[later]) | (
      model.geom_contype[later] & model.geom_conaffinity[first]
    )
    adjacent = (weld[first] == parent[later]) | (weld[later] == parent[first])
    adjacent &= (weld[first] != 0) & (weld[later] != 0)
    for second in later[(bits != 0) & (weld[first] != weld[later]) & ~adjacent]:
      yield first, int(second)
