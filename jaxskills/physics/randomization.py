"""Domain randomisation: what may differ between worlds, as small pure functions by model element.

A randomizer is `(key, model, parameters so far) -> parameters`: it draws one world's values of some
fields of `mujoco.MjModel` and builds on what was drawn before it, so that `combine` can put several
in a row. The factories below check ranges when they are called, and names when they first see a
model; both on the host, before anything is compiled. All ranges are `(low, high)`, drawn uniformly
and independently unless said otherwise; a range of one point gives exactly that value.

Constants that MuJoCo derives from a model when it compiles it stay those of the nominal model, but
for `body_subtreemass`: `body_invweight0` and `dof_invweight0` only scale the regularisation of
constraints. Gravity compensation (`gravcomp`) follows the mass that is drawn.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxskills.physics import elements
from jaxskills.physics.state import Parameters
from jaxskills.types import Key

Randomizer = Callable[[Key, mujoco.MjModel, Parameters], Parameters]
"""`(key, model, parameters so far) -> parameters`, those so far included."""


def combine(*randomizers: Randomizer) -> Randomizer:
  """One after the other, each with a key of its own (`fold_in` of its place in the row).

  A later one builds on the values of an earlier one: masses scaled and then loaded are the sum of
  scaled mass and load.
  """

  def randomize(key: Key, model: mujoco.MjModel, parameters: Parameters) -> Parameters:
    for place, randomizer in enumerate(randomizers):
      parameters = randomizer(jax.random.fold_in(key, place), model, parameters)
    return parameters

  return randomize


def draw(
  randomizer: Randomizer, key: Key, model: mujoco.MjModel, worlds: Int[Array, "worlds"]
) -> Parameters:
  """Parameters of many worlds by their global index, each leaf `[worlds, ...]`.

  What a world gets depends on `key` and its index only: not on how many there are, in which order,
  or on which device.
  """
  return jax.vmap(lambda world: randomizer(jax.random.fold_in(key, world), model, {}))(worlds)


def mass(scale: elements.Range = (0.9, 1.1), bodies: Sequence[str] | None = None) -> Randomizer:
  """Scales masses, each by a factor of its own, and inertias with them, as density would.

  Args:
    scale: range of the factor; above 0.
    bodies: names; all if None.
  """
  scale = elements.check_range("mass scale", scale, above=0.0)

  def randomize(key: Key, model: mujoco.MjModel, parameters: Parameters) -> Parameters:
    chosen = elements.select(model, elements.BODY, bodies)
    elements.check_inertial(model, chosen)
    factor = _factors(key, scale, chosen)
    parameters = _scaled(parameters, model, "body_inertia", factor[:, None])
    return _with_mass(parameters, model, _value(parameters, model, "body_mass") * factor)

  return randomize


def payload(kg: elements.Range = (-1.0, 3.0), *, body: str) -> Randomizer:
  """Adds a point mass at a body's centre of mass, which so keeps its place and inertia.

  Args:
    kg: range of the mass; negative takes some away, less than the model's own.
    body: its name.
  """
  kg = elements.check_range("payload in kg", kg)

  def randomize(key: Key, model: mujoco.MjModel, parameters: Parameters) -> Parameters:
    index = elements.index_of(model, elements.BODY, body)
    elements.check_inertial(model, np.arange(model.nbody) == index)
    if model.body_mass[index] + kg[0] <= 0.0:
      raise ValueError(
        f"body {body!r} has {model.body_mass[index]:g} kg; a payload of {kg[0]:g} kg leaves nothing"
      )
    load = jax.random.uniform(key, minval=kg[0], maxval=kg[1])
    return _with_mass(parameters, model, _value(parameters, model, "body_mass").at[index].add(load))

  return randomize


def inertia(scale: elements.Range = (0.9, 1.1), bodies: Sequence[str] | None = None) -> Randomizer:
  """Scales inertias alone, all axes of a body by one factor, which keeps them possible.

  Args:
    scale: range of the factor; above 0.
    bodies: names; all if None.
  """
  scale = elements.check_range("inertia scale", scale, above=0.0)

  def randomize(key: Key, model: mujoco.MjModel, parameters: Parameters) -> Parameters:
    chosen = elements.select(model, elements.BODY, bodies)
    elements.check_inertial(model, chosen)
    return _scaled(parameters, model, "body_inertia", _factors(key, scale, chosen)[:, None])

  return randomize


def center_of_mass(metres: float | elements.Range, *, body: str) -> Randomizer:
  """Shifts a body's centre of mass.

  Args:
    metres: the shift lies within plus and minus this along each axis of the body's frame; one
      number, or one for each axis.
    body: its name. MuJoCo takes short cuts for bodies whose centre of mass is their origin or
      carries a geom or site; such a body is refused, saying what to change.
  """
  widths = np.broadcast_to(np.asarray(metres, np.float32), (3,))
  if not (np.isfinite(widths).all() and (widths >= 0.0).all()):
    raise ValueError(f"a centre of mass shifts by 0 m or more along each axis, got {metres}")

  def randomize(key: Key, model: mujoco.MjModel, parameters: Parameters) -> Parameters:
    index = elements.index_of(model, elements.BODY, body)
    elements.check_movable(model, index, body)
    shift = jax.random.uniform(key, (3,), minval=-widths, maxval=widths)
    place = _value(parameters, model, "body_ipos").at[index].add(shift)
    return {**parameters, "body_ipos": place}

  return randomize


def friction(coefficients: elements.Range, geoms: Sequence[str] | None = None) -> Randomizer:
  """Sets the sliding friction, one value for all of the geoms.

  A contact takes the greater friction of its two geoms, or that of the geom with the greater
  priority: name those that decide. Explicit pairs with one of the geoms get the value as well.

  Args:
    coefficients: range of the coefficient; 0 or more.
    geoms: names; all if None.
  """
  coefficients = elements.check_range("friction", coefficients, at_least=0.0)

  def randomize(key: Key, model: mujoco.MjModel, parameters: Parameters) -> Parameters:
    chosen = elements.select(model, elements.GEOM, geoms)
    value = jax.random.uniform(key, minval=coefficients[0], maxval=coefficients[1])
    rubs = _value(parameters, model, "geom_friction")
    rubs = rubs.at[:, 0].set(jnp.where(chosen, value, rubs[:, 0]))
    parameters = {**parameters, "geom_friction": rubs}
    paired = chosen[model.pair_geom1] | chosen[model.pair_geom2]
    if paired.any():
      rubs = _value(parameters, model, "pair_friction")
      rubs = rubs.at[:, :2].set(jnp.where(paired[:, None], value, rubs[:, :2]))
      parameters = {**parameters, "pair_friction": rubs}
    return parameters

  return randomize


def joint_damping(
  scale: elements.Range = (0.8, 1.2), joints: Sequence[str] | None = None
) -> Randomizer:
  """Scales the passive damping of joints (N s/m, N m s/rad), each by a factor of its own.

  Args:
    scale: range of the factor; 0 or more.
    joints: names; all if None.
  """
  return _of_joints(
    "dof_damping", elements.check_range("damping scale", scale, at_least=0.0), joints
  )


def armature(scale: elements.Range = (0.9, 1.1), joints: Sequence[str] | None = None) -> Randomizer:
  """Scales the rotor inertia that joints see (kg, kg m^2), each by a factor of its own.

  Args:
    scale: range of the factor; 0 or more.
    joints: names; all if None.
  """
  scale = elements.check_range("armature scale", scale, at_least=0.0)
  scaled = _of_joints("dof_armature", scale, joints)

  def randomize(key: Key, model: mujoco.MjModel, parameters: Parameters) -> Parameters:
    chosen = elements.select(model, elements.JOINT, joints)
    elements.check_inertial(model, np.isin(np.arange(model.nbody), model.jnt_bodyid[chosen]))
    return scaled(key, model, parameters)

  return randomize


def friction_loss(
  scale: elements.Range = (0.5, 2.0), joints: Sequence[str] | None = None
) -> Randomizer:
  """Scales the dry friction of joints (N, N m), each by a factor of its own.

  Args:
    scale: range of the factor; 0 or more.
    joints: names, of joints that have some in the model: engines with buffers of fixed size make
      room for dry friction only there. All that have some if None.
  """
  scale = elements.check_range("friction loss scale", scale, at_least=0.0)
  scaled = _of_joints("dof_frictionloss", scale, joints)

  def randomize(key: Key, model: mujoco.MjModel, parameters: Parameters) -> Parameters:
    for name in joints or ():
      dofs = model.dof_jntid == elements.index_of(model, elements.JOINT, name)
      if not model.dof_frictionloss[dofs].all():
        raise ValueError(
          f"joint {name!r} has a friction loss of 0, which no factor changes; give it some in the "
          "MJCF"
        )
    return scaled(key, model, parameters)

  return randomize


def motor_strength(
  scale: elements.Range = (0.9, 1.1), motors: Sequence[str] | None = None
) -> Randomizer:
  """Scales all that a motor can do, each by a factor of its own: gain, bias and force limit.

  A servo's stiffness, damping and torque limit so go up and down together. The limit of a joint
  (`actuatorfrcrange`) follows too where one motor alone drives it.

  Args:
    scale: range of the factor; 0 or more.
    motors: names of actuators with a gain and bias that are constant or linear; all if None.
  """
  scale = elements.check_range("motor strength", scale, at_least=0.0)

  def randomize(key: Key, model: mujoco.MjModel, parameters: Parameters) -> Parameters:
    chosen = elements.select(model, elements.ACTUATOR, motors)
    for index in np.flatnonzero(chosen):
      elements.check_linear(model, int(index))
    factor = _factors(key, scale, chosen)
    for field in ("actuator_gainprm", "actuator_biasprm", "actuator_forcerange"):
      parameters = _scaled(parameters, model, field, factor[:, None])
    driver, driven = elements.only_motors(model)
    if driven.any():
      of_joint = jnp.where(driven, factor[driver], 1.0)
      parameters = _scaled(parameters, model, "jnt_actfrcrange", of_joint[:, None])
    return parameters

  return randomize


def gains(
  kp_scale: elements.Range = (0.9, 1.1),
  kd_scale: elements.Range = (0.9, 1.1),
  motors: Sequence[str] | None = None,
) -> Randomizer:
  """Scales stiffness and damping of servos, each by a factor of its own, and no limits.

  Of a position servo, `force = kp (u - q) - kd dq`; of a velocity servo, `force = kd (u - dq)`.

  Args:
    kp_scale: range of the factor on kp; 0 or more.
    kd_scale: range of the factor on kd; 0 or more.
    motors: names of actuators that are one of these; all if None.
  """
  kp_scale = elements.check_range("kp scale", kp_scale, at_least=0.0)
  kd_scale = elements.check_range("kd scale", kd_scale, at_least=0.0)

  def randomize(key: Key, model: mujoco.MjModel, parameters: Parameters) -> Parameters:
    chosen = elements.select(model, elements.ACTUATOR, motors)
    by_position, by_velocity = elements.position_servos(model), elements.velocity_servos(model)
    for index in np.flatnonzero(chosen & ~by_position & ~by_velocity):
      raise ValueError(
        f"actuator {elements.name_of(model, int(index))!r} is no servo and has no gains"
      )
    kp_key, kd_key = jax.random.split(key)
    kp, kd = _factors(kp_key, kp_scale, chosen), _factors(kd_key, kd_scale, chosen)
    gain = _value(parameters, model, "actuator_gainprm")
    bias = _value(parameters, model, "actuator_biasprm")
    gain = gain.at[:, 0].multiply(jnp.where(by_position, kp, jnp.where(by_velocity, kd, 1.0)))
    bias = bias.at[:, 1].multiply(kp).at[:, 2].multiply(kd)
    return {**parameters, "actuator_gainprm": gain, "actuator_biasprm": bias}

  return randomize


def _of_joints(field: str, scale: tuple[float, float], joints: Sequence[str] | None) -> Randomizer:
  """Scales a field `[nv]`, all degrees of freedom of a joint by one factor."""

  def randomize(key: Key, model: mujoco.MjModel, parameters: Parameters) -> Parameters:
    factor = _factors(key, scale, elements.select(model, elements.JOINT, joints))
    return _scaled(parameters, model, field, factor[model.dof_jntid])

  return randomize


def _value(parameters: Parameters, model: mujoco.MjModel, field: str) -> Array:
  """A field as drawn so far, or the model's own."""
  return parameters.get(field, jnp.asarray(getattr(model, field), jnp.float32))


def _scaled(parameters: Parameters, model: mujoco.MjModel, field: str, factor: Array) -> Parameters:
  return {**parameters, field: _value(parameters, model, field) * factor}


def _with_mass(
  parameters: Parameters, model: mujoco.MjModel, masses: Float[Array, "nbody"]
) -> Parameters:
  """Masses, and of each body the sum over all that hang on it."""
  below = np.eye(model.nbody, dtype=bool)
  for body in range(model.nbody - 1, 0, -1):
    below[model.body_parentid[body]] |= below[body]
  sums = jnp.sum(jnp.where(below, masses, 0.0), axis=1)
  return {**parameters, "body_mass": masses, "body_subtreemass": sums}


def _factors(key: Key, scale: tuple[float, float], chosen: Bool[np.ndarray, "n"]) -> Array:
  """One factor for each element, 1 where it is not chosen."""
  return jnp.where(
    chosen, jax.random.uniform(key, chosen.shape, minval=scale[0], maxval=scale[1]), 1.0
  )
