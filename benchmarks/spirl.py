"""SPiRL's pretraining, updates and training loop, against an eager PyTorch re-host of the same.

  jaxskills bench spirl      about four minutes

Rows: skill-model samples per second; SAC updates per second; environment steps per second of the
whole loop with one update per ten environment steps, as in the paper, where the peer has one world
and ours as many as the maze experiment. Ours is the experiment's own code. A row that is compared
trains the policy's convolutions, as the peer does (`networks.train_encoder=True`): the same
computation, which is checked before anything is timed. Rows named `_frozen` are the experiment's
default, which keeps the pretrained convolutions. Ours uses all cores; the peer uses all or one,
whichever is faster here and now (`peer_threads`), for on a busy machine its threads wait for each
other many times longer than they work. Then the time from the start of a process to its first
update, with an empty and with a filled compilation cache. Floors: 1.5, 1.5 and 8.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
from ml_collections import ConfigDict

from jaxskills.benchmarks import measuring, same_computation
from jaxskills.benchmarks.contenders import (
  floats,
  peer_contender,
  rehost_facts,
  stage_contender,
  update_contender,
)
from jaxskills.benchmarks.measuring import Contender
from jaxskills.benchmarks.rehost_loop import NumpyMaze, RehostLoop
from jaxskills.benchmarks.rehost_networks import SkillModel
from jaxskills.data_builders import registry
from jaxskills.experiments.spirl import maze, methods, stages

REPLAY = 20_000  # transitions on either side: memory of a laptop, views twice in each
BATCH_SIZE, ENV_STEPS_PER_UPDATE = 256, 10  # the paper's, appendix B.2: an update for every skill
TRAJECTORIES = 600  # demonstrations for the row that cuts its own windows


class Sizes(NamedTuple):
  """How much is measured.

  Attributes:
    updates: of ours in one call; the peer does one.
    worlds: of our whole loop; None takes the experiment's.
    warmup: decisions before the first update, on both sides.
    rounds: turns of each side.
    seconds: of a turn, at least.
  """

  updates: int = 16
  worlds: int | None = None
  warmup: int = 640
  rounds: int = measuring.ROUNDS
  seconds: float = 2.0


SIZES = Sizes()  # of the benchmark; tests take less


def measure(sizes: Sizes = SIZES) -> dict[str, Any]:
  """Measures all rows; see `measuring` for how."""
  facts = rehost_facts()
  rows = [*skill_rows(sizes), *sac_rows(sizes), *loop_rows(sizes), *first_update_rows()]
  facts["load_average_at_end"] = [round(load, 2) for load in os.getloadavg()]
  return {"machine": facts, "rows": rows}


def get_config(sizes: Sizes, *, train_encoder: bool) -> ConfigDict:
  """The quick maze at the paper's update ratio, a smaller replay, one round of worlds a chunk."""
  config = maze.get_config("quick")
  config.networks.train_encoder = train_encoder
  config.skill_prior.final_learning_rate = config.skill_prior.learning_rate  # as the peer's
  config.rl.batch_size, config.rl.env_steps_per_update = BATCH_SIZE, ENV_STEPS_PER_UPDATE
  config.rl.worlds = sizes.worlds or config.rl.worlds
  config.rl.env_steps_per_chunk = config.rl.worlds * config.skill_prior.horizon
  config.rl.replay_capacity = REPLAY
  config.rl.warmup_env_steps = sizes.warmup * config.skill_prior.horizon
  return config


def skill_rows(sizes: Sizes) -> list[dict[str, Any]]:
  """Samples per second of training the skill model."""
  config = get_config(sizes, train_encoder=True)
  pair = same_computation.skill_pair(config)
  pair.check()
  batch_size, peer_name = config.skill_prior.batch_size, "PyTorch re-host"
  batches = same_computation.stacked(pair.batch, sizes.updates)

  def run(carry: tuple, batches: Any) -> tuple[tuple, Any]:
    return jax.lax.scan(lambda carry, batch: pair.step(carry, batch), carry, batches)

  ours, seconds = update_contender(
    "jaxskills", run, (pair.state, jax.random.key(0)), batches, sizes.updates * batch_size
  )
  peer, threads = peer_contender(peer_name, lambda: floats(pair.peer_update()), batch_size)
  with tempfile.TemporaryDirectory() as folder:
    name = f"maze_demos:{config.data.preset}"
    registry.build(name, folder, trajectories=TRAJECTORIES)
    whole, whole_seconds = stage_contender(
      "jaxskills whole stage", stages.skill_prior_stage(config, Path(folder)), batch_size
    )
    rates = measuring.race((ours, whole, peer), sizes.rounds, sizes.seconds)
  facts = {"batch_size": batch_size, "parameters": pair.parameters, "peer_threads": threads}
  return [
    measuring.row(
      "skill_vae", "samples/s", rates, ours.name, peer_name, 1.5,
      does="loss, gradient and RAdam on batches made beforehand, on both sides",
      compile_seconds=seconds, **facts,
    ),
    measuring.row(
      "skill_vae_whole_stage", "samples/s", rates, whole.name, peer_name,
      does="ours also reads trajectories, cuts windows and draws views; the peer does not",
      compile_seconds=whole_seconds, **facts,
    ),
  ]  # fmt: skip


def sac_rows(sizes: Sizes) -> list[dict[str, Any]]:
  """Updates per second of SAC, of batches made beforehand."""
  contenders, facts = [], []
  for frozen in (False, True):
    config = get_config(sizes, train_encoder=not frozen)
    pair = same_computation.sac_pair(config)
    pair.check()
    suffix = " frozen" if frozen else ""
    batches = same_computation.stacked(pair.batch, sizes.updates)

    def run(carry: tuple, batches: Any, pair=pair) -> tuple[tuple, Any]:
      return jax.lax.scan(lambda carry, batch: pair.step(carry, batch), carry, batches)

    ours, seconds = update_contender(
      f"jaxskills{suffix}", run, (pair.state, jax.random.key(0)), batches, sizes.updates
    )
    peer, threads = peer_contender(
      f"PyTorch re-host{suffix}", lambda pair=pair: floats(pair.peer_update()), 1
    )
    contenders.append((ours, peer))
    facts.append(
      {
        "batch_size": config.rl.batch_size,
        "parameters": pair.parameters,
        "compile_seconds": seconds,
        "peer_threads": threads,
      }
    )
  flat = [contender for pair in contenders for contender in pair]
  rates = measuring.race(flat, sizes.rounds, sizes.seconds)
  (ours, peer), (frozen_ours, frozen_peer) = contenders
  return [
    measuring.row(
      "sac_updates", "updates/s", rates, ours.name, peer.name, 1.5,
      does="policy with convolutions over views, twin critic, alpha, targets", **facts[0],
    ),
    measuring.row(
      "sac_updates_frozen", "updates/s", rates, frozen_ours.name, frozen_peer.name,
      does="as sac_updates with the policy on features of frozen convolutions, on both sides",
      **facts[1],
    ),
  ]  # fmt: skip


def loop_rows(sizes: Sizes) -> list[dict[str, Any]]:
  """Environment steps per second of collecting, replaying and updating together."""
  ours, seconds, worlds = {}, {}, 0
  for name, train_encoder in (("jaxskills", True), ("jaxskills frozen", False)):
    config = get_config(sizes, train_encoder=train_encoder)
    results = same_computation.pretrained(config)
    stage = stages.rl_stage(config, "spirl", results)
    ours[name], seconds[name] = stage_contender(name, stage, 1)
    worlds = config.rl.worlds
  peer, threads = loop_peer(sizes)
  rates = measuring.race((*ours.values(), peer), sizes.rounds, sizes.seconds)
  config = get_config(sizes, train_encoder=True)
  facts = {
    "worlds": worlds,
    "peer_worlds": 1,
    "peer_threads": threads,
    "env_steps_per_update": config.rl.env_steps_per_update,
    "batch_size": config.rl.batch_size,
  }
  return [
    measuring.row(
      "training_loop", "environment steps/s", rates, "jaxskills", peer.name, 8.0,
      does="the experiment's loop with trained convolutions: the updates of the peer",
      compile_seconds=seconds["jaxskills"], **facts,
    ),
    measuring.row(
      "training_loop_frozen", "environment steps/s", rates, "jaxskills frozen", peer.name,
      does="the experiment's default: as many updates, with frozen convolutions; less than the "
      "peer computes",
      compile_seconds=seconds["jaxskills frozen"], **facts,
    ),
  ]  # fmt: skip


def loop_peer(sizes: Sizes) -> tuple[Contender, int]:
  """The re-host's loop, warmed up, and its threads."""
  config = get_config(sizes, train_encoder=True)
  pair = same_computation.sac_pair(config)
  world = methods.make_world(config)
  model = methods.skill_prior_config(config)
  skill_params = same_computation.pretrained(config)[stages.SKILL_PRIOR]
  skills = SkillModel(model, world.action_size).load(skill_params)
  loop = RehostLoop(
    NumpyMaze(world.task, methods.episode_steps(config), world.goal_radius),
    pair.peer,
    skills,
    skills.prior,
    config.rl.replay_capacity,
    config.rl.batch_size,
  )
  for _ in range(sizes.warmup):
    loop.play_skill(learn=False)
  return peer_contender("PyTorch re-host, one world", loop.play_skill, model.horizon)


def first_update_rows(module: str = "jaxskills.benchmarks.first_update") -> list[dict[str, Any]]:
  """Seconds from the start of a process to its first updates; twice, around one cache."""
  rows = []
  with tempfile.TemporaryDirectory() as cache:
    environment = {**os.environ, "XDG_CACHE_HOME": cache}
    for kind in ("cold", "warm"):
      began = time.time()
      done = subprocess.run(
        [sys.executable, "-m", module],
        env=environment, stdout=subprocess.PIPE, text=True, check=True,
      )  # fmt: skip
      for stage, record in json.loads(done.stdout.splitlines()[-1]).items():
        seconds = record["finished_at"] - began - record["waited"]
        measuring.check_finite(stage, {"seconds": seconds})
        rows.append(
          {
            "name": f"first_update_{kind}/{stage}",
            "value": seconds,
            "unit": "s",
            "compile_seconds": record["compile_seconds"],
            "does": f"process start, imports, compilation with a {kind} cache, "
            f"{record['updates']} update(s)",
          }
        )
  return rows
