import mujoco
import numpy as np
import pytest

from jaxskills.envs.tabletop.demonstration import HELD_FRAMES, LENGTH, attempt_once, demonstrate
from jaxskills.envs.tabletop.demonstrator import HandSolver, controls_between, start
from jaxskills.envs.tabletop.fakes import FAKES
from jaxskills.envs.tabletop.motions import nearest_yaw
from jaxskills.envs.tabletop.sampling import START_JOINTS
from jaxskills.envs.tabletop.scene import CONDITIONS, ROBOT_JOINTS, make_model
from jaxskills.envs.tabletop.scripts import PHASES
from jaxskills.envs.tabletop.tasks import TASKS


@pytest.fixture(scope="module")
def stacking():
  return demonstrate("A", 1)


@pytest.fixture(scope="module")
def pushing():
  return demonstrate("B", 1)


def same(first, second):
  assert first.scene == second.scene and first.labels.keys() == second.labels.keys()
  rows = [(first.qpos, second.qpos), (first.qvel, second.qvel), (first.ctrl, second.ctrl)]
  rows += [(first.labels[name], second.labels[name]) for name in first.labels]
  return all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in rows)


def heights(demonstration):
  """Of the objects' centres above their places on the table, `[time, objects]`, m."""
  places = demonstration.qpos[:, ROBOT_JOINTS:].reshape(len(demonstration.qpos), -1, 7)
  return places[..., 2] - demonstration.scene.layout.half_extents[:, 2]


def test_the_same_seed_gives_the_same_bits_and_another_one_does_not(stacking):
  assert same(stacking, demonstrate("A", 1))
  assert not np.array_equal(stacking.qpos[:90], demonstrate("A", 2).qpos[:90])


def test_recorded_controls_bring_about_the_same_demonstration(stacking):
  model = make_model(stacking.scene, looks=False)
  data = mujoco.MjData(model)
  start(data, stacking.qpos[0], stacking.qvel[0])
  for row, (before, after) in enumerate(zip(stacking.ctrl, stacking.ctrl[1:], strict=False)):
    for controls in controls_between(before, after):
      data.ctrl[:] = controls
      mujoco.mj_step(model, data)
    np.testing.assert_array_equal(data.qpos.astype(np.float32), stacking.qpos[row + 1])


def test_a_tower_is_built_by_lifting_and_stays(stacking):
  assert stacking.success and stacking.fake == ""
  assert LENGTH[0] <= len(stacking.qpos) <= LENGTH[1]
  assert heights(stacking).max() > 0.08
  assert stacking.labels["success"][-HELD_FRAMES:].all() and not stacking.labels["success"][0]
  assert stacking.labels["stack_height"][-1] == 2 and stacking.labels["stack_height"][0] == 1


def test_sorting_pushes_and_never_lifts(pushing):
  assert pushing.success
  assert pushing.labels["in_zone"][0] == 0 and pushing.labels["in_zone"][-1] == 3
  assert heights(pushing).max() < 0.012
  assert not pushing.labels["grasped"].any() and not pushing.labels["lifted"].any()
  assert pushing.labels["in_contact"].any()
  assert pushing.ctrl[30:, -1].max() < 1e-6  # fingers closed


@pytest.mark.parametrize("which", ["stacking", "pushing"])
def test_progress_rises_to_one_and_phases_follow_one_another(which, request):
  shown = request.getfixturevalue(which)
  progress, phase = shown.labels["progress"], shown.labels["phase"]
  assert progress[0] == 0.0 and progress[-1] == pytest.approx(1.0)
  assert (np.diff(progress) >= 0.0).all() and np.diff(progress).max() < 0.15
  names = [PHASES[index] for index in phase[np.insert(np.diff(phase) != 0, 0, True)]]
  assert names[0] == names[-1] == "rest"
  if which == "stacking":
    assert names == ["rest", "reach", "grasp", "lift", "carry", "place", "retreat", "rest"]
  else:
    assert names.count("push") >= 3 and set(names) == {"rest", "reach", "push", "retreat"}


def test_labels_agree_with_one_another(stacking):
  labels, phase = stacking.labels, stacking.labels["phase"]
  assert all(len(label) == len(stacking.qpos) for label in labels.values())
  assert (labels["grasped"] <= labels["in_contact"]).all()
  assert (labels["lifted"] <= labels["grasped"]).all()
  carried = phase == PHASES.index("carry")
  assert labels["lifted"][carried].all() and not labels["lifted"][~carried & (phase < 2)].any()
  assert (labels["lifted"] <= (heights(stacking).max(axis=1) > 0.005)).all()


@pytest.mark.parametrize("kind", ["dropped", "missed"])
def test_a_failure_starts_like_the_success_and_ends_otherwise(kind, stacking):
  failed = demonstrate("A", 1, fake=kind)
  assert failed.fake == kind and not failed.success
  assert failed.scene == stacking.scene
  np.testing.assert_array_equal(failed.qpos[0], stacking.qpos[0])
  assert failed.labels["lifted"].any() == (kind == "dropped")
  assert failed.labels["progress"][-1] < 0.8


def test_a_failure_of_sorting_leaves_some_of_it_undone():
  failed = demonstrate("B", 1, fake="wrong_zone")
  assert not failed.success and failed.labels["in_zone"][-1] < 3


@pytest.mark.parametrize(
  ("arguments", "named"),
  [
    ({"task": "E", "seed": 0}, "'E'"),
    ({"task": "A", "seed": 0, "fake": "droped"}, "did you mean dropped"),
    ({"task": "A", "seed": 0, "condition": "test"}, "train, shapes, looks"),
    ({"task": "A", "seed": -1}, "-1"),
  ],
)
def test_what_is_asked_for_wrongly_is_named(arguments, named):
  with pytest.raises(ValueError, match=named):
    demonstrate(**arguments)


def test_the_hand_points_down_where_it_is_told():
  solver = HandSolver(np.array(START_JOINTS))
  for _ in range(3):
    joints = solver.solve(np.array([0.52, -0.1, 0.12]), 0.4)
  place, yaw = solver.pose()
  np.testing.assert_allclose(place, [0.52, -0.1, 0.12], atol=1e-4)
  assert yaw == pytest.approx(0.4, abs=1e-3)
  again = HandSolver(joints).pose()
  np.testing.assert_allclose(again[0], place, atol=1e-9)


def test_a_hand_turns_at_most_a_quarter_either_way():
  assert nearest_yaw(3.0, 0.0, np.pi) == pytest.approx(3.0 - np.pi)
  assert nearest_yaw(0.3, 1.0, np.pi / 2) == pytest.approx(0.3)
  assert nearest_yaw(0.3, -1.0, np.pi / 2) == pytest.approx(0.3 - np.pi / 2)


def test_servos_are_led_in_a_straight_line_that_ends_where_it_should():
  led = controls_between(np.zeros(2, np.float32), np.array([1.0, -2.0], np.float32))
  np.testing.assert_allclose(led[[20, -1]], [[0.5, -1.0], [1.0, -2.0]])


@pytest.mark.slow
@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("task", TASKS)
def test_most_first_attempts_succeed(task, condition):
  tried = [attempt_once(task, seed, condition, 0, "") for seed in range(20)]
  assert sum(each.success for each in tried) >= 16
  assert sum(len(each.qpos) <= LENGTH[1] for each in tried) >= 16


@pytest.mark.slow
@pytest.mark.parametrize("kind", FAKES)
@pytest.mark.parametrize("task", TASKS)
def test_every_failure_fails(task, kind):
  for seed in range(4):
    failed = demonstrate(task, seed, fake=kind)
    assert not failed.success and not failed.labels["success"][-1]
    assert (np.diff(failed.labels["progress"]) >= 0.0).all()
    assert LENGTH[0] <= len(failed.qpos) <= LENGTH[1]
