"""A scripted walk of a trained H1, recorded step by step for its report and its film.

It is the nominal robot, noisy and late as in training: what differs from run to run is the policy.
Commands come from a script instead of chance; pushes are left out, or are scripted too.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from jaxskills.assets.h1 import H1
from jaxskills.envs import base, terms
from jaxskills.envs.h1 import rewards
from jaxskills.envs.h1.conditions import Commands, Disturbances
from jaxskills.envs.h1.velocity import H1Velocity
from jaxskills.evaluation.walk_record import WalkRecord
from jaxskills.experiments import on_policy as shared
from jaxskills.experiments.h1.worlds import make_env
from jaxskills.learners.ppo import PpoParams
from jaxskills.physics import frames
from jaxskills.types import Key

SEED = 40_000
_NEVER = 1e6  # s
_REWARD = "reward/"
_AFTER_FALL = 0.3  # s that are kept; later what is not a foot sinks into the ground
_Line = tuple[float, tuple[float, float, float]]  # s, command
_WALK: tuple[_Line, ...] = (
  (2.0, (0.0, 0.0, 0.0)),
  (3.0, (0.4, 0.0, 0.0)),
  (3.0, (0.8, 0.0, 0.0)),
  (4.0, (1.0, 0.0, 0.0)),
  (3.0, (0.5, 0.0, 0.5)),
  (3.0, (0.5, 0.0, -0.5)),
  (2.0, (0.0, 0.0, 0.0)),
)
_SIDEWAYS: tuple[_Line, ...] = ((2.0, (0.0, 0.3, 0.0)), (2.0, (0.0, -0.3, 0.0)))
_PUSHED: tuple[_Line, ...] = ((8.0, (0.6, 0.0, 0.0)),)
_PUSHES = ((2.0, (0.0, 1.0)), (4.0, (0.0, -1.0)), (6.0, (-1.0, 0.0)))  # s, direction in the heading


class Script(NamedTuple):
  """What happens to the robot, a row a control step."""

  commands: Float[np.ndarray, "time 3"]
  pushes: Float[np.ndarray, "time 2"]
  """Change of the base's planar velocity before the step, heading frame, m/s."""


def walk_script(config: ConfigDict, step_seconds: float) -> Script:
  """Stand, walk ever faster, turn left and right, stop: 20 s, within the ranges trained for.

  Where the training has sideways commands, some of those come before the stop.
  """
  lines = list(_WALK)
  if max(np.abs(config.commands.sideways)) > 0:
    lines[-1:-1] = _SIDEWAYS
  commands = _commands(config, lines, step_seconds)
  return Script(commands, np.zeros((len(commands), 2)))


def push_script(config: ConfigDict, step_seconds: float) -> Script:
  """Walk while being pushed from the right, the left and the front, as hard as in training."""
  commands = _commands(config, list(_PUSHED), step_seconds)
  pushes = np.zeros((len(commands), 2))
  for second, direction in _PUSHES:
    pushes[round(second / step_seconds)] = config.disturbances.push_speed * np.array(direction)
  return Script(commands, pushes)


def scripted_env(config: ConfigDict) -> H1Velocity:
  """The nominal robot with the noise and latency of training, and nothing else by chance."""
  commands = Commands(seconds=_NEVER, standing_share=0.0)
  disturbances = Disturbances(**config.disturbances)._replace(push_speed=0.0, start_joint=0.0)
  return make_env(config, 1, variation=None, commands=commands, disturbances=disturbances)


def play(config: ConfigDict, params: PpoParams, env: H1Velocity, script: Script) -> WalkRecord:
  """Plays a script with the policy's mean action; ends soon after a fall.

  Args:
    config: of the run.
    params: of the policy.
    env: from `scripted_env`.
    script: commands and pushes.
  """
  plan = shared.make_policy(config, env)

  def step(state: base.State, told: tuple[Array, Array]) -> tuple[base.State, Any]:
    push, following = told
    state = env.advance(_pushed(state, push), plan(params, state.obs, None)[0])
    return tell(env, state, following), _watch(env, state)

  def run(key: Key, commands: Array, pushes: Array) -> dict[str, Array]:
    state = tell(env, env.reset(key), commands[0])
    following = jnp.concatenate([commands[1:], commands[-1:]])
    return jax.lax.scan(step, state, (pushes, following))[1]

  given = (jnp.asarray(part, jnp.float32) for part in script)
  played = jax.jit(run, compiler_options=env.engine.compiler_options)
  rows = jax.device_get(played(jax.random.key(SEED), *given))
  last = _end(rows, round(_AFTER_FALL / env.step_seconds))
  names = [name.removeprefix(_REWARD) for name in rows["rewards"]]
  rewards = np.stack(list(rows.pop("rewards").values()), axis=1)
  return WalkRecord(
    step_seconds=float(env.step_seconds),
    joints=np.array(H1.joints),
    lower=np.array(H1.lower),
    upper=np.array(H1.upper),
    torque_limit=np.array(H1.torque_limit),
    default_pose=np.array(H1.default_pose),
    push=script.pushes[:last],
    reward_names=np.array(names),
    rewards=rewards[:last],
    **{name: value[:last] for name, value in rows.items()},
  )


def tell(env: H1Velocity, state: base.State, command: Float[Array, "3"]) -> base.State:
  """Gives a command and lets the robot see it at once, as when the environment draws one.

  Everything else that it sees stays what its sensors said; at the start the past sees it too.
  """
  data = state.data._replace(command=command)
  told = terms.measure(env.measurable, data)
  is_exact = np.concatenate([np.full(term.size, term.noise == 0.0) for term in env.measurable])
  newest = (jnp.arange(env.history) == 0) | (data.steps == 0)
  measured = jnp.where(newest[:, None] & is_exact, told, data.measured)
  data = data._replace(measured=measured)
  return state.replace(data=data, obs=env.observe(data))


def _pushed(state: base.State, push: Float[Array, "2"]) -> base.State:
  """Adds to the base's velocity in its heading frame."""
  physics = state.data.physics
  jolt = frames.about_z(frames.yaw(physics.qpos[3:7]), jnp.append(push, 0.0))
  physics = physics._replace(qvel=physics.qvel.at[:3].add(jolt))
  return state.replace(data=state.data._replace(physics=physics))


def _watch(env: H1Velocity, state: base.State) -> dict[str, Any]:
  """A row of the recording."""
  stride, physics = env.stride(state.data), state.data.physics
  return {
    "qpos": physics.qpos,
    "qvel": physics.qvel,
    "command": stride.command,
    "velocity": stride.velocity,
    "yaw_rate": stride.angular_velocity[2],
    "torque": stride.torque,
    "action": stride.action,
    "contact": stride.contact,
    "stance": rewards.in_stance(stride),
    "foot_height": stride.foot_height,
    "foot_speed": stride.foot_speed,
    "phase": stride.phase,
    "is_moving": stride.is_moving,
    "fell": stride.fell,
    "rewards": {name: part for name, part in state.metrics.items() if name.startswith(_REWARD)},
  }


def _end(rows: dict[str, Any], after_fall: int) -> int:
  """How many rows there are to keep: to a while after a fall, and none that diverged."""
  fell, bad = rows["fell"], ~np.isfinite(rows["qpos"]).all(axis=1)
  last = int(np.argmax(fell)) + 1 + after_fall if fell.any() else len(fell)
  return min(last, int(np.argmax(bad))) if bad.any() else min(last, len(fell))


def _commands(config: ConfigDict, lines: list[_Line], step_seconds: float) -> np.ndarray:
  """A row a step, each to stand or within the ranges that the policy was trained for."""
  ranges = (config.commands.forward, config.commands.sideways, config.commands.yaw_rate)
  low, high = np.transpose(ranges)
  times = [round(seconds / step_seconds) for seconds, _ in lines]
  asked = np.array([command for _, command in lines])
  possible = np.where(np.any(asked, axis=1, keepdims=True), np.clip(asked, low, high), 0.0)
  return np.repeat(possible, times, axis=0)
