"""What domain randomisation asks of a model and of a user's numbers: on the host, in NumPy.

Elements are found by name and looked at for whether they can be varied; every refusal says which
name or number it is about.
"""

from collections.abc import Sequence

import mujoco
import numpy as np
from jaxtyping import Bool

from jaxskills.config import nearest

BODY, GEOM = mujoco.mjtObj.mjOBJ_BODY, mujoco.mjtObj.mjOBJ_GEOM
JOINT, ACTUATOR = mujoco.mjtObj.mjOBJ_JOINT, mujoco.mjtObj.mjOBJ_ACTUATOR
Range = Sequence[float | int]
"""Lowest and highest value of what is drawn."""

# As numbers, which is how a model holds them: the bindings' enumerations compare with == only.
_FIXED, _AFFINE = int(mujoco.mjtGain.mjGAIN_FIXED), int(mujoco.mjtGain.mjGAIN_AFFINE)
_AFFINE_BIAS = int(mujoco.mjtBias.mjBIAS_AFFINE)
_ON_JOINT = [int(mujoco.mjtTrn.mjTRN_JOINT), int(mujoco.mjtTrn.mjTRN_JOINTINPARENT)]
_SHARES_BODY_FRAME = int(mujoco.mjtSameFrame.mjSAMEFRAME_BODY)
_SHARES_INERTIA_FRAME = int(mujoco.mjtSameFrame.mjSAMEFRAME_INERTIA)


def check_range(
  what: str, given: Range, *, at_least: float = -np.inf, above: float = -np.inf
) -> tuple[float, float]:
  """The range as two floats.

  Raises:
    ValueError: if it is none, or goes too low.
  """
  values = tuple(float(value) for value in given)
  if len(values) != 2 or not np.isfinite(values).all():
    raise ValueError(f"{what} needs a lowest and a highest number, got {tuple(given)}")
  low, high = values
  if low > high:
    raise ValueError(f"{what} needs a lowest number before the highest, got {low:g} and {high:g}")
  if low < at_least or low <= above:
    raise ValueError(f"{what} must be {'above 0' if above == 0.0 else '0 or more'}, got {low:g}")
  return low, high


def index_of(model: mujoco.MjModel, kind: mujoco.mjtObj, name: str) -> int:
  """Where an element is among its kind.

  Raises:
    ValueError: if the model has none of that name.
  """
  index = mujoco.mj_name2id(model, kind, name)
  if index < 0:
    word = kind.name.removeprefix("mjOBJ_").lower()
    names = [name_of(model, i, kind) for i in range(_count(model, kind))]
    raise ValueError(f"the model has no {word} {name!r}{nearest(name, names)}")
  return index


def select(
  model: mujoco.MjModel, kind: mujoco.mjtObj, names: Sequence[str] | None
) -> Bool[np.ndarray, "n"]:
  """Which elements of a kind are named; all if None."""
  chosen = np.full(_count(model, kind), names is None)
  names = [names] if isinstance(names, str) else names
  chosen[[index_of(model, kind, name) for name in names or ()]] = True
  return chosen


def name_of(model: mujoco.MjModel, index: int, kind: mujoco.mjtObj = ACTUATOR) -> str:
  """Its name, or its number where it has none."""
  return mujoco.mj_id2name(model, kind, index) or str(index)


def _count(model: mujoco.MjModel, kind: mujoco.mjtObj) -> int:
  return {BODY: model.nbody, GEOM: model.ngeom, JOINT: model.njnt, ACTUATOR: model.nu}[kind]


def check_inertial(model: mujoco.MjModel, chosen: Bool[np.ndarray, "nbody"]) -> None:
  """Refuses bodies whose inertia C MuJoCo reads from a constant that the compiler derived.

  Of a body that it treats as simple, `mjModel.dof_M0` stands for mass, inertia and armature in all
  but gravity: with another mass it would fall faster or slower than others.
  """
  wrong = np.flatnonzero(chosen & (model.body_simple > 0) & (model.body_dofnum > 0))
  if len(wrong):
    name = name_of(model, int(wrong[0]), BODY)
    raise ValueError(
      f"mass and inertia of body {name!r} cannot vary: MuJoCo treats it as simple; set "
      'simple="false" on it in the MJCF'
    )


def check_movable(model: mujoco.MjModel, index: int, name: str) -> None:
  """Refuses a body for which MuJoCo would ignore a shift of the centre of mass."""
  if model.body_simple[index]:
    raise ValueError(
      f"the centre of mass of body {name!r} cannot move: MuJoCo treats it as simple; set "
      'simple="false" on it in the MJCF'
    )
  frames = [("body", model.body_sameframe[index] == _SHARES_BODY_FRAME)]
  for kind in ("geom", "site"):
    own = getattr(model, f"{kind}_bodyid") == index
    shares = getattr(model, f"{kind}_sameframe")[own] == _SHARES_INERTIA_FRAME
    frames.append((kind, bool(shares.any())))
  for kind, shared in frames:
    if shared:
      raise ValueError(
        f"the centre of mass of body {name!r} shares a frame with its {kind}, and MuJoCo would "
        f"not move it alone; set model.{kind}_sameframe to 0 there first"
      )


def check_linear(model: mujoco.MjModel, index: int) -> None:
  """Refuses an actuator whose parameters are not factors of its force."""
  gain, bias = model.actuator_gaintype[index], model.actuator_biastype[index]
  if gain not in (_FIXED, _AFFINE) or bias > _AFFINE_BIAS:
    raise ValueError(
      f"actuator {name_of(model, index)!r} has gain type {mujoco.mjtGain(gain).name} and bias type "
      f"{mujoco.mjtBias(bias).name}; only the strength of linear ones can be scaled"
    )


def position_servos(model: mujoco.MjModel) -> Bool[np.ndarray, "nu"]:
  """Which actuators have `force = kp (u - q) - kd dq`."""
  return _servos(model) & (model.actuator_biasprm[:, 1] == -model.actuator_gainprm[:, 0])


def velocity_servos(model: mujoco.MjModel) -> Bool[np.ndarray, "nu"]:
  """Which actuators have `force = kd (u - dq)`."""
  only_speed = model.actuator_biasprm[:, 1] == 0.0
  speed = model.actuator_biasprm[:, 2] == -model.actuator_gainprm[:, 0]
  return _servos(model) & only_speed & speed


def _servos(model: mujoco.MjModel) -> Bool[np.ndarray, "nu"]:
  """Which actuators have a constant gain, and a bias that is linear in place and speed."""
  fixed = (model.actuator_gaintype == _FIXED) & (model.actuator_gainprm[:, 0] != 0.0)
  return fixed & (model.actuator_biastype == _AFFINE_BIAS)


def only_motors(model: mujoco.MjModel) -> tuple[np.ndarray, np.ndarray]:
  """Of each joint, the actuator that drives it, and whether it is limited and driven by one."""
  on_joint = np.isin(model.actuator_trntype, _ON_JOINT)
  number, driver = np.zeros(model.njnt, int), np.zeros(model.njnt, int)
  np.add.at(number, model.actuator_trnid[on_joint, 0], 1)
  driver[model.actuator_trnid[on_joint, 0]] = np.flatnonzero(on_joint)
  return driver, (number == 1) & model.jnt_actfrclimited.astype(bool)
