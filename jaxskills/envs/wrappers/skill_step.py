"""Skills as actions: one step of this world runs a decoded skill in the world beneath.

This is the semi-Markov step of SPiRL (Pertsch et al. 2020, section 3.3) with its edges right: the
state handed in is the one *before* the skill and the one handed back the one *after* it (the
released code is a step late), nothing moves after an episode that ends in mid-skill, and only the
end is observed, so that pictures are drawn at skill boundaries only.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxskills.envs.base import Env, State, Wrapper
from jaxskills.types import Key, Observation

Decode = Callable[[Observation, Any], Any]


class SkillStep(Wrapper):
  """Runs up to `max_len` control steps of `env` for every action, the skill.

  The reward is the sum over the steps that ran, each discounted by its place in the skill if
  `discount` is below 1; metrics are summed. `info["skill_steps"]` is the number of steps that ran
  (0 for a world that was done already: it stays as it is), and `info["discount"]` is
  `discount ** skill_steps`, the factor due on the value of what follows.
  """

  def __init__(
    self,
    env: Env,
    decode: Decode,
    max_len: int,
    *,
    skill_size: int,
    skill_limit: float,
    discount: float = 1.0,
    closed_loop: bool = False,
  ):
    """Wraps `env`.

    Args:
      env: the world whose actions skills are made of.
      decode: `(observation, skill) -> actions [max_len, A]`, called once, before the skill; with
        `closed_loop`, `(observation, skill) -> action [A]`, called before every control step. A
        decoder that is not conditioned on the state ignores the observation.
      max_len: control steps of a whole skill.
      skill_size: dimensions of a skill.
      skill_limit: skills lie within plus and minus this.
      discount: per control step, within the skill.
      closed_loop: whether `decode` looks again before every control step.

    Raises:
      ValueError: if `max_len` is not positive or `discount` is not within (0, 1].
    """
    if max_len < 1:
      raise ValueError(f"a skill needs at least one step, got max_len={max_len}")
    if not 0.0 < discount <= 1.0:
      raise ValueError(f"a discount lies in (0, 1], got {discount}")
    super().__init__(env)
    self.max_len = max_len
    self.discount = discount
    self.reports = env.reports | {"skill_steps", "discount"}
    self._decode = decode
    self._closed_loop = closed_loop
    self._skill_size = skill_size
    self._skill_limit = skill_limit

  def reset(self, key: Key) -> State:
    state = self.env.reset(key)
    report = {"skill_steps": jnp.zeros((), jnp.int32), "discount": jnp.ones(())}
    return state.replace(info={**state.info, **report})

  def advance(self, state: State, action: Any) -> State:
    return self.trace(state, action)[0]

  def step(self, state: State, action: Any) -> State:
    state = self.advance(state, action)
    return state.replace(obs=self.env.observe(state.data))

  def trace(
    self, state: State, skill: Any, record: Callable[[Any], Any] | None = None
  ) -> tuple[State, Any]:
    """Runs a skill and records the world after each of its control steps.

    Args:
      state: the world before the skill, freshly observed.
      skill: one skill.
      record: what to keep of `data`; nothing if not given.

    Returns:
      The state after the skill with the observation as before it, and what was recorded, each leaf
      `[max_len, ...]`; from a mid-skill end on it repeats.
    """
    seen = state.obs
    plan = None if self._closed_loop else self._decode(seen, skill)
    if not self._closed_loop and jax.tree.leaves(plan)[0].shape[0] != self.max_len:
      got = jax.tree.leaves(plan)[0].shape[0]
      raise ValueError(f"the decoder gave {got} actions for a skill of {self.max_len}")
    nothing = jnp.zeros_like(state.reward)
    sums = (nothing, jax.tree.map(jnp.zeros_like, state.metrics))

    def control_step(carry: tuple, planned: Any) -> tuple[tuple, Any]:
      world, (total, metrics), factor, steps = carry
      alive = world.done < 1.0
      action = self._decode(self.env.observe(world.data), skill) if plan is None else planned
      after = self.env.advance(world, action)
      total = total + jnp.where(alive, factor * after.reward, 0.0)
      metrics = jax.tree.map(
        lambda old, new: old + jnp.where(alive, new, 0), metrics, after.metrics
      )
      factor = jnp.where(alive, self.discount * factor, factor)
      world = jax.tree.map(lambda new, old: jnp.where(alive, new, old), after, world)
      kept = None if record is None else record(world.data)
      return (world, (total, metrics), factor, steps + alive), kept

    carry = (state.replace(obs=()), sums, jnp.ones(()), jnp.zeros((), jnp.int32))
    carry, kept = jax.lax.scan(control_step, carry, plan, length=self.max_len)
    world, (reward, metrics), factor, steps = carry
    report = {"skill_steps": steps, "discount": factor}
    world = world.replace(obs=seen, reward=reward, metrics=metrics, info={**world.info, **report})
    return world, kept

  @property
  def action_size(self) -> int:
    return self._skill_size

  @property
  def action_limit(self) -> float:
    return self._skill_limit

  @property
  def step_seconds(self) -> float:
    return self.max_len * self.env.step_seconds


def held_action(max_len: int) -> Decode:
  """The simplest decoder: the skill is one action, held for `max_len` steps."""

  def decode(observation: Observation, skill: Array) -> Array:
    del observation
    return jnp.broadcast_to(skill, (max_len, *skill.shape))

  return decode
