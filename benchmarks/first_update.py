"""A process that trains until its first updates and says when that was.

`bench spirl` starts it twice, with an empty and with a filled compilation cache. It prints one line
of JSON: for each stage, when its first updates were done (seconds since the epoch), what part of
the time before was none of its business, what compiling took, and how many updates there were.
"""

import json
import tempfile
import time
from pathlib import Path
from typing import Any

import jax

from jaxskills.data_builders import registry
from jaxskills.experiments.spirl import maze, stages
from jaxskills.training.run_state import Stage
from jaxskills.training.runtime import configure_jax

TRAJECTORIES = 64  # the least that serves; making demonstrations is not measured


def main() -> None:
  """Pretrains for one chunk, then collects and learns for one."""
  configure_jax()
  config = maze.get_config("quick")
  config.skill_prior.updates_per_chunk = 1
  config.skill_prior.trajectories_per_chunk = TRAJECTORIES
  config.rl.env_steps_per_chunk = config.rl.worlds * config.skill_prior.horizon
  config.rl.replay_capacity = 20_000
  with tempfile.TemporaryDirectory() as folder:
    began = time.time()
    name = f"maze_demos:{config.data.preset}"
    registry.build(name, folder, trajectories=TRAJECTORIES)
    waited = time.time() - began
    skill = _first_updates(stages.skill_prior_stage(config, Path(folder)))
    action_stage = stages.action_prior_stage(config, Path(folder))
  skill["record"]["waited"] = waited
  after_skill = time.time()
  action = jax.jit(action_stage.init)(jax.random.key(1)).learner.params
  results = {stages.SKILL_PRIOR: skill["params"], stages.ACTION_PRIOR: action}
  waited += time.time() - after_skill
  loop = _first_updates(stages.rl_stage(config, "spirl", results), has_params=False)
  earlier = after_skill - skill["began"]  # the other stage's time
  loop["record"]["waited"] = waited + earlier
  print(json.dumps({"skill_prior": skill["record"], "spirl": loop["record"]}))


def _first_updates(stage: Stage, has_params: bool = True) -> dict[str, Any]:
  """Compiles a stage, begins it and runs its first chunk."""
  began = time.time()
  data = None if stage.feed is None else stage.feed.next()
  compile_seconds = -time.perf_counter()
  init = jax.jit(stage.init).lower(jax.random.key(0)).compile()
  compile_seconds += time.perf_counter()
  state = init(jax.random.key(0))
  compile_seconds -= time.perf_counter()
  chunk = jax.jit(stage.chunk, donate_argnums=0).lower(state, data).compile()
  compile_seconds += time.perf_counter()
  state, _ = jax.block_until_ready(chunk(state, data))
  record = {
    "finished_at": time.time(),
    "compile_seconds": compile_seconds,
    "updates": int(stage.counters(state)["updates"]),
  }
  return {
    "record": record,
    "began": began,
    "params": state.learner.params if has_params else None,
  }


if __name__ == "__main__":
  main()
