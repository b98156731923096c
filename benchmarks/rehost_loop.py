"""SPiRL's training loop as its release runs it, on the PyTorch re-host: one world, one skill.

The policy is asked for one observation at a time, the skill is decoded, ten environment steps run
in NumPy, one transition goes into a NumPy replay, and one update follows (SPiRL, algorithm 1 and
released code). The maze is ours written in NumPy for one world, pictures included; it costs far
less than MuJoCo with a rendered camera, which is what the release steps.
"""

import math
from collections.abc import Mapping

import numpy as np
import torch  # pyright: ignore[reportMissingImports]

from jaxskills.benchmarks.rehost_networks import Policy, SkillModel
from jaxskills.benchmarks.rehost_updates import Sac
from jaxskills.envs.maze import dynamics, tasks, view


class NumpyMaze:
  """The maze for one world, with a time limit."""

  def __init__(self, task: tasks.MazeTask, episode_steps: int, goal_radius: float):
    margin = math.ceil(view.VIEW_SPAN) + 1  # cells that a view can touch along an axis
    self.walls = np.asarray(task.walls, bool)
    row, column = np.indices(self.walls.shape)
    tiles = np.pad(view.FLOOR_SHADE * ((row + column) % 2), margin)
    solid = np.pad(self.walls, margin, constant_values=True)
    self.brightness = np.where(solid, 1.0, tiles).astype(np.float32)
    self.edges = np.arange(view.VIEW_PIXELS + 1) * (view.VIEW_SPAN / view.VIEW_PIXELS)
    self.cells = np.arange(margin)
    self.start, self.goal = np.array(task.start) + 0.5, np.array(task.goal) + 0.5
    self.episode_steps, self.goal_radius = episode_steps, goal_radius
    self.reset()

  def reset(self) -> None:
    """Begins an episode."""
    self.position = [float(value) for value in self.start]
    self.velocity = [0.0, 0.0]
    self.previous = list(self.position)
    self.steps = 0

  def step(self, action: np.ndarray) -> float:
    """One control step; returns its reward. Plain numbers are faster here than small arrays."""
    self.previous = list(self.position)
    limit, drag = dynamics.MAX_SPEED, dynamics.MASS + dynamics.STEP_SECONDS * dynamics.DAMPING
    for axis in (0, 1):
      velocity = min(max(self.velocity[axis], -limit), limit)
      force = dynamics.GEAR * min(max(float(action[axis]), -1.0), 1.0)
      velocity = (dynamics.MASS * velocity + dynamics.STEP_SECONDS * force) / drag
      self.velocity[axis] = velocity
      self.position[axis] += dynamics.STEP_SECONDS * velocity
    self._resolve_contact()
    self.steps += 1
    distance = math.hypot(self.position[0] - self.goal[0], self.position[1] - self.goal[1])
    return float(distance <= self.goal_radius)

  def _resolve_contact(self) -> None:
    """`dynamics.resolve_contact`."""
    walls, position, velocity = self.walls, self.position, self.velocity
    cell = [math.floor(value) for value in position]
    inside = [value - index for value, index in zip(position, cell, strict=True)]
    side = [1 if part > 0.5 else -1 for part in inside]
    faces = [walls[cell[0] + side[0], cell[1]], walls[cell[0], cell[1] + side[1]]]
    for axis in (0, 1):
      gap = 1.0 - inside[axis] if side[axis] > 0 else inside[axis]
      depth = dynamics.RADIUS - gap
      if faces[axis] and depth > 0.0:
        position[axis] -= side[axis] * depth
        if velocity[axis] * side[axis] > 0.0:
          velocity[axis] = 0.0
    if any(faces) or not walls[cell[0] + side[0], cell[1] + side[1]]:
      return
    corner = [index + (towards > 0) for index, towards in zip(cell, side, strict=True)]
    away = [position[axis] - corner[axis] for axis in (0, 1)]
    distance = max(math.hypot(*away), 1e-6)
    if distance >= dynamics.RADIUS:
      return
    normal = [part / distance for part in away]
    inward = min(velocity[0] * normal[0] + velocity[1] * normal[1], 0.0)
    for axis in (0, 1):
      position[axis] = corner[axis] + dynamics.RADIUS * normal[axis]
      velocity[axis] -= inward * normal[axis]

  def observe(self) -> tuple[np.ndarray, np.ndarray]:
    """Two frames, uint8 `[32, 32, 2]`, and the state, float32 `[4]`."""
    frames = [self._frame(np.array(spot)) for spot in (self.position, self.previous)]
    state = np.array([*self.position, *self.velocity], np.float32)
    return np.stack(frames, axis=-1), state

  def _frame(self, position: np.ndarray) -> np.ndarray:
    """`view.egocentric_view`."""
    corner = position - view.VIEW_SPAN / 2
    first = np.floor(corner).astype(int)
    row, column = first + len(self.cells)
    crop = self.brightness[row : row + len(self.cells), column : column + len(self.cells)]
    rows, columns = (self._coverage(offset) for offset in corner - first)
    return np.round(255.0 * rows @ crop @ columns.T).astype(np.uint8)

  def _coverage(self, offset: float) -> np.ndarray:
    reached = np.clip(offset + self.edges[:, None] - self.cells, 0.0, 1.0)
    return np.diff(reached, axis=0) * (view.VIEW_PIXELS / view.VIEW_SPAN)


class Replay:
  """A ring of transitions in NumPy."""

  def __init__(self, capacity: int, skill_size: int):
    def rows(shape: tuple[int, ...], dtype: type = np.float32) -> np.ndarray:
      return np.zeros((capacity, *shape), dtype)

    picture, gaussian = (view.VIEW_PIXELS, view.VIEW_PIXELS, 2), (2, skill_size)
    self.fields = {
      "seen": rows(picture, np.uint8),
      "next_seen": rows(picture, np.uint8),
      "state": rows((4,)),
      "next_state": rows((4,)),
      "skill": rows((skill_size,)),
      "reward": rows(()),
      "ended": rows(()),
      "prior": rows(gaussian),
      "next_prior": rows(gaussian),
    }
    self.capacity, self.added = capacity, 0

  def add(self, **transition: np.ndarray | float) -> None:
    """Overwrites the oldest transition."""
    for name, value in transition.items():
      self.fields[name][self.added % self.capacity] = value
    self.added += 1

  def sample(self, rng: np.random.Generator, batch: int) -> dict:
    """A batch of tensors, as `Sac.update` takes it."""
    rows = rng.integers(min(self.added, self.capacity), size=batch)
    tensors = {name: torch.from_numpy(field[rows]) for name, field in self.fields.items()}
    gaussians = {name: tensors[name].unbind(1) for name in ("prior", "next_prior")}
    return {**tensors, **gaussians}


class RehostLoop:
  """Everything together; `play_skill` is one turn of the loop."""

  def __init__(
    self, world: NumpyMaze, sac: Sac, skills: SkillModel, prior: Policy, capacity: int, batch: int
  ):
    self.world, self.sac, self.skills, self.prior = world, sac, skills, prior
    self.replay = Replay(capacity, sac.policy.head.out_features // 2)
    self.rng, self.batch = np.random.default_rng(0), batch
    self.seen = self._look()

  def _look(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """View, state, and what the frozen prior says of the view `[2, skill]`."""
    picture, state = self.world.observe()
    with torch.no_grad():
      said = self.prior(torch.from_numpy(picture)[None])
    return picture, state, torch.cat(said).numpy()

  def play_skill(self, learn: bool = True) -> Mapping[str, float]:
    """A skill in the world and, if told to, an update; returns the losses."""
    picture, state, said = self.seen
    with torch.no_grad():
      output = self.sac.policy(torch.from_numpy(picture)[None])
      skill = self.sac.squashed(output, torch.randn_like(output[0]))
      actions = self.skills.decode(skill)[0].numpy()
    reward = sum(self.world.step(action) for action in actions)
    next_picture, next_state, next_said = self.seen = self._look()
    self.replay.add(
      seen=picture, next_seen=next_picture, state=state, next_state=next_state,
      skill=skill[0].numpy(), reward=reward, ended=0.0, prior=said, next_prior=next_said,
    )  # fmt: skip
    if self.world.steps >= self.world.episode_steps:
      self.world.reset()
      self.seen = self._look()
    if not learn:
      return {}
    losses = self.sac.update(self.replay.sample(self.rng, self.batch))
    return {name: float(loss) for name, loss in losses.items()}
