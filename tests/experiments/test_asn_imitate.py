"""A run of imitation in miniature, its figures and report, and what is refused before it begins."""

import contextlib
import json
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.cli import catalog
from jaxskills.errors import UserError
from jaxskills.experiments.asn import imitate, imitation_eyes
from jaxskills.experiments.asn.imitation_world import (
  make_arena,
  make_scenery,
  make_sights,
  make_world,
)


def miniature():
  """Few of everything, seen through random weights."""
  config = imitate.get_config("quick")
  config.embedding.update(method="untrained", members=2)
  config.engine = config.camera = "native"
  config.num_seeds = 2
  config.rewards = ("embedding",)
  config.views.size = 32
  config.calibration.update(videos=1, stride=20)
  config.rl.update(worlds=2, unroll=2, iterations_per_chunk=1, env_steps=8)
  config.rl.update(evaluate_every_steps=100, reset_pool=2, reset_refresh=1)
  config.rl.update(eval_episodes=1, final_eval_episodes=1)
  config.ppo.update(hidden=(8,), epochs=1, minibatches=2)
  return config


@contextlib.contextmanager
def drawing():
  """Skips where nothing draws off screen."""
  try:
    yield
  except UserError as error:
    if "no OpenGL" not in str(error):
      raise
    pytest.skip(str(error))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
  """A finished run: its folder and summary."""
  folder = tmp_path_factory.mktemp("runs") / "imitate"
  with drawing():
    return folder, imitate.train(miniature(), folder, preset="quick")


def test_a_run_tells_true_success_beside_the_learned_return_for_every_seed(finished):
  folder, summary = finished
  assert summary == json.loads((folder / "summary.json").read_text())
  figures = summary["metrics"]
  for name in ("success_rate", "success_ever", "learned_return"):
    figure = figures[name]["embedding"]
    assert len(figure["by_seed"]) == 2
    assert figure["mean"] == pytest.approx(np.mean(figure["by_seed"]))
  rate = figures["success_rate"]["embedding"]
  assert 0.0 <= rate["low"] <= rate["mean"] <= rate["high"] <= 1.0
  assert summary["env_steps"] == 8 and figures["seeds"] == 2


def test_its_report_has_a_film_beside_the_demonstration(finished):
  folder, _ = finished
  page = (folder / "report" / "index.html").read_text()
  for name in ("learning.png", "imitation_embedding.mp4"):
    assert (folder / "report" / name).stat().st_size > 0 and name in page
  assert "left out" not in page and "learned embedding" in page


@pytest.fixture(scope="module")
def scenery():
  with drawing():
    made = make_scenery(miniature())
  yield made
  made.camera.close()


@pytest.fixture(scope="module")
def eyes():
  return imitation_eyes.load_eyes(miniature())


def test_distances_between_frames_are_those_of_all_members_together(eyes):
  frames = jax.random.randint(jax.random.key(1), (2, 32, 32, 3), 0, 256).astype(jnp.uint8)

  def distance(params):
    return np.linalg.norm(np.subtract(*eyes.embed(params, frames)))

  both = jax.tree.map(lambda leaf: leaf[0], eyes.params)
  each = [distance(jax.tree.map(lambda leaf, k=k: leaf[k : k + 1], both)) for k in (0, 1)]
  assert each[0] != pytest.approx(each[1], rel=1e-3)
  assert distance(both) == pytest.approx(np.sqrt(np.mean(np.square(each))), rel=1e-4)


def test_demonstration_and_agent_are_seen_by_different_cameras(scenery):
  config = miniature()
  assert config.views.demonstration not in config.views.agent
  own = np.asarray(scenery.camera.render(scenery.demonstration.qpos[0]))
  assert own.shape == (2, 32, 32, 3) and np.abs(own[0].astype(int) - own[1]).mean() > 5.0
  assert scenery.frames.shape == (len(scenery.demonstration.qpos), 32, 32, 3)
  assert np.abs(own.astype(int) - scenery.frames[0]).mean(axis=(1, 2, 3)).min() > 5.0


@pytest.mark.parametrize(("reward", "size"), [("embedding", 64), ("pixels", 768)])
def test_rewards_of_pictures_are_in_units_of_what_two_views_are_apart(scenery, eyes, reward, size):
  config = miniature()
  arena = make_arena(config, scenery)
  sights = make_sights(scenery, eyes, arena, reward)
  assert sights.demonstration.shape == (2, len(scenery.frames), size)
  shown = scenery._replace(camera=SimpleNamespace(render=lambda pictures: pictures))
  for seed in range(2):
    sight = jax.tree.map(lambda leaf, seed=seed: leaf[seed], sights)
    world = make_world(config, shown, arena, eyes.embed, sight, reward)

    def look(pictures, world=world):  # at pictures, one a view, in place of a state
      return world._look(SimpleNamespace(physics=SimpleNamespace(qpos=pictures)))[reward]

    ours, theirs, demonstrated = (
      jax.vmap(look)(jnp.asarray(pictures))
      for pictures in (scenery.pairs[:, :2], scenery.pairs[:, 2:], scenery.frames[:, None])
    )
    assert ours.shape[1:] == (2, size)
    assert np.median(np.linalg.norm(ours - theirs, axis=-1)) == pytest.approx(1.0, rel=1e-3)
    np.testing.assert_allclose(demonstrated[:, 0], sight.demonstration, rtol=1e-3, atol=1e-3)
  seeds = jax.tree.leaves(eyes.params)
  assert any(np.abs(leaf[0] - leaf[1]).max() > 0.0 for leaf in seeds)  # each its own eyes


def test_the_reward_of_true_states_compares_places_in_the_same_unit(scenery, eyes):
  config = miniature()
  config.starts.update(anywhere=0.0, joint=0.0, object=0.0)
  arena = make_arena(config, scenery)
  sights = make_sights(scenery, eyes, arena, "object_state")
  assert sights.demonstration.shape == (2, len(scenery.frames), 9)
  sight = jax.tree.map(lambda leaf: leaf[0], sights)
  world = make_world(config, scenery, arena, eyes.embed, sight, "object_state")
  seen = world.reset(jax.random.key(0)).info["features"]["objects"]
  np.testing.assert_allclose(seen, sight.demonstration[0], atol=0.05)  # 2.5 mm


@pytest.mark.parametrize(
  ("change", "complaint"),
  [
    ({"rewards": ("pixel",)}, "no reward pixel; did you mean pixels"),
    ({"rewards": ()}, "config.rewards needs different names"),
    ({"task": "E"}, "config.task is one of"),
    ({"embedding": {"members": 0}}, "config.embedding.members must be at least 1"),
    ({"views": {"agent": ()}}, "config.views.agent needs one or more of front, left"),
    ({"views": {"agent": ("left", "below")}}, "config.views.agent is one of"),
    ({"reward": {"threshold": 0.0}}, "threshold must be positive"),
    ({"ppo": {"minibatches": 3}}, "cannot be dealt to 3"),
    ({"embedding": {"method": "asn"}}, "--config.embedding.run=DIR"),
  ],
)
def test_what_cannot_be_run_is_refused_before_anything_is_made(change, complaint, tmp_path):
  config = miniature()
  config.update(change)
  with pytest.raises(UserError, match=complaint):
    imitate.train(config, tmp_path / "run", preset="quick")
  assert not (tmp_path / "run").exists()


def test_it_is_listed_with_its_presets():
  assert set(catalog.experiments()["asn/imitate"].presets) == {"quick", "paper"}
