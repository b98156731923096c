"""The reward of looking like a demonstration, frame by frame: `VideoReward`.

TCN (Sermanet et al. 2018, section III-C) and ASN (Mees et al. 2020, section III-C): the
demonstration is embedded once; after every step the agent's own camera frame is embedded, and
compared with the demonstration's frame of that time. The world beneath gives no reward then, only
its metrics: whether it truly succeeded is told beside what was learned, and never rewarded.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, UInt8

from jaxskills.envs.base import Env, State, Wrapper
from jaxskills.envs.imitation_rewards import ImitationReward, check, imitation_reward
from jaxskills.types import Key, Observation, Params

Features = dict[str, Array]
"""What was made of one instant's frames (or state), by name: `[dim]`, or `[view, dim]`, each."""


class VideoReward(Wrapper):
  """Rewards `env` for looking like a demonstration, and shows the agent what it looks like.

  The frame of the demonstration that counts is `info["demo_frame"]`: it begins at `start_of`, goes
  on by one a step, and stays at the last one when the demonstration is over. `info["features"]` are
  those of the state that the step led to; `metrics["video_distance"]` is how far they are from the
  demonstration's, in units. Where several of the agent's views are judged, both are means over
  them.

  Where `env` ends an episode early, and what is earned is negative, ending would pay. So an early
  end costs what staying there until the end of the demonstration would have.

  One look a step serves the reward and the observation. Only where a world begins anew with things
  of its own (`Env.keeps`) the automatic reset has to look once more.
  """

  def __init__(
    self,
    env: Env,
    look: Callable[[Any], Features],
    demonstration: Float[Array, "time dim"],
    reward: ImitationReward | None,
    *,
    judged: str = "embedding",
    shown: Sequence[str] = ("embedding",),
    goal_only: bool = False,
    start_of: Callable[[Any], Int[Array, ""]] | None = None,
  ):
    """Wraps `env`; put an `EpisodeLimit` around it.

    Args:
      env: a world without batch axis.
      look: `data -> features`, pure; see `camera_look`.
      demonstration: feature `judged` of every frame of the demonstration, one a control step.
      reward: how a distance becomes a reward; None leaves what `env` itself pays.
      judged: name of the feature that is compared.
      shown: features that the agent sees, as modalities of these names, views side by side.
      goal_only: compare with the last frame at all times, in place of the frame of that time.
      start_of: `data -> frame` of the demonstration that an episode begins at; 0 if not given.

    Raises:
      ValueError: if the demonstration has no frames or `reward` makes no sense.
    """
    if reward is not None:
      check(reward)
    if len(demonstration) < 1:
      raise ValueError("a demonstration needs at least one frame")
    super().__init__(env)
    self.reports = env.reports
    self._look, self._reward = look, reward
    self._demonstration = jnp.asarray(demonstration)
    self._judged, self._shown, self._goal_only = judged, tuple(shown), goal_only
    self._start_of = start_of

  def reset(self, key: Key) -> State:
    state = self.env.reset(key)
    frame = jnp.zeros((), jnp.int32) if self._start_of is None else self._start_of(state.data)
    features = self._look(state.data)
    metrics = {**state.metrics, "video_distance": jnp.zeros_like(state.reward)}
    memory = {"demo_frame": jnp.minimum(frame, self._last), "features": features}
    obs = self._with(state.obs, features)
    return state.replace(obs=obs, metrics=metrics, info={**state.info, **memory})

  def advance(self, state: State, action: Any) -> State:
    after = self.env.advance(state, action)
    frame = jnp.minimum(state.info["demo_frame"] + 1, self._last)
    features = self._look(after.data)
    wanted = self._demonstration[self._last if self._goal_only else frame]
    paid = self._reward or ImitationReward()
    seen = features[self._judged]
    worth, apart = imitation_reward(paid, seen, jnp.broadcast_to(wanted, seen.shape))
    reward, distance = jnp.mean(worth), jnp.mean(apart)
    left = (self._last - frame).astype(reward.dtype)
    reward = reward + jnp.where(after.done > 0.0, left * jnp.minimum(reward, 0.0), 0.0)
    return after.replace(
      reward=after.reward if self._reward is None else reward,
      metrics={**after.metrics, "video_distance": distance},
      info={**after.info, "demo_frame": frame, "features": features},
    )

  def step(self, state: State, action: Any) -> State:
    state = self.advance(state, action)
    return state.replace(obs=self._with(self.env.observe(state.data), state.info["features"]))

  def observe(self, data: Any) -> Observation:
    return self._with(self.env.observe(data), self._look(data))

  @property
  def _last(self) -> int:
    return len(self._demonstration) - 1

  def _with(self, observation: Observation, features: Features) -> Observation:
    return {**observation, **{name: features[name].reshape(-1) for name in self._shown}}


def camera_look(
  render: Callable[[Array], UInt8[Array, "view rows columns 3"]],
  qpos_of: Callable[[Any], Float[Array, "nq"]],
  features_of: Callable[[Params, UInt8[Array, "batch rows columns 3"]], Features],
  params: Params,
) -> Callable[[Any], Features]:
  """A `look` through a camera: `data -> features [view, dim]` of the frames that it sees.

  However many worlds are mapped over, with `jax.vmap`, their frames go through `features_of` as
  one batch; that they come from one callback is the camera's doing.

  Args:
    render: of a `physics.camera.Camera`.
    qpos_of: `data -> qpos` of what is rendered.
    features_of: `(params, frames [batch, rows, columns, 3]) -> features [batch, dim]` by name.
    params: of the network; may be traced, so that seeds with networks of their own can be mapped
      over as well.
  """

  @jax.custom_batching.custom_vmap
  def one(params: Params, frames: UInt8[Array, "view rows columns 3"]) -> Features:
    return features_of(params, frames)

  @one.def_vmap
  def many(size: int, is_mapped: Any, params: Params, frames: Array) -> tuple[Features, Any]:
    of_params, of_frames = is_mapped
    if any(jax.tree.leaves(of_params)):
      axes = (
        jax.tree.map(lambda mapped: 0 if mapped else None, of_params),
        0 if of_frames else None,
      )
      features = jax.vmap(one.fun, axes, axis_size=size)(params, frames)
    else:
      every = features_of(params, frames.reshape(-1, *frames.shape[2:]))
      features = jax.tree.map(lambda leaf: leaf.reshape(size, -1, *leaf.shape[1:]), every)
    return features, jax.tree.map(lambda _: True, features)

  return lambda data: one(params, render(qpos_of(data)))
