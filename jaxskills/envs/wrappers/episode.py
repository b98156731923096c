"""Where an episode ends, and what it amounted to: `EpisodeLimit` and `EpisodeStatistics`."""

import jax.numpy as jnp

from jaxskills.envs.base import Env, State, Wrapper
from jaxskills.types import Key


class EpisodeLimit(Wrapper):
  """Cuts episodes after a number of steps, and keeps cutting off apart from ending.

  `done` is 1 for either reason. `info["terminated"]` is 1 where the world itself ended, so that
  its future is worth nothing; `info["truncated"]` where only the limit did. `info["steps"]` counts.
  """

  def __init__(self, env: Env, length: int):
    """Wraps `env`.

    Raises:
      ValueError: if `length`, in steps of `env`, is not positive.
    """
    if length < 1:
      raise ValueError(f"an episode needs at least one step, got {length}")
    super().__init__(env)
    self.length = length
    self.reports = env.reports | {"terminated", "truncated"}

  def reset(self, key: Key) -> State:
    state = self.env.reset(key)
    zero = jnp.zeros_like(state.done)
    memory = {"steps": jnp.zeros((), jnp.int32), "terminated": zero, "truncated": zero}
    return state.replace(info={**state.info, **memory})

  def follow(self, before: State, after: State) -> State:
    steps = before.info["steps"] + 1
    terminated = after.done
    truncated = jnp.where(steps >= self.length, 1.0 - terminated, 0.0)
    memory = {"steps": steps, "terminated": terminated, "truncated": truncated}
    return after.replace(done=jnp.maximum(terminated, truncated), info={**after.info, **memory})


class EpisodeStatistics(Wrapper):
  """Sums up each episode: return, length in control steps, and whether it ever succeeded.

  The running sums are `info["running"]`; when an episode ends they are latched into
  `info["episode"]`, whose `count` is the number of episodes finished so far. Success is
  `metrics["success"] > 0` at any step (0 for a world without that metric). What happens to a world
  that is already done does not count, nor does an episode that a fault ended (`Quarantine`).

  Put it around `SkillStep`, unless that discounts rewards and the return shall not.
  """

  def __init__(self, env: Env):
    super().__init__(env)
    self.reports = env.reports | {"episode"}

  def reset(self, key: Key) -> State:
    state = self.env.reset(key)
    zero = jnp.zeros_like(state.reward)
    running = {"return": zero, "length": jnp.zeros((), jnp.int32), "success": zero}
    episode = {**running, "count": jnp.zeros((), jnp.int32)}
    return state.replace(info={**state.info, "running": running, "episode": episode})

  def follow(self, before: State, after: State) -> State:
    alive = before.done < 1.0
    sums, latched = before.info["running"], before.info["episode"]
    steps = after.info["skill_steps"] if "skill_steps" in self.env.reports else 1
    success = after.metrics.get("success", jnp.zeros_like(after.reward)) > 0.0
    running = {
      "return": jnp.where(alive, sums["return"] + after.reward, sums["return"]),
      "length": jnp.where(alive, sums["length"] + steps, sums["length"]),
      "success": jnp.where(alive & success, 1.0, sums["success"]),
    }
    ends = alive & (after.done > 0.0)
    if "weight" in self.env.reports:
      ends = ends & (after.info["weight"] > 0.0)
    episode = {name: jnp.where(ends, value, latched[name]) for name, value in running.items()}
    episode["count"] = latched["count"] + ends
    return after.replace(info={**after.info, "running": running, "episode": episode})
