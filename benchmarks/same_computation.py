"""Ours and the PyTorch re-host side by side on the same parameters, batch and noise.

`bench spirl` builds its pairs here and checks them before it times anything: as many parameters,
and losses that agree within 1e-4 before and after a few updates, so that gradients and optimisers
are compared as well.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from ml_collections import ConfigDict

from jaxskills.benchmarks import rehost_networks, rehost_updates
from jaxskills.data.maze import SkillBatch
from jaxskills.envs.maze import dynamics, maze
from jaxskills.experiments.spirl import methods, stages
from jaxskills.learners.bc import make_bc
from jaxskills.learners.skill_prior import make_skill_prior
from jaxskills.types import Key, Learner, Metrics, Params, Transition

TOLERANCE = 1e-4
CHECKED_UPDATES = 3


class Pair(NamedTuple):
  """One computation twice.

  Attributes:
    learner: ours.
    state: of ours, from which the peer was copied.
    batch: of ours.
    peer: the re-host's trainer, which the benchmark goes on to train.
    peer_update: `noise or nothing -> losses`: one update on the same batch.
    noise: `key of our update -> what our update draws from it`, as tensors.
    losses: names of the losses that both sides report.
    parameters: trained ones, equal on both sides.
  """

  learner: Learner
  state: Any
  batch: Any
  peer: Any
  peer_update: Callable[..., Mapping[str, Any]]
  noise: Callable[[Key], Any]
  losses: tuple[str, ...]
  parameters: int

  def step(self, carry: tuple[Any, Key], batch: Any) -> tuple[tuple[Any, Key], Metrics]:
    """One update of ours, for `jax.lax.scan`."""
    state, key = carry
    key, update_key = jax.random.split(key)
    state, metrics = self.learner.update(state, batch, update_key)
    return (state, key), {name: metrics[name] for name in self.losses}

  def check(self) -> None:
    """Updates both a few times with the same noise and compares every loss.

    Raises:
      AssertionError: at the first loss that differs by more than 1e-4, relative above 1.
    """
    state, update = self.state, jax.jit(self.learner.update)
    for number in range(CHECKED_UPDATES):
      key = jax.random.key(number)
      state, ours = update(state, self.batch, key)
      theirs = self.peer_update(self.noise(key))
      for name in self.losses:
        mine, other = float(ours[name]), float(theirs[name])
        if not abs(mine - other) <= TOLERANCE * max(1.0, abs(mine)):
          raise AssertionError(
            f"update {number}: {name} is {mine} here and {other} in the re-host; they do not "
            "compute the same, so their speeds cannot be compared"
          )


def pretrained(config: ConfigDict) -> dict[str, Params]:
  """Fresh parameters in the place of pretrained ones: speed does not depend on their values."""
  spec = methods.make_world(config).spec()
  skill = make_skill_prior(methods.skill_prior_config(config), spec)
  action = make_bc(methods.action_prior_config(config), spec)
  return {
    stages.SKILL_PRIOR: jax.jit(skill.init)(jax.random.key(0)).params,
    stages.ACTION_PRIOR: jax.jit(action.init)(jax.random.key(1)).params,
  }


def skill_pair(config: ConfigDict) -> Pair:
  """Training the skill model."""
  model, world = methods.skill_prior_config(config), methods.make_world(config)
  learner = make_skill_prior(model, world.spec())
  state = jax.jit(learner.init)(jax.random.key(0))
  rng = np.random.default_rng(0)
  size = config.skill_prior.batch_size
  shape = (size, model.horizon, world.action_size)
  actions = rng.uniform(-1.0, 1.0, shape).astype(np.float32)
  batch = SkillBatch(_look(world, rng, size), jnp.asarray(actions))
  view, played = _tensor(batch.observation["view"]), _tensor(batch.actions)
  peer = rehost_updates.SkillTrainer(model, world.action_size, state.params)

  def noise(key: Key) -> Any:
    return _tensor(jax.random.normal(key, (size, model.skill_size)))

  return Pair(
    learner=learner,
    state=state,
    batch=batch,
    peer=peer,
    peer_update=lambda noise=None: peer.update(view, played, noise),
    noise=noise,
    losses=("loss", "reconstruction", "regularization", "prior"),
    parameters=equal_count(state.params, rehost_networks.count(peer.model)),
  )


def sac_pair(config: ConfigDict) -> Pair:
  """SAC over skills: the method "spirl" of the maze experiment."""
  method, world = methods.METHODS["spirl"], methods.make_world(config)
  agent = methods.make_agent(config, method, stages.models(pretrained(config)))
  state = jax.jit(agent.learner.init)(jax.random.key(2))
  size, skill_size = config.rl.batch_size, config.skill_prior.skill_size
  batch = _transitions(config, agent, world)
  frozen = not config.networks.train_encoder
  model = methods.skill_prior_config(config)
  policy = rehost_networks.Policy(skill_size, model.hidden, model.image, frozen).load(state.policy)
  peer = rehost_updates.Sac(
    methods.sac_config(config, method),
    policy,
    state.critic,
    float(state.log_alpha[0]),
    skill_limit=config.rl.skill_limit,
    hidden=config.networks.critic_hidden,
    scaling=methods.state_scaling(world)["state"],
  )
  seen = "features" if frozen else "view"
  rows = {
    "seen": _tensor(batch.observation[seen]),
    "next_seen": _tensor(batch.next_observation[seen]),
    "state": _tensor(batch.observation["state"]),
    "next_state": _tensor(batch.next_observation["state"]),
    "skill": _tensor(batch.action),
    "reward": _tensor(batch.reward),
    "ended": _tensor(batch.terminated),
    "prior": tuple(map(_tensor, batch.prior)),
    "next_prior": tuple(map(_tensor, batch.next_prior)),
  }

  def noise(key: Key) -> Any:
    keys = jax.random.split(key)
    return tuple(_tensor(jax.random.normal(part, (size, skill_size))) for part in keys)

  return Pair(
    learner=agent.learner,
    state=state,
    batch=batch,
    peer=peer,
    peer_update=lambda noise=None: peer.update(rows, noise),
    noise=noise,
    losses=("alpha_loss", "policy_loss", "critic_loss"),
    parameters=equal_count(
      (state.policy, state.critic), rehost_networks.count(peer.policy, peer.critics)
    ),
  )


def stacked(batch: Any, number: int) -> Any:
  """`number` batches along a new leading axis, each with its rows in another order."""
  size = jax.tree.leaves(batch)[0].shape[0]
  rng = np.random.default_rng(1)
  orders = np.stack([rng.permutation(size) for _ in range(number)])
  return jax.tree.map(lambda leaf: jnp.asarray(leaf)[orders], batch)


def _transitions(config: ConfigDict, agent: methods.Agent, world: maze.Maze) -> Transition:
  """A batch as the replay would give it, of random places in the maze."""
  rng = np.random.default_rng(0)
  size, limit = config.rl.batch_size, config.rl.skill_limit
  shown = jax.vmap(agent.env.env.observe)
  now, then = (shown(_balls(world, rng, size)) for _ in range(2))
  assert agent.prior is not None  # the method has one
  shape = (size, config.skill_prior.skill_size)
  nothing, one = jnp.zeros(size), jnp.ones(size)
  return Transition(
    observation=now,
    action=jnp.asarray(rng.uniform(-limit, limit, shape), jnp.float32),
    reward=jnp.asarray(rng.integers(0, 11, size), jnp.float32),
    terminated=nothing,
    truncated=nothing,
    next_observation=then,
    discount=one,
    weight=one,
    prior=agent.prior(now),
    next_prior=agent.prior(then),
  )


def _look(world: maze.Maze, rng: np.random.Generator, number: int) -> Any:
  return jax.vmap(world.observe)(_balls(world, rng, number))


def _balls(world: maze.Maze, rng: np.random.Generator, number: int) -> maze.MazeData:
  """Balls in random free places with random velocities."""
  free = np.argwhere(~np.asarray(world.task.walls))
  spread = 0.5 - dynamics.RADIUS
  position = free[rng.integers(len(free), size=number)] + 0.5
  position = position + rng.uniform(-spread, spread, (number, 2))
  velocity = rng.uniform(-dynamics.MAX_SPEED, dynamics.MAX_SPEED, (number, 2))
  before = position - dynamics.STEP_SECONDS * velocity
  return maze.MazeData(*(jnp.asarray(part, jnp.float32) for part in (position, velocity, before)))


def _tensor(array: Any) -> torch.Tensor:
  return torch.from_numpy(np.array(array))


def equal_count(params: Params, theirs: int) -> int:
  """The number of parameters, once it is sure that both sides have as many."""
  ours = sum(leaf.size for leaf in jax.tree.leaves(params))
  if ours != theirs:
    raise AssertionError(f"{ours} parameters here, {theirs} in the re-host")
  return ours
