"""Demonstrations: the same for the same seed, true to what they claim, and labelled by phases."""

import numpy as np
import pytest

from jaxskills.envs.pouring import attributes, demonstration
from jaxskills.envs.pouring.demonstration import (
  LENGTH,
  attempt_once,
  demonstrate,
  fill_lulls,
  is_tame,
  phases,
)
from jaxskills.envs.pouring.pourer import Command, Pourer, UnstablePhysics
from jaxskills.envs.pouring.scene import bead_places
from jaxskills.envs.pouring.scripts import FAKES

SEED = 45  # few beads, short


@pytest.fixture(scope="module")
def good():
  return demonstrate(SEED)


@pytest.fixture(scope="module", params=FAKES)
def bad(request):
  return demonstrate(SEED, fake=request.param)


def test_a_demonstration_is_the_same_bit_for_bit():
  once, again = (attempt_once(SEED, "looks", 0, "", at_most=14) for _ in range(2))
  assert once.scene == again.scene and len(once.qpos) == 14
  for name in ("qpos", "qvel", "ctrl"):
    assert getattr(once, name).tobytes() == getattr(again, name).tobytes()
  other = attempt_once(SEED + 1, "looks", 0, "", at_most=1)
  assert other.scene.container != once.scene.container


def test_a_demonstration_pours_and_puts_down(good):
  assert good.success and good.fake == "" and LENGTH[0] <= len(good.qpos) <= LENGTH[1]
  labels = good.labels
  assert not labels["has_liquid"][0] and labels["has_liquid"][-1]
  assert labels["poured"][-1] >= attributes.LEAST_POURED * good.scene.beads.number
  assert set(labels["phase"]) == set(range(5)) and np.all(np.diff(labels["phase"]) >= 0)
  assert np.all(np.diff(labels["progress"]) > 0) and labels["progress"][0] == 0
  assert {0, 45, 90} <= {attributes.ANGLES[number] for number in labels["angle"]}
  assert labels["flowing"][labels["phase"] == 2].any() and labels["distance"].any()
  assert {len(values) for values in labels.values()} == {len(good.qpos)}


def test_beads_go_through_no_wall(good):
  now = attributes.situation(good.qpos.astype(float), good.qvel.astype(float))
  number = good.scene.beads.number
  held = attributes.left_over(good.scene, now) + attributes.poured(good.scene, now)
  before = good.labels["phase"] < 2
  assert np.all(attributes.left_over(good.scene, now)[before] == number)
  assert held[-1] >= (1 - attributes.MOST_SPILLED) * number
  assert bead_places(good.qpos)[..., 2].min() > 0.5 * good.scene.beads.radius


def test_a_failure_is_none_of_physics(bad):
  assert not bad.success and not bad.labels["success"].any() and is_tame(bad)
  flows = bad.labels["flowing"].any()
  assert flows == (bad.fake == "beside")
  assert bad.labels["distance"].any() or bad.fake != "withheld"
  assert not bad.labels["distance"].any() or bad.fake != "moved"
  assert bad.labels["contact"].any() and not bad.labels["contact"][-1]


def test_a_bead_that_is_thrown_is_found(good):
  qvel = good.qvel.copy()
  qvel[3, -1] = 9.0
  assert is_tame(good) and not is_tame(good._replace(qvel=qvel))


def test_physics_that_breaks_down_is_an_error_and_leaves_no_file(good, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  world = Pourer(good.scene)
  mad = Command(np.full(3, np.nan), 0.0, 0.0, 0.0)
  with pytest.raises(UnstablePhysics, match=f"seed {SEED}"):
    world.follow([mad] * 2, at_most=3)
  assert not list(tmp_path.iterdir())


def test_an_attempt_that_does_not_end_as_it_should_is_followed_by_another(good, monkeypatch):
  tried = []

  def attempt(seed, condition, number, kind):
    tried.append(number)
    if number == 0:
      raise UnstablePhysics
    return good._replace(success=number == 2)

  monkeypatch.setattr(demonstration, "attempt_once", attempt)
  assert demonstrate(SEED).success and tried == [0, 1, 2]
  monkeypatch.setattr(demonstration, "attempt_once", lambda *_: good)
  with pytest.raises(RuntimeError, match="none of 12 scenes of seed 45, condition train ended as"):
    demonstrate(SEED, fake="moved")


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    ({"seed": -1}, "a seed is not negative; it is -1"),
    ({"seed": 0, "condition": "tests"}, "'tests' is none of train, test, looks; did you mean test"),
    ({"seed": 0, "fake": "besides"}, "'besides' is none of , beside, .*; did you mean beside"),
  ],
)
def test_what_there_is_not_is_refused(arguments, message):
  with pytest.raises(ValueError, match=message):
    demonstrate(**arguments)


def test_a_short_lull_is_part_of_a_flow_and_a_long_one_is_not():
  flow = np.array([0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0], bool)
  assert list(fill_lulls(flow)) == [0, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1, 0]
  assert not fill_lulls(np.zeros(5, bool)).any()


def test_phases_lie_between_the_four_events():
  contact = np.array([0, 0, 1, 1, 1, 1, 1, 1, 0, 0], bool)
  flow = np.array([0, 0, 0, 0, 1, 1, 0, 0, 0, 0], bool)
  phase, progress = phases(contact, flow)
  assert list(phase) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
  np.testing.assert_allclose(progress, np.arange(10) / 10, rtol=1e-6)
  phase, progress = phases(contact, np.zeros(10, bool))
  assert list(phase) == [0, 0, 1, 1, 1, 1, 1, 1, 4, 4]
  np.testing.assert_allclose(progress[[0, 2, 5, 8, 9]], [0, 1 / 3, 1 / 2, 2 / 3, 5 / 6], rtol=1e-6)
  phase, progress = phases(np.zeros(4, bool), np.zeros(4, bool))
  assert list(phase) == [0] * 4 and list(progress) == [0, 0.25, 0.5, 0.75]
