"""Reads the policy of a finished PPO run, and says what its numbers mean.

The experiments are those of robots: `h1/velocity`, `panda/reach` and `panda/lift_cube`. A policy
reads the modality `state`, one or more measurements whose parts its environment declares, and its
graph holds the running normaliser of that. What is read and what an action means comes from the
environment itself; `tasks.py` has what a robot's controller must know besides.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxskills.deploy import tasks
from jaxskills.deploy.contract import DETERMINISTIC
from jaxskills.deploy.deployable import Counts, Deployable, Quantity, Reference, Term
from jaxskills.deploy.network import describe_actor
from jaxskills.envs import terms
from jaxskills.errors import UserError
from jaxskills.experiments import on_policy, ppo_run
from jaxskills.experiments.h1 import velocity
from jaxskills.experiments.panda import lift_cube, reach
from jaxskills.learners.ppo import PpoParams, make_networks
from jaxskills.networks import normalizer
from jaxskills.training import loop
from jaxskills.training.workdir import read_config

RUNS = {run.name: run for run in (velocity.RUN, reach.RUN, lift_cube.RUN)}
METHOD = "ppo"
COUNTS = Counts(world=5120, stress=5120, golden=10240)
_WORLDS = 32  # robots that play side by side to be recorded
_REACH = 12.0  # deviations within which observations are given as possible
_UNNORMALIZED = 10.0  # the same without a normaliser, in units of the scaled observation
_MEASURED_BY_MEAN = ("success_rate", "success_at_end", "fall_rate", "velocity_error", "return")


class _Trained(NamedTuple):
  """A trained policy with the world that it was trained in."""

  env: Any
  config: Any
  params: PpoParams


def read_run(workdir: Path, method: str | None, seed_index: int) -> Deployable:
  """Loads the policy.

  Args:
    workdir: of a finished run.
    method: "ppo", or None.
    seed_index: 0; such runs train one.

  Raises:
    UserError: if the run is of a version with other keys, has no such method or seed, its result is
      missing or damaged, or its policy reads what no robot measures.
  """
  described = read_config(workdir)
  run = RUNS[described["experiment"]]
  if method not in (None, METHOD):
    raise UserError(f"{workdir} has no method {method!r}; it has: {METHOD}.")
  if seed_index != 0:
    raise UserError(f"{workdir} has no seed {seed_index}; it has 1, from 0 on.")
  config = ppo_run.restored_config(run, workdir)
  config.engine = "native"  # exporting simulates a little, wherever the policy was trained
  env = run.make_env(config, _WORLDS)
  _check_inputs(workdir, config, env)
  results, reports = loop.load_results(workdir, ppo_run.make_stages(run, config))
  provenance = {
    "experiment": described["experiment"],
    "preset": described["preset"],
    "method": METHOD,
    "run": workdir.expanduser().resolve().name,
    "seed": described["seed"],
    "seed_index": 0,
    "config": described["config"],
    "parameters_sha256": reports[on_policy.STAGE].parameters_sha256,
    "stage_parameters_sha256": {
      stage: report.parameters_sha256 for stage, report in reports.items()
    },
  }
  return describe(_Trained(env, config, results[on_policy.STAGE]), provenance)


def describe(trained: _Trained, provenance: Mapping[str, Any]) -> Deployable:
  """Puts a policy together with the meaning of what it takes and gives."""
  env, config, params = trained
  moments = params.observation.get(on_policy.MEASURED)
  actor, _ = make_networks(on_policy.ppo_config(config), env.spec())
  plan = on_policy.make_policy(config, env)

  def decide(observation: Mapping[str, Any], dtype: Any) -> dict[str, Any]:
    weights, known = _as(params.actor, dtype), _as(params.observation, dtype)
    gaussian: Any = actor.apply(weights, normalizer.normalize(known, observation))
    return {"action": gaussian.mean}

  action, task = tasks.describe(env, config, str(provenance["experiment"]))
  return Deployable(
    provenance=provenance,
    observation=(observation_term(env, moments),),
    action=action,
    step_seconds=float(env.step_seconds),
    horizon=1,
    limit=float(env.action_limit),
    policy=describe_actor(actor, params.actor, params.observation),
    variables={},
    decoder=None,
    reference=Reference(decide, None, jax.vmap(lambda seen: plan(params, seen, None))),
    samples=lambda count, generator: record(trained, count, generator),
    decided={name: DETERMINISTIC for name in _MEASURED_BY_MEAN},
    counts=COUNTS,
    task=task,
  )


def observation_term(env: Any, moments: normalizer.Moments | None) -> Term:
  """The modality `state`, with the parts that its environment declares.

  Args:
    env: one world with `measurable` terms.
    moments: of the running normaliser, if there is one. What it says is taken for the range: 12
      deviations to either side of the mean, of which the network tells the first 10 apart.
  """
  declared = env.measurable
  size = terms.size(declared)
  shape = env.spec().observation[on_policy.MEASURED].shape
  mean, reach_ = np.zeros(shape), np.full(shape, _UNNORMALIZED)
  if moments is not None:
    mean = np.asarray(moments.mean, np.float64)
    reach_ = _REACH * np.asarray(normalizer.deviation(moments), np.float64)
  return Term(
    name=on_policy.MEASURED,
    shape=shape,
    dtype="float32",
    unit="of each term, times its scale",
    frame="of each term",
    low=tuple((mean - reach_).tolist()),
    high=tuple((mean + reach_).tolist()),
    quantities=tuple(_quantity(term) for term in declared),
    history=shape[0] // size,
  )


def record(trained: _Trained, count: int, generator: np.random.Generator) -> dict[str, np.ndarray]:
  """What the policy sees while it acts in its training world, disturbed as in training.

  Half of the robots take its mean, the other half its samples. One whose episode ends, or whose
  world is not finite any more, begins again where it began.

  Args:
    trained: with an environment whose engine has room for 32 worlds.
    count: observations, a multiple of 32.
    generator: of the random numbers.

  Returns:
    `state` `[count, size]`, the robots' tracks one after the other.
  """
  env, config, params = trained
  plan = on_policy.make_policy(config, env)
  begin_key, noise_key = jax.random.split(jax.random.key(int(generator.integers(2**31))))
  draws = jnp.arange(_WORLDS) >= _WORLDS // 2

  def act(seen: Any, draw: Any, key: Any) -> Any:
    return jnp.where(draw, plan(params, seen, key)[0], plan(params, seen, None)[0])

  def play() -> Any:
    start = jax.vmap(env.reset)(jax.random.split(begin_key, _WORLDS))

    def step(state: Any, number: Any) -> tuple[Any, Any]:
      keys = jax.random.split(jax.random.fold_in(noise_key, number), _WORLDS)
      after = jax.vmap(env.step)(state, jax.vmap(act)(state.obs, draws, keys))
      seen = after.obs[on_policy.MEASURED]
      ended = (after.done > 0.0) | ~jnp.all(jnp.isfinite(seen), axis=1)
      after = jax.tree.map(
        lambda new, old: jnp.where(ended.reshape(-1, *(1,) * (new.ndim - 1)), old, new),
        after,
        start,
      )
      return after, state.obs[on_policy.MEASURED]

    return jax.lax.scan(step, start, jnp.arange(count // _WORLDS))[1]

  seen = jax.jit(play, compiler_options=env.engine.compiler_options)()
  tracks = np.asarray(seen).swapaxes(0, 1)
  return {on_policy.MEASURED: tracks.reshape(count, -1)}


def _check_inputs(workdir: Path, config: Any, env: Any) -> None:
  """Refuses an actor that sees what only a simulator knows, naming the first such term."""
  inputs = tuple(config.ppo.actor_inputs)
  if inputs == (on_policy.MEASURED,):
    return
  named = "what its environment does not declare"
  if "privileged" in inputs:
    hidden = next(term for term in env.privileged if not term.measurable)
    named = f"{hidden.name} ({hidden.unit}), which no robot can measure"
  raise UserError(
    f"the policy of {workdir} reads {named}: its config.ppo.actor_inputs are {', '.join(inputs)}; "
    f"train one whose actor sees {on_policy.MEASURED!r} alone."
  )


def _quantity(term: terms.Term) -> Quantity:
  scale = np.broadcast_to(np.asarray(term.scale, np.float64), (term.size,))
  return Quantity(
    term.name, term.unit, term.frame, tuple(scale.tolist()), float(term.noise), term.measurable
  )


def _as(params: Any, dtype: Any) -> Any:
  return jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), params)
