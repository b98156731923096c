"""SPiRL's methods: equal terms for all, and policies that start where they should."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.config import flatten
from jaxskills.experiments.spirl import maze, methods, stages
from jaxskills.learners import skill_prior
from jaxskills.learners.bc import make_bc
from jaxskills.learners.skill_prior import make_skill_prior


def small_config(**changes):
  config = maze.get_config("quick")
  config.rl.reset_pool = 4
  config.skill_prior.width = 8
  config.skill_prior.hidden = (16, 16)
  for key, value in changes.items():
    group, name = key.split("__")
    config[group][name] = value
  return config


@pytest.fixture(scope="module")
def models():
  """Untrained skill and action models."""
  config = small_config()
  spec = methods.make_world(config).spec()
  skill = make_skill_prior(methods.skill_prior_config(config), spec).init(jax.random.key(0))
  action = make_bc(methods.action_prior_config(config), spec).init(jax.random.key(1))
  return {"skill": skill.params, "action": action.params}


@pytest.fixture(scope="module")
def seen():
  """Observations along a straight dash through the maze."""
  world = methods.make_world(small_config())
  state = world.reset(jax.random.key(0))
  rows = []
  for _ in range(6):
    state = world.step(state, jnp.array([1.0, 0.3]))
    rows.append(state.obs)
  return jax.tree.map(lambda *leaves: jnp.stack(leaves), *rows)


def test_presets_have_the_same_keys():
  quick = flatten(maze.get_config("quick")).keys()
  assert all(flatten(maze.get_config(preset)).keys() == quick for preset in maze.PRESETS)
  with pytest.raises(ValueError, match="no preset 'huge'"):
    maze.get_config("huge")


@pytest.mark.parametrize(("preset", "flat"), [("quick", 10), ("full", 10), ("paper", 1)])
def test_methods_get_the_steps_per_update_that_they_are_said_to_get(preset, flat):
  config = maze.get_config(preset)
  for method in methods.METHODS.values():
    steps = config.skill_prior.horizon if method.skills else 1
    sizes = stages.loop_config(config, method, steps)
    per_round = sizes.worlds * steps
    assert per_round / sizes.updates_per_iteration == (10 if method.skills else flat)
    assert sizes.replay_capacity >= min(config.rl.env_steps // steps, 100_000)


def test_a_fraction_of_an_update_is_refused():
  config = small_config(rl__flat_env_steps_per_update=3)
  with pytest.raises(ValueError, match="must be whole"):
    stages.loop_config(config, methods.METHODS["sac"], 1)


def test_a_run_that_ends_with_its_warm_up_is_refused():
  config = small_config(rl__env_steps=8_000)
  with pytest.raises(ValueError, match="nothing to learn after a warm-up of 8000"):
    stages.loop_config(config, methods.METHODS["sac"], 1)


@pytest.mark.parametrize(("horizon", "size", "summed"), [(10, 10, 0.04), (5, 10, 0.02)])
def test_the_regularisation_keeps_its_weight_for_any_horizon(horizon, size, summed):
  config = small_config(skill_prior__horizon=horizon, skill_prior__skill_size=size)
  assert methods.skill_prior_config(config).beta == pytest.approx(summed)
  config.skill_prior.loss_scaling = "released_code"
  assert methods.skill_prior_config(config).beta == 0.01


def test_pretraining_ends_at_the_final_learning_rate():
  config = small_config(skill_prior__updates=200)
  schedule = methods.skill_prior_config(config).learning_rate
  assert callable(schedule)
  np.testing.assert_allclose([schedule(0), schedule(50), schedule(200)], [1e-3, 7.5e-4, 0.0])
  config.skill_prior.final_learning_rate = 1e-3
  assert methods.skill_prior_config(config).learning_rate == 1e-3


def test_a_state_reaches_the_actor_on_a_scale_of_one(models):
  config = small_config(networks__actor_inputs=("state",))
  spec = methods.make_world(config).spec()
  action = make_bc(methods.action_prior_config(config), spec).init(jax.random.key(1)).params
  skill = make_skill_prior(methods.skill_prior_config(config), spec).init(jax.random.key(0)).params
  agent = methods.make_agent(config, methods.METHODS["spirl"], {"skill": skill, "action": action})
  shown = agent.env.reset(jax.random.split(jax.random.key(2), 3)).obs["features"]
  assert shown.shape == (3, 4) and 0.5 < np.abs(shown).max() < 2.0


@pytest.mark.parametrize("train_encoder", [False, True])
@pytest.mark.parametrize(("name", "model"), [("spirl", "skill"), ("flat_prior", "action")])
def test_a_policy_starts_as_its_prior(models, seen, name, model, train_encoder):
  config = small_config(networks__train_encoder=train_encoder)
  agent = methods.make_agent(config, methods.METHODS[name], models)
  policy = agent.whole(agent.learner.init(jax.random.key(5)).policy)
  wanted = models["skill"]["prior"] if model == "skill" else models["action"]
  jax.tree.map(np.testing.assert_array_equal, policy, wanted)


@pytest.mark.parametrize("name", ["spirl", "ssp", "sac", "bc_sac"])
def test_training_worlds_show_what_the_whole_policy_computes(models, seen, name):
  config = small_config()
  agent = methods.make_agent(config, methods.METHODS[name], models)
  learner = agent.learner.init(jax.random.key(5))
  state = agent.env.reset(jax.random.split(jax.random.key(2), 3))
  assert set(state.obs) == {"features", "state"} and state.obs["features"].dtype == jnp.float16
  through_features = agent.action_type.mode(agent.policy(learner, state.obs))
  raw = agent.single.reset(jax.random.key(2)).obs
  plan = agent.plan(agent.whole(learner.policy), raw)
  wanted = through_features[:1]
  if agent.steps > 1:
    model, spec = methods.skill_prior_config(config), agent.single.spec()
    wanted = skill_prior.decode(model, spec, models["skill"], wanted)[0]
  np.testing.assert_allclose(plan, wanted, atol=2e-3)


def test_only_what_the_method_allows_reaches_the_policy(models):
  config = small_config()
  targets = {}
  for name, method in methods.METHODS.items():
    agent = methods.make_agent(config, method, models)
    assert (agent.prior is None) == (method.prior == "uniform")
    assert agent.env.spec().action_size == (10 if method.skills else 2)
    targets[name] = methods.sac_config(config, method).target_divergence
  assert targets["spirl"] == targets["flat_prior"] == config.sac.target_divergence
  assert targets["sac"] == pytest.approx(2 * np.log(2.0) + 2)  # entropy -2 in [-1, 1]^2
  assert targets["ssp"] == pytest.approx(10 * np.log(4.0) + 10)  # entropy -10 in [-2, 2]^10


def test_starting_without_the_prior_explores_with_it_first():
  config = maze.get_config("full")
  ablation = stages.loop_config(config, methods.METHODS["spirl_no_init"], 10)
  assert ablation.prior_decisions == config.rl.prior_env_steps // 10
  assert stages.loop_config(config, methods.METHODS["spirl"], 10).prior_decisions == 0
