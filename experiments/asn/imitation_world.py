"""Worlds in which a policy learns from one demonstration: scene, cameras, embedding and reward.

Demonstration and agent are seen by different cameras. Were they the same, to look alike pixel by
pixel would be to do alike, and nothing would have to be understood; `config.views` can make them
so, as an ablation.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, UInt8
from ml_collections import ConfigDict

from jaxskills.config import with_tuples
from jaxskills.envs.imitation_rewards import ImitationReward, cross_view_unit
from jaxskills.envs.panda.control import Control
from jaxskills.envs.tabletop import imitation_env, tasks
from jaxskills.envs.tabletop.demonstration import Demonstration, demonstrate
from jaxskills.envs.tabletop.imitation_env import ImitationEnv, Reference, Starts, Succeeds
from jaxskills.envs.tabletop.push_together import PUSH_TOGETHER, demonstrate_push
from jaxskills.envs.tabletop.scene import FRAMES_PER_SECOND, SUBSTEPS, make_model
from jaxskills.envs.tabletop.tasks import TASKS, Task
from jaxskills.envs.wrappers.video_reward import Features, VideoReward, camera_look
from jaxskills.evaluation.video_baselines import pixels
from jaxskills.experiments.asn.imitation_eyes import Eyes
from jaxskills.experiments.asn.task_sets import tasks_in
from jaxskills.physics.camera import Camera, make_camera
from jaxskills.physics.engine import make_engine
from jaxskills.physics.state import Engine
from jaxskills.types import Params

REWARDS = {
  "embedding": "learned embedding",
  "pixels": "raw pixels",
  "object_state": "true states (ceiling)",
  "success": "true success alone",
}
"""What may be rewarded, and what reports call it. The agent sees the same under all of them."""

ALL_TASKS = {**TASKS, PUSH_TOGETHER.name: PUSH_TOGETHER}

_OBJECT_UNIT = 0.05  # m; about the width of an object

Embed = Callable[[Params, UInt8[Array, "batch rows columns 3"]], Float[Array, "batch dim"]]


class Scenery(NamedTuple):
  """What all worlds of a run share.

  Attributes:
    demonstration: the only one.
    task: what it did.
    engine: of its scene.
    camera: the agent's, all of its views.
    frames: the demonstration as its own camera saw it, one a control step.
    pairs: instants of other tasks, those that the embedding learned from, as the agent's cameras
      and, last, the demonstration's see them: what two views of one instant are apart is the unit
      of distances. Of the task itself there is one video.
  """

  demonstration: Demonstration
  task: Task
  engine: Engine
  camera: Camera
  frames: UInt8[np.ndarray, "time rows columns 3"]
  pairs: UInt8[np.ndarray, "instant view rows columns 3"]


class Sight(NamedTuple):
  """How one seed sees and judges; several are stacked along a leading axis.

  Attributes:
    params: of its embedding.
    unit: of distances in its embedding.
    demonstration: what is judged, of every frame of the demonstration, in its unit.
  """

  params: Params
  unit: Float[Array, "*seeds"]
  demonstration: Float[Array, "*seeds time dim"]


def make_scenery(config: ConfigDict) -> Scenery:
  """Demonstrates the task and films it; the agent's camera stays open.

  Raises:
    UserError: for an engine or a camera that is not there.
    ValueError: for a condition or a view that there is not.
  """
  given = _demonstrate(config, config.demonstration.seed)
  own, model = tuple(config.views.agent), make_model(given.scene)
  views = (*own, config.views.demonstration)
  pairs = []
  learned = sorted(tasks_in(config.embedding.train))
  for number in range(config.calibration.videos):
    task = learned[number % len(learned)]
    other = demonstrate(task, config.demonstration.seed + number)
    instants = other.qpos[:: config.calibration.stride]
    pairs.append(film_states(config, make_model(other.scene), views, instants))
  simulated, worlds = make_model(given.scene, looks=False), config.num_seeds * config.rl.worlds
  return Scenery(
    demonstration=given,
    task=ALL_TASKS[config.task],
    engine=make_engine(config.engine, simulated, SUBSTEPS, worlds=worlds),
    camera=_camera(config, model, own, config.views.size),
    frames=film_states(config, model, views[-1:], given.qpos)[:, 0],
    pairs=np.concatenate(pairs),
  )


def make_arena(config: ConfigDict, scenery: Scenery, *, is_trial: bool = False) -> ImitationEnv:
  """The world without eyes.

  Args:
    config: the experiment's.
    scenery: of the run.
    is_trial: for evaluation: every episode begins as the demonstration did and goes on to its end,
      however far it goes astray.
  """
  starts = Starts(**config.starts)
  return ImitationEnv(
    scenery.engine,
    reference(scenery.demonstration),
    success_of(scenery),
    grips=bool(scenery.task.towers),
    control=Control(**with_tuples(config.control)),
    starts=starts._replace(anywhere=0.0) if is_trial else starts,
    far=0.0 if is_trial else config.far,
  )


def make_sights(scenery: Scenery, eyes: Eyes, arena: ImitationEnv, reward: str) -> Sight:
  """How every seed sees and judges under one of `REWARDS`, stacked."""
  sights = []
  for seed in range(len(jax.tree.leaves(eyes.params)[0])):
    params = jax.tree.map(lambda leaf, seed=seed: leaf[seed], eyes.params)
    unit = _unit(scenery, lambda frames, params=params: eyes.embed(params, jnp.asarray(frames)))
    if reward == "pixels":
      demonstrated = pixels(scenery.frames) / _pixel_unit(scenery)
    elif reward == "object_state":
      places = imitation_env.reference_places(arena)
      demonstrated = places.reshape(len(places), -1) / _OBJECT_UNIT
    else:  # true success compares nothing, and reports the embedding
      demonstrated = eyes.embed(params, jnp.asarray(scenery.frames)) / unit
    sights.append(Sight(params, jnp.float32(unit), jnp.asarray(demonstrated)))
  return jax.tree.map(lambda *leaves: jnp.stack(leaves), *sights)


def make_world(
  config: ConfigDict,
  scenery: Scenery,
  arena: ImitationEnv,
  embed: Embed,
  sight: Sight,
  reward: str,
) -> VideoReward:
  """One world with one of `REWARDS`, as one seed sees it.

  Args:
    config: the experiment's.
    scenery: of the run.
    arena: from `make_arena`.
    embed: of the run's `Eyes`.
    sight: of the seed; may be traced.
    reward: which.
  """
  pixel_unit = _pixel_unit(scenery)

  def features_of(params: Params, frames: UInt8[Array, "batch rows columns 3"]) -> Features:
    found = {"embedding": embed(params, frames)}
    return {**found, "pixels": pixels(frames) / pixel_unit} if reward == "pixels" else found

  see = camera_look(
    scenery.camera.render, lambda data: data.physics.qpos, features_of, sight.params
  )

  def look(data: Any) -> Features:
    found = see(data)
    found["embedding"] = found["embedding"] / sight.unit
    if reward == "object_state":
      found["objects"] = imitation_env.places(data).reshape(-1) / _OBJECT_UNIT
    return found

  judged = {"pixels": "pixels", "object_state": "objects"}.get(reward, "embedding")
  return VideoReward(
    arena,
    look,
    sight.demonstration,
    None if reward == "success" else ImitationReward(**config.reward),
    judged=judged,
    goal_only=config.goal_only,
    start_of=lambda data: data.frame,
  )


def success_of(scenery: Scenery) -> Succeeds:
  """The task's true predicate in the demonstration's scene."""
  layout, objects = scenery.demonstration.scene.layout, len(scenery.demonstration.scene.items)

  def succeeds(qpos: Array, qvel: Array, gripper: Array) -> Bool[Array, ""]:
    now = tasks.situation(qpos, qvel, gripper, objects)
    return jnp.asarray(tasks.is_success(scenery.task, layout, now))

  return succeeds


def reference(demonstration: Demonstration) -> Reference:
  """The states along which episodes begin."""
  states = (demonstration.qpos, demonstration.qvel, demonstration.ctrl[:, -1])
  return Reference(*(jnp.asarray(part) for part in states))


def episode_steps(config: ConfigDict, scenery: Scenery) -> int:
  """As long as the demonstration, and a little to hold its end."""
  return len(scenery.frames) - 1 + round(config.hold_seconds * FRAMES_PER_SECOND)


def film_states(
  config: ConfigDict, model: Any, views: tuple[str, ...], qpos: np.ndarray, size: int = 0
) -> UInt8[np.ndarray, "time view rows columns 3"]:
  """Pictures of states; `size` is their side in pixels, as the agent sees them if 0."""
  camera = _camera(config, model, views, size or config.views.size)
  frames = np.asarray(jax.vmap(camera.render)(jnp.asarray(qpos)))
  camera.close()
  return frames


def _pixel_unit(scenery: Scenery) -> float:
  """The unit of distances in raw pixels; nothing of it is traced."""
  return _unit(scenery, pixels)


def _unit(scenery: Scenery, features_of: Callable[[np.ndarray], Any]) -> float:
  """What the agent's views and the demonstration's are apart at the same instants."""
  *own, theirs = (np.asarray(features_of(frames)) for frames in np.moveaxis(scenery.pairs, 1, 0))
  return cross_view_unit(np.concatenate(own), np.concatenate([theirs] * len(own)))


def _demonstrate(config: ConfigDict, seed: int) -> Demonstration:
  condition = config.demonstration.condition
  if config.task == PUSH_TOGETHER.name:
    return demonstrate_push(seed, condition=condition)
  return demonstrate(config.task, seed, condition=condition)


def _camera(config: ConfigDict, model: Any, views: tuple[str, ...], size: int) -> Camera:
  return make_camera(config.camera, model, views, size, size)
