"""MuJoCo in JAX and MuJoCo Warp, both through `mujoco.mjx`.

The engine's own record is made anew from the neutral state at every control step; its buffers are
constants of the compiled program, and nothing of them outlives the step. So a world that begins
anew needs no `Data.where`, and Warp's buffers, which are shared by all worlds, are never mixed.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import mujoco
from jaxtyping import Array, Float, Int
from mujoco import mjx

from jaxskills.errors import UserError
from jaxskills.physics.capacity import capacity_of
from jaxskills.physics.shards import step_own_worlds
from jaxskills.physics.state import Engine, Parameters, PhysicsState

_LIMITS_REACHED = (1 << 9) | (1 << 10)  # Warp's bits for solver iterations: no constraint is lost
_ON_CPU: dict[str, bool | str] = {
  "xla_cpu_use_fusion_emitters": False,
  "xla_cpu_scheduler_type": "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED",
}
_CAPS = ("max_contact_points", "max_geom_pairs")  # custom numerics by which MJX drops contacts


def make_mjx(name: str, model: mujoco.MjModel, substeps: int, *, worlds: int) -> Engine:
  """Prepares MJX for a model.

  Args:
    name: "mjx" for the implementation in JAX, "warp" for MuJoCo Warp.
    model: to simulate.
    substeps: physics steps in a control step.
    worlds: for Warp, the most that are stepped together.

  Raises:
    NotImplementedError: if the model has something that MJX does not simulate.
    UserError: if the model tells MJX to drop contacts, which nobody would be told of.
  """
  if name == "mjx":
    _check_caps(model)
    nominal = mjx.put_model(model, impl="jax")
    start, step = _functions(model, nominal, {"impl": "jax"})
    return Engine(name, model, substeps, start, step, compiler_options())
  nominal, room = _quiet(mjx.put_model(model, impl="warp")), capacity_of(model)

  def ready_for(number: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    buffers = {"njmax": room.constraints, "naconmax": number * room.contacts}
    return _functions(model, nominal, {"impl": "warp", **buffers})

  start = step_own_worlds(lambda number: ready_for(number)[0], worlds)
  step = step_own_worlds(lambda number: ready_for(number)[1], worlds)
  return Engine(name, model, substeps, start, step)


def lost(data: Any, impl: str) -> Int[Array, "*worlds"]:
  """Not 0 where an engine dropped something.

  Args:
    data: MJX's, of one world or of many.
    impl: of MJX, "jax" or "warp".
  """
  if impl == "jax":  # every contact that may be has its place, see `_check_caps`
    return jnp.zeros(data.time.shape, jnp.int32)
  record = data._impl
  # Warp sets its bits for these when it advances time, so never in `start`.
  contacts = jnp.maximum(record.nacon, record.ncollision)
  is_full = (record.nefc > record.njmax) | jnp.any(contacts > record.naconmax)
  return record.overflow.astype(jnp.int32) & ~_LIMITS_REACHED | jnp.reshape(
    is_full, data.time.shape
  )


def _functions(
  model: mujoco.MjModel, nominal: Any, blank: dict[str, Any]
) -> tuple[Callable[..., PhysicsState], Callable[..., PhysicsState]]:
  """`start` and `step` of one world, as `Engine` has them.

  Args:
    model: to simulate.
    nominal: the same, as MJX has it.
    blank: for `mjx.make_data`.
  """

  def fresh(state: Any, parameters: Parameters) -> tuple[Any, Any]:
    """The engine's model and record for one world."""
    data = mjx.make_data(model, **blank)
    own = nominal.replace(**parameters) if parameters else nominal
    return own, data.replace(**state)

  def neutral(data: Any, overflow: Array) -> PhysicsState:
    return PhysicsState(
      data.qpos, data.qvel, data.act, data.time, data.qacc_warmstart, data.sensordata, overflow
    )

  def start(
    qpos: Float[Array, "nq"], qvel: Float[Array, "nv"], parameters: Parameters
  ) -> PhysicsState:
    own, data = fresh({"qpos": qpos, "qvel": qvel}, parameters)
    data = mjx.forward(own, data)
    state = neutral(data, lost(data, blank["impl"]))
    return state._replace(warmstart=jnp.zeros_like(state.warmstart))

  def step(
    state: PhysicsState, controls: Float[Array, "substeps nu"], parameters: Parameters
  ) -> PhysicsState:
    fields = {"qpos": state.qpos, "qvel": state.qvel, "act": state.act, "time": state.time}
    own, data = fresh({**fields, "qacc_warmstart": state.warmstart}, parameters)

    def physics_step(carry: tuple[Any, Array], control: Array) -> tuple[tuple[Any, Array], None]:
      data, overflow = carry
      data = mjx.step(own, data.replace(ctrl=control))
      return (data, overflow | lost(data, blank["impl"])), None

    carry = (data, jnp.zeros((), jnp.int32))
    (data, overflow), _ = jax.lax.scan(physics_step, carry, controls)
    return neutral(data, overflow)

  return start, step


@functools.cache
def compiler_options() -> dict[str, bool | str] | None:
  """What a program with MJX in it wants of XLA on a CPU; None elsewhere.

  The fusion of jaxlib 0.10 and older makes one loop of a whole kinematic chain, in which the
  ancestors of a link are computed anew for every number (jax issue 33761): a thousand times slower
  for the Panda's nine links. And what may run at once does: two batched factorisations on a pool of
  two threads each wait for a third, for ever (seen with 4,096 Pandas). The schedule that spares
  memory leaves less to run at once, and none was seen to wait. Options that this jaxlib lacks are
  left out.
  """
  if jax.default_backend() != "cpu":
    return None
  return {name: value for name, value in _ON_CPU.items() if _is_known(name, value)} or None


def _is_known(name: str, value: bool | str) -> bool:
  try:
    jax.jit(lambda x: x, compiler_options={name: value}).lower(0.0).compile()
  except jax.errors.JaxRuntimeError:
    return False
  return True


def _check_caps(model: mujoco.MjModel) -> None:
  """Refuses a model with a cap on its contacts that MJX obeys and does not report."""
  for cap in _CAPS:
    if mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_NUMERIC, cap) >= 0:
      raise UserError(
        f"engine mjx would drop contacts unseen: the model has a custom numeric '{cap}'; remove it "
        "or use engine native or warp"
      )


def _quiet(model: Any) -> Any:
  """The same model without a printed line for every overflow: `PhysicsState` reports it."""
  return model.tree_replace({"opt._impl.warn_overflow": 0})
