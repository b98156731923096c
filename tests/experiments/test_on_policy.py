"""What the PPO experiments share: what is refused, what a world costs, how worlds begin."""

import types

import jax
import pytest

from jaxskills.errors import UserError
from jaxskills.experiments import on_policy
from jaxskills.experiments.h1 import velocity
from jaxskills.experiments.h1.worlds import make_env
from jaxskills.experiments.panda import lift_cube, reach
from jaxskills.physics import memory

# h1/velocity:quick, a world, bytes; the compiler's own account of PPO's update on a CPU.
ROLLOUT, TEMPORARIES, STATE = 15_840, 41_000, 4_100


@pytest.fixture(scope="module")
def walking():
  """The quick H1 and one world of it."""
  config = velocity.get_config("quick")
  config.engine = "native"
  return config, make_env(config, 2)


def changed(config, **changes):
  """A copy with some keys changed; `__` stands for a dot."""
  other = config.copy_and_resolve_references()
  other.update_from_flattened_dict({k.replace("__", "."): v for k, v in changes.items()})
  return other


def test_an_actor_that_sees_what_no_robot_measures_is_refused(walking):
  config, env = walking
  on_policy.check(config, env)
  for inputs in (("privileged",), ("state", "privileged")):
    with pytest.raises(ValueError, match="actor_inputs has 'privileged', which the robot cannot"):
      on_policy.check(changed(config, ppo__actor_inputs=inputs), env)


def test_a_term_that_is_not_measurable_is_refused_among_those_that_are(walking):
  config, env = walking
  hidden = env.measurable[0]._replace(measurable=False)
  cheat = types.SimpleNamespace(measurable=(*env.measurable[1:], hidden))
  with pytest.raises(ValueError, match="'gyro' is in the modality 'state' and not measurable"):
    on_policy._check_actor(config, cheat)


def test_an_environment_that_declares_nothing_may_show_its_actor_anything(walking):
  config, _ = walking
  on_policy._check_actor(changed(config, ppo__actor_inputs=("pixels",)), object())


def test_a_world_is_said_to_cost_what_was_measured_and_not_twice_that(walking):
  config, env = walking
  fields = tuple(jax.eval_shape(env.reset, jax.random.key(0)).data.parameters)
  physics = memory.bytes_per_world(env.engine.model, "native", fields)
  measured = physics + STATE + ROLLOUT + TEMPORARIES
  assert measured <= on_policy.bytes_per_world(config, env) < 1.5 * measured


def test_wider_networks_cost_more_and_smaller_minibatches_less(walking):
  config, env = walking
  before = on_policy.bytes_per_world(config, env)
  wide = changed(config, ppo__hidden=(512, 256, 128))
  assert on_policy.bytes_per_world(wide, env) - before > 66_700 - 40_600 - 5_000
  assert on_policy.bytes_per_world(changed(config, ppo__minibatches=8), env) < before


class Device:
  """An accelerator with so much free memory."""

  platform = "gpu"

  def __init__(self, free):
    self.free = free

  def memory_stats(self):
    return {"bytes_limit": self.free, "bytes_in_use": 0}


def test_worlds_fill_the_fullest_of_all_devices_or_the_host(walking, monkeypatch):
  config, env = walking
  per_world = on_policy.bytes_per_world(config, env)
  monkeypatch.setattr(jax, "devices", lambda: [Device(30 * per_world), Device(10 * per_world)])
  assert on_policy.free_memory("mjx") == on_policy.free_memory("warp") == 20 * per_world
  monkeypatch.setattr(memory, "_free_on_host", lambda root: 7 * per_world)
  monkeypatch.setattr(memory, "_free_in_groups", lambda root: [])
  assert on_policy.free_memory("native") == 7 * per_world
  monkeypatch.setattr(jax, "devices", lambda: [Device(5 * per_world)])
  assert on_policy.free_memory("native") == 5 * per_world  # where PPO learns on a GPU
  monkeypatch.setattr(jax, "devices", lambda: [Device(30 * per_world)])
  on_policy.check(changed(config, rl__worlds=7, rl__eval_episodes=1), env)
  with pytest.raises(UserError, match="8 worlds need .* 7 fit"):
    on_policy.check(changed(config, rl__worlds=8, rl__eval_episodes=1), env)


def test_episodes_cost_what_they_keep_of_every_step(walking, monkeypatch):
  config, env = walking
  monkeypatch.setattr(on_policy, "free_memory", lambda engine: 10_000_000)
  said = {}
  for steps in (100, 600):
    with pytest.raises(UserError, match=r"\d+ fit") as caught:
      on_policy.check_episodes(changed(config, rl__eval_steps=steps), env, 10**6)
    said[steps] = int(str(caught.value).split()[-2])
    on_policy.check_episodes(changed(config, rl__eval_steps=steps), env, said[steps])
  metrics = jax.eval_shape(env.reset, jax.random.key(0)).metrics
  kept = 500 * 4 * (1 + len(metrics))
  grown = 10_000_000 / said[600] - 10_000_000 / said[100]
  assert kept <= 1.2 * grown and grown < 2.0 * kept  # wrappers have metrics of their own


def test_two_processors_are_one_memory(monkeypatch):
  monkeypatch.setattr(memory, "_free_on_host", lambda root: 1000)
  monkeypatch.setattr(memory, "_free_in_groups", lambda root: [])
  assert len(jax.devices()) == 2 and on_policy.free_memory("mjx") == 1000


@pytest.mark.parametrize("module", [reach, lift_cube])
def test_worlds_of_the_panda_are_all_over_an_episode_at_first(module):
  config = module.get_config("quick")
  config.engine, config.task.randomize = "native", False
  assert config.rl.reset_pool >= config.rl.worlds
  config.rl.update(reset_pool=2, reset_refresh=1)
  worlds = on_policy.make_worlds(config, module.make_env(config, 16))
  steps = jax.jit(worlds.reset)(jax.random.split(jax.random.key(0), 16)).info["steps"]
  assert len(set(steps.tolist())) > 8 and 0 <= steps.min() and steps.max() < config.rl.episode_steps
  assert steps.max() > config.rl.episode_steps // 2
