"""Tests that the PyTorch re-host computes what jaxskills computes, so that speeds compare."""

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is in the extra 'bench'")

from jaxskills.benchmarks import contenders, rehost_networks, same_computation, spirl  # noqa: E402
from jaxskills.benchmarks.rehost_loop import NumpyMaze, Replay  # noqa: E402
from jaxskills.envs.maze import maze, tasks  # noqa: E402
from jaxskills.experiments.spirl import methods  # noqa: E402
from jaxskills.learners import skill_prior  # noqa: E402


def _config(*, train_encoder: bool):
  config = spirl.get_config(spirl.Sizes(worlds=2, warmup=4), train_encoder=train_encoder)
  config.skill_prior.batch_size = config.rl.batch_size = 8
  return config


@pytest.fixture(scope="module")
def pairs():
  """Each computation twice, with our parameters copied over."""
  trained, frozen = _config(train_encoder=True), _config(train_encoder=False)
  return {
    "skill model": same_computation.skill_pair(trained),
    "sac": same_computation.sac_pair(trained),
    "frozen sac": same_computation.sac_pair(frozen),
  }


@pytest.mark.parametrize("name", ["skill model", "sac", "frozen sac"])
def test_losses_agree_before_and_after_updates(pairs, name):
  pairs[name].check()


def test_a_re_host_that_differs_is_refused(pairs):
  pair = pairs["skill model"]
  broken = pair._replace(
    peer_update=lambda noise: {name: torch.tensor(1e3) for name in pair.losses}
  )
  with pytest.raises(AssertionError, match="do not compute the same"):
    broken.check()


def test_both_sides_have_as_many_parameters(pairs):
  assert pairs["sac"].parameters > pairs["frozen sac"].parameters > 100_000
  with pytest.raises(AssertionError, match="in the re-host"):
    same_computation.equal_count({"weight": np.zeros(3)}, 4)


def test_decoded_skills_agree():
  config = _config(train_encoder=True)
  model, spec = methods.skill_prior_config(config), methods.make_world(config).spec()
  params = same_computation.pretrained(config)["pretrain/skill_prior"]
  skill = np.random.default_rng(0).normal(size=(5, model.skill_size)).astype(np.float32)
  ours = skill_prior.decode(model, spec, params, jnp.asarray(skill))
  theirs = rehost_networks.SkillModel(model, 2).load(params).decode(torch.from_numpy(skill))
  np.testing.assert_allclose(ours, theirs.detach().numpy(), atol=1e-6)


def test_the_numpy_maze_follows_ours():
  world, rng = maze.make_maze("quick"), np.random.default_rng(0)
  other = NumpyMaze(tasks.find_task("quick"), 1000, world.goal_radius)
  state, advance = jax.jit(world.reset)(jax.random.key(0)), jax.jit(world.advance)
  observe = jax.jit(world.observe)
  for turn in range(20):
    push = rng.uniform(-1.5, 1.5, 2).astype(np.float32)
    for _ in range(15):  # long enough to reach walls
      state = advance(state, jnp.asarray(push))
      reward = other.step(push)
      assert reward == float(state.reward)
    seen, (picture, numbers) = observe(state.data), other.observe()
    np.testing.assert_allclose(numbers, seen["state"], atol=2e-3, err_msg=f"turn {turn}")
    gap = np.abs(picture.astype(int) - np.asarray(seen["view"]).astype(int))
    assert gap.max() <= 5  # of 255, for positions that agree to 2 mm


def test_the_numpy_replay_overwrites_the_oldest():
  replay = Replay(capacity=3, skill_size=2)
  for number in range(5):
    replay.add(reward=float(number), prior=np.full((2, 2), number))
  batch = replay.sample(np.random.default_rng(0), 200)
  assert set(batch["reward"].tolist()) == {2.0, 3.0, 4.0}
  mean, log_std = batch["prior"]
  assert mean.shape == log_std.shape == (200, 2)
  np.testing.assert_array_equal(mean[:, 0], batch["reward"])


def test_the_peer_races_with_the_number_of_threads_that_is_faster(monkeypatch):
  used = []
  monkeypatch.setattr(contenders.processor, "cores", lambda: 2)
  monkeypatch.setattr(contenders.rehost_updates, "use_threads", used.append)

  def run():
    time.sleep(0.02 if used[-1] == 2 else 0.001)
    return {}

  contender, threads = contenders.peer_contender("peer", run, 1.0, seconds=0.05)
  contender.run()
  assert threads == used[-1] == 1 and 2 in used


def test_the_benchmark_keeps_the_papers_batch_and_update_ratio():
  config = spirl.get_config(spirl.SIZES, train_encoder=True)
  assert (config.rl.batch_size, config.rl.env_steps_per_update) == (256, 10)
