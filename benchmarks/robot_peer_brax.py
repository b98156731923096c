"""A process that trains a robot with Brax's PPO, an iteration at a time, when it is told to.

`robot_peers` starts it with the Python of another environment, since Brax 0.14.2 trains on
jax < 0.10 only: its `train` calls `jax.device_put_replicated`, which later versions do not have.
The environment is ours, the same source, driven by Brax's own wrappers. The request is one line of
JSON on standard input; every later line asks for one iteration (a rollout and all gradient steps on
it) and is answered by a line on standard output once that is done. Standard input's end ends it.
Of jaxskills it imports the module that makes the environment and what that imports; an experiment's
brings our learner along, which is not called.
"""

import functools
import importlib
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any, TextIO

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

_WARM_UP = 3  # iterations; Brax compiles in the first and, for committed arrays, in the second
_ENDLESS = 1_000_000  # iterations


class JoinedCritic:
  """An environment that shows what the actor sees and, as one, what the critic sees.

  Brax's value network sees one modality, ours may see several. What else the environment shows is
  left out: Brax would normalise and shuffle it.
  """

  def __init__(self, env: Any, actor: Sequence[str], critic: Sequence[str]):
    self.env, self._actor, self._critic = env, actor, critic

  def reset(self, rng: jax.Array) -> Any:
    """As Brax calls it."""
    return self._joined(self.env.reset(rng))

  def step(self, state: Any, action: jax.Array) -> Any:
    """As Brax calls it."""
    return self._joined(self.env.step(state, action))

  def _joined(self, state: Any) -> Any:
    seen = {name: state.obs[name] for name in self._actor}
    joined = jnp.concatenate([state.obs[name] for name in self._critic])
    return state.replace(obs={**seen, "critic": joined})

  def __getattr__(self, name: str) -> Any:
    return getattr(self.env, name)


def main() -> None:
  """Reads the request and trains until nobody asks for more."""
  answers = os.fdopen(os.dup(1), "w")
  os.dup2(2, 1)  # whatever else is printed is no answer
  request = json.loads(sys.stdin.readline())
  jax.config.update("jax_default_matmul_precision", request["matmul_precision"])
  config = ConfigDict(request["config"])
  module = importlib.import_module(request["module"])
  env = getattr(module, request["function"])(config, request["worlds"], engine=request["engine"])
  env = JoinedCritic(env, config.ppo.actor_inputs, config.ppo.critic_inputs)
  train(env, config, request["worlds"], answers)


def train(env: Any, config: ConfigDict, worlds: int, answers: TextIO) -> None:
  """Trains with the experiment's numbers; what Brax has no word for stays as Brax has it."""
  from brax.training.agents.ppo import networks
  from brax.training.agents.ppo import train as brax
  from flax import linen

  rl, ppo = config.rl, config.ppo
  reporter = _Reporter(answers)
  make_networks = functools.partial(
    networks.make_ppo_networks,
    policy_hidden_layer_sizes=tuple(ppo.hidden),
    value_hidden_layer_sizes=tuple(ppo.hidden),
    activation=linen.elu,
    policy_obs_key=ppo.actor_inputs[0],
    value_obs_key="critic",
    distribution_type="normal",
    noise_std_type="log",
    init_noise_std=ppo.initial_std,
  )
  brax.train(
    env,
    num_timesteps=_ENDLESS * worlds * rl.unroll,
    num_evals=_ENDLESS + 1,
    run_evals=False,
    episode_length=rl.episode_steps,
    num_envs=worlds,
    unroll_length=rl.unroll,
    batch_size=worlds // ppo.minibatches,
    num_minibatches=ppo.minibatches,
    num_updates_per_batch=ppo.epochs,
    normalize_observations=ppo.normalize_observations,
    learning_rate=ppo.learning_rate,
    learning_rate_schedule="ADAPTIVE_KL" if ppo.rate == "adaptive" else "NONE",
    entropy_cost=ppo.entropy,
    discounting=ppo.gamma,
    gae_lambda=ppo.gae_lambda,
    clipping_epsilon=ppo.clip,
    vf_loss_coefficient=ppo.value_coefficient,
    max_grad_norm=ppo.max_grad_norm,
    network_factory=make_networks,
    policy_params_fn=reporter.count,
    progress_fn=reporter.report,
  )


class _Reporter:
  """Answers after every iteration, and waits until the next one is asked for."""

  def __init__(self, answers: TextIO):
    self._answers = answers
    self._iterations = self._parameters = 0
    self._began = time.perf_counter()

  def count(self, step: int, make_policy: Any, params: Any) -> None:
    """Brax hands over its parameters before anything else."""
    del step, make_policy
    _, *networks = params
    self._parameters = sum(int(np.size(leaf)) for leaf in jax.tree.leaves(networks))

  def report(self, step: int, metrics: Mapping[str, Any]) -> None:
    """Called by Brax once an iteration is done."""
    del step
    self._iterations += 1
    figures = {name: float(value) for name, value in metrics.items() if "loss" in name}
    if self._iterations < _WARM_UP:
      return
    if self._iterations == _WARM_UP:
      names = ("jax", "jaxlib", "brax", "mujoco", "mujoco-mjx", "flax", "optax")
      figures = {
        "versions": {name: metadata.version(name) for name in names},
        "parameters": self._parameters,
        "seconds_before": time.perf_counter() - self._began,
      }
    self._answers.write(json.dumps(figures) + "\n")
    self._answers.flush()
    if not sys.stdin.readline():
      os._exit(0)  # the trainer has no other way to be stopped


if __name__ == "__main__":
  main()
