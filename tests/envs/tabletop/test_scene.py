import json

import mujoco
import numpy as np
import pytest

from jaxskills.envs.tabletop import looks, tasks
from jaxskills.envs.tabletop.looks import CAMERAS, PATTERNS, UNSEEN_PATTERNS, Texture
from jaxskills.envs.tabletop.sampling import sample_scene, streams
from jaxskills.envs.tabletop.scene import CONDITIONS, ROBOT_JOINTS, Scene, make_model, start_qpos
from jaxskills.envs.tabletop.tasks import TASKS


def scene_of(task="A", seed=0, condition="train"):
  return sample_scene(task, seed, condition, 0, streams(task, seed, condition, 0))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_scene_goes_through_json_and_makes_the_same_model_again(task, condition):
  scene = scene_of(task, 3, condition)
  again = Scene.from_json(json.dumps(json.loads(scene.to_json())))
  assert again == scene
  first, second = make_model(scene), make_model(again)
  for name in ("geom_size", "geom_rgba", "cam_quat", "tex_data", "body_mass", "actuator_gainprm"):
    np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
  assert [first.camera(index).name for index in range(first.ncam)] == list(CAMERAS)
  assert first.nq == ROBOT_JOINTS + 7 * len(scene.items)


def test_looks_change_no_dynamics():
  scene = scene_of("B")
  states = []
  for seen in (True, False):
    model = make_model(scene, looks=seen)
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, 0)
    data.qvel[0] = 1.0
    mujoco.mj_step(model, data, nstep=100)
    states.append(data.qpos.copy())
  np.testing.assert_array_equal(*states)
  assert np.abs(states[0] - start_qpos(scene)).max() > 1e-3


def test_no_plane_is_among_what_is_drawn():
  model = make_model(scene_of("B"))
  planes = model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE
  assert planes.sum() == 1 and (model.geom_group[planes] == 4).all()
  assert not model.light_castshadow.any()


def test_what_is_only_seen_cannot_be_touched():
  scene = scene_of("B", 5)
  model = make_model(scene)
  touchable = (model.geom_contype | model.geom_conaffinity) > 0
  names = {model.geom(int(index)).name for index in np.flatnonzero(touchable)}
  assert names == {"floor", "hand", "left_tip", "right_tip", "object0", "object1", "object2"}
  assert len(scene.zones) == 3


def test_looks_physics_and_behaviour_have_streams_of_their_own():
  first = streams("A", 0, "train", 0)
  first.looks.uniform(size=1000)
  scene = sample_scene("A", 0, "train", 0, first)
  other = scene_of("A", 0)
  bare = [item._replace(rgb=(0.0, 0.0, 0.0)) for item in scene.items]
  assert bare == [item._replace(rgb=(0.0, 0.0, 0.0)) for item in other.items]
  assert scene.look != other.look and scene.arm == other.arm


def test_conditions_differ_in_shape_size_and_texture():
  kinds, edges, patterns = {}, {}, {}
  for condition in CONDITIONS:
    scenes = [scene_of("C", seed, condition) for seed in range(30)]
    items = [item for scene in scenes for item in scene.items]
    kinds[condition] = {item.kind for item in items}
    edges[condition] = 2 * np.array([item.half_extents for item in items])
    patterns[condition] = {
      texture.pattern
      for scene in scenes
      for texture in (scene.look.table, scene.look.wall, scene.look.floor)
    }
  assert kinds == {"train": {"box"}, "shapes": {"cylinder"}, "looks": {"box"}}
  assert patterns == {
    "train": set(PATTERNS),
    "shapes": set(PATTERNS),
    "looks": set(UNSEEN_PATTERNS),
  }
  seen, unseen = edges["train"], edges["looks"]
  assert seen.min() >= 0.04 and seen.max() <= 0.055
  assert ((unseen < 0.039) | (unseen > 0.056)).all()
  assert (unseen < 0.039).any() and (unseen > 0.056).any()


@pytest.mark.parametrize("task", TASKS)
def test_no_scene_starts_done_and_objects_do_not_touch_but_in_the_stack_of_d(task):
  for seed in range(40):
    scene = scene_of(task, seed)
    model = make_model(scene, looks=False)
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, 0)
    mujoco.mj_forward(model, data)
    now = tasks.situation(data.qpos, data.qvel, np.array([0.3, 0.0, 0.6]), len(scene.items))
    met = tasks.subgoals_met(scene.goal, scene.layout, now)
    assert not met.any()
    height = tasks.stack_height(scene.layout, now)
    assert height == (2 if task == "D" else 1)
    between = [pair for pair in data.contact.geom if model.geom("floor").id not in pair]
    owners = {tuple(sorted(model.geom(int(index)).name for index in pair)) for pair in between}
    assert len(owners) == (task == "D")


def test_the_arm_starts_above_everything():
  for seed in range(20):
    scene = scene_of("D", seed)
    model = make_model(scene, looks=False)
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, 0)
    mujoco.mj_forward(model, data)
    tops = [item.position[2] + item.half_extents[2] for item in scene.items]
    assert data.site("gripper").xpos[2] > max(tops) + 0.02


@pytest.mark.parametrize("pattern", PATTERNS + UNSEEN_PATTERNS)
def test_textures_repeat_without_seams_and_hold_both_colours(pattern):
  picture = looks.paint(Texture(pattern, ((0.9, 0.2, 0.1), (0.1, 0.2, 0.9)), 2.0, 7)).astype(int)
  assert picture.shape == (64, 64, 3)
  assert (len(np.unique(picture.reshape(-1, 3), axis=0)) == 1) is (pattern == "flat")
  if pattern in ("gradient", "clouds"):
    for axis in (0, 1):
      steps = np.abs(np.diff(picture, axis=axis, append=np.take(picture, [0], axis)))
      assert steps.max() < 40


def test_a_shade_is_the_colour_of_its_hue():
  assert looks.shade(0.0, 1.0, 0.8) == pytest.approx((0.8, 0.0, 0.0))
  assert looks.shade(1 / 3, 1.0, 0.8) == pytest.approx((0.0, 0.8, 0.0))
  assert looks.shade(2 / 3, 0.5, 1.0) == pytest.approx((0.5, 0.5, 1.0))
  assert looks.shade(0.4, 0.0, 0.7) == pytest.approx((0.7, 0.7, 0.7))


def test_cameras_look_at_the_table_from_where_they_should():
  azimuths = {name: [] for name in CAMERAS}
  for seed in range(20):
    for view in scene_of("A", seed).look.views:
      right, up = np.array(view.right), np.array(view.up)
      assert abs(right @ up) < 1e-9 and right @ right == pytest.approx(1.0)
      ahead = -np.cross(right, up)
      place = np.array(view.position)
      at_table = place - ahead * place[2] / ahead[2]
      assert np.linalg.norm(at_table[:2] - [0.45, 0.0]) < 0.2
      azimuths[view.name].append(np.degrees(np.arctan2(place[1], place[0] - 0.5)))
  assert np.mean(azimuths["left"]) == pytest.approx(62, abs=3)
  assert np.mean(azimuths["right"]) == pytest.approx(-62, abs=3)
  assert all(np.ptp(each) > 3 for each in azimuths.values())
