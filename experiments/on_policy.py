"""What the PPO experiments share: worlds around an environment, and the one stage of such a run."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from jaxskills.envs.base import Env, State
from jaxskills.envs.wrappers.auto_reset import AutoReset, transition
from jaxskills.envs.wrappers.episode import EpisodeLimit, EpisodeStatistics
from jaxskills.envs.wrappers.quarantine import Quarantine
from jaxskills.envs.wrappers.stagger import Staggered
from jaxskills.learners.ppo import PpoParams, make_ppo
from jaxskills.learners.ppo_config import PpoConfig
from jaxskills.learners.ppo_config import check as check_ppo
from jaxskills.physics import memory
from jaxskills.training import on_policy
from jaxskills.training.on_policy import OnPolicyConfig, OnPolicyState
from jaxskills.training.run_state import Stage
from jaxskills.training.worlds import place_worlds
from jaxskills.types import Metrics

STAGE = "rl/ppo"
EVALUATION_SEED = 20_000  # fixed keys: every evaluation of every run sees the same random numbers
MEASURED = "state"  # the modality of what a robot's own sensors and controller give

_SIZES = ("worlds", "unroll", "iterations_per_chunk", "env_steps")
_SIZES += ("evaluate_every_steps", "eval_episodes", "eval_steps")
_ROLLOUT_COPIES = 3
"""Of a rollout, while PPO learns from it: as it was recorded, and temporaries.

Measured for the H1's quick preset on a CPU (jax 0.10.2): 15.8 kB of rollout a world, and
temporaries of 40.6 kB, 66.7 kB with networks twice as wide, 33.4 kB with next to none. For both
together `bytes_per_world` takes 73, 95 and 52 kB.
"""


def groups() -> dict[str, dict[str, Any]]:
  """The groups of a configuration that every such experiment has, with their defaults.

  The learner's are those of `PpoConfig`.
  """
  return {
    "rl": {
      "env_steps": 10_000_000,
      "worlds": 1024,
      "unroll": 24,
      "iterations_per_chunk": 10,
      "episode_steps": 1000,
      "reset_pool": 256,
      "reset_refresh": 32,
      "evaluate_every_steps": 1_000_000,
      "eval_episodes": 100,
      "eval_steps": 500,
    },
    "ppo": {name: _plain(value) for name, value in PpoConfig()._asdict().items()},
  }


def ppo_config(config: ConfigDict) -> PpoConfig:
  """The learner's numbers."""
  fields = {name: config.ppo[name] for name in PpoConfig._fields}
  for name in ("actor_inputs", "critic_inputs", "hidden"):
    fields[name] = tuple(fields[name])
  return PpoConfig(**fields)


def loop_config(config: ConfigDict) -> OnPolicyConfig:
  """Sizes of the loop."""
  return OnPolicyConfig(config.rl.worlds, config.rl.unroll, config.rl.iterations_per_chunk)


def check(config: ConfigDict, env: Any) -> None:
  """Refuses what cannot be run, worlds that do not fit into memory among it.

  Args:
    config: with the groups of `groups`.
    env: one world, with the `engine` that steps it.

  Raises:
    UserError: if there are more worlds than fit, with the number that does.
    ValueError: naming the numbers that do not go together, or what an actor would see that a robot
      cannot measure.
  """
  check_minibatches(config)
  make_worlds(config, env)
  check_ppo(ppo_config(config), env.spec())
  _check_actor(config, env)
  free = free_memory(env.engine.name)
  memory.check_worlds(config.rl.worlds, bytes_per_world(config, env), free)
  check_episodes(config, env, config.rl.eval_episodes)


def check_minibatches(config: ConfigDict) -> None:
  """Refuses a rollout that cannot be dealt evenly.

  Raises:
    ValueError: naming both numbers.
  """
  if config.rl.unroll % config.ppo.minibatches:
    raise ValueError(
      f"a rollout of {config.rl.unroll} steps cannot be dealt to {config.ppo.minibatches} "
      "config.ppo.minibatches; choose a number that divides config.rl.unroll"
    )


def check_sizes(config: ConfigDict) -> None:
  """Refuses sizes of a run that are not positive.

  Raises:
    ValueError: naming the key.
  """
  for name in _SIZES:
    if config.rl[name] < 1:
      raise ValueError(f"config.rl.{name} must be at least 1, not {config.rl[name]}")


def check_episodes(config: ConfigDict, env: Any, episodes: int) -> None:
  """Refuses more episodes of an evaluation, which are played side by side, than fit into memory.

  Raises:
    UserError: with the number that does.
  """
  physics, begun = _one_world(config, env)
  kept = config.rl.eval_steps * memory.bytes_of((begun.metrics, begun.reward))
  per_episode = physics + memory.bytes_of(begun) + kept
  memory.check_worlds(episodes, per_episode, free_memory(env.engine.name))


def _check_actor(config: ConfigDict, env: Any) -> None:
  """Refuses an actor that sees what is not measured, where an environment says what is."""
  if not hasattr(env, "measurable"):
    return
  for name in config.ppo.actor_inputs:
    if name != MEASURED:
      raise ValueError(
        f"config.ppo.actor_inputs has {name!r}, which the robot cannot measure; an actor sees "
        f"{MEASURED!r} alone"
      )
  for term in env.measurable:
    if not term.measurable:
      raise ValueError(f"{term.name!r} is in the modality {MEASURED!r} and not measurable")


def bytes_per_world(config: ConfigDict, env: Any) -> int:
  """What one more world costs: physics, its state, and PPO's update on its rollout.

  An update holds the rollout `_ROLLOUT_COPIES` times, a minibatch of it once more, and what the
  layers of both networks give for every row of a minibatch.

  Args:
    config: with the groups of `groups`.
    env: one world, with the `engine` that steps it.
  """
  physics, begun = _one_world(config, env)
  action = jax.ShapeDtypeStruct((1, env.action_size), jnp.float32)
  row = memory.bytes_of(jax.eval_shape(transition, begun, action, begun))
  outputs = 2 * 4 * sum(config.ppo.hidden)  # of two networks, float32
  rows = config.rl.unroll / config.ppo.minibatches  # in a minibatch
  update = int(_ROLLOUT_COPIES * config.rl.unroll * row + rows * (row + outputs))
  return physics + memory.bytes_of(begun) + update


def _one_world(config: ConfigDict, env: Any) -> tuple[int, State]:
  """Bytes that physics needs for a world, and the shapes of its state; `reset_pool` is shared."""
  keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 1))
  begun = jax.eval_shape(make_worlds(config, env).reset, keys)
  own = {name: leaf for name, leaf in begun.info.items() if name != "pool"}
  fields = tuple(getattr(begun.data, "parameters", ()))
  physics = memory.bytes_per_world(env.engine.model, env.engine.name, fields)
  return physics, begun.replace(info=own)


def free_memory(engine: str) -> int:
  """Free bytes where the worlds of an engine lie: the host, or all devices that share them.

  The native engine's worlds need both: it steps them on the host, and PPO learns on the devices.
  """
  host, devices = memory.available_memory(), jax.devices()
  if devices[0].platform == "cpu":
    return host
  free = len(devices) * min(memory.available_memory(device) for device in devices)
  return min(host, free) if engine == "native" else free


def make_worlds(config: ConfigDict, env: Env) -> AutoReset:
  """Worlds that begin anew by themselves, and not all at once."""
  rl = config.rl
  counted = EpisodeStatistics(Quarantine(EpisodeLimit(env, rl.episode_steps)))
  return Staggered(counted, rl.episode_steps, rl.reset_pool, rl.reset_refresh)


def make_stage(
  config: ConfigDict,
  env: Any,
  evaluate: Callable[[PpoParams], Metrics],
  headline: tuple[str, ...],
) -> Stage:
  """The stage that trains PPO in `env`; its result is `PpoParams`.

  Args:
    config: with the groups of `groups`.
    env: one world, with its `engine`.
    evaluate: traceable, of the parameters so far.
    headline: metrics that progress lines show.
  """
  worlds = make_worlds(config, env)
  sizes = loop_config(config)
  learner = make_ppo(ppo_config(config), env.spec())
  loop = on_policy.make_on_policy(sizes, worlds, learner)
  per_chunk = sizes.worlds * sizes.unroll * sizes.iterations_per_chunk

  def judge(state: OnPolicyState) -> Metrics:
    return evaluate(state.learner.params)

  return Stage(
    name=STAGE,
    init=loop.init,
    chunk=lambda state, data: loop.chunk(state),
    chunks=max(1, round(config.rl.env_steps / per_chunk)),
    per_chunk=per_chunk,
    unit="environment steps",
    finish=lambda state: state.learner.params,
    counters=lambda state: {"env_steps": state.env_steps, "updates": state.updates},
    evaluate=judge,
    evaluate_every=max(1, round(config.rl.evaluate_every_steps / per_chunk)),
    headline=headline,
    compiler_options=env.engine.compiler_options,
    shardings=place_worlds,
  )


def make_policy(
  config: ConfigDict, env: Env
) -> Callable[[PpoParams, Any, jax.Array | None], jax.Array]:
  """`(parameters, one observation, key or None) -> actions [1, action]`, for `rollouts.play`."""
  learner = make_ppo(ppo_config(config), env.spec())

  def plan(params: PpoParams, observation: Any, key: jax.Array | None = None) -> jax.Array:
    batch = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], observation)
    return learner.act(params, batch, key)

  return plan


def _plain(value: Any) -> Any:
  return tuple(value) if isinstance(value, list | tuple) else value
