"""Scenes: JSON, models, and that what they hold has room."""

import mujoco
import numpy as np
import pytest

from jaxskills.envs.pouring import hand
from jaxskills.envs.pouring.sampling import PACKING, sample_scene, streams
from jaxskills.envs.pouring.scene import (
  CONDITIONS,
  Scene,
  bead_places,
  bead_velocities,
  make_model,
  start_qpos,
  vessel_poses,
)
from jaxskills.envs.pouring.vessels import is_inside
from jaxskills.envs.tabletop.looks import CAMERAS


def scene_of(seed, condition="train"):
  return sample_scene(seed, condition, 0, streams(seed, condition, 0))


@pytest.mark.parametrize("condition", CONDITIONS)
def test_json_gives_back_an_equal_scene(condition):
  scene = scene_of(3, condition)
  assert Scene.from_json(scene.to_json()) == scene


def test_the_model_is_laid_out_as_states_are_read():
  scene = scene_of(1)
  model = make_model(scene)
  number = scene.beads.number
  assert model.nq == 21 + 3 * number and model.nv == 19 + 3 * number and model.nu == 7
  assert [model.joint(index).name for index in range(7)] == list(hand.JOINTS)
  assert [model.actuator(index).name for index in range(7)] == list(hand.JOINTS)
  assert [model.camera(index).name for index in range(model.ncam)] == list(CAMERAS)
  data = mujoco.MjData(model)
  data.qpos[:] = start_qpos(scene)
  data.qvel[:] = np.arange(model.nv)
  mujoco.mj_kinematics(model, data)
  for name, pose in zip(("container", "recipient"), vessel_poses(data.qpos), strict=True):
    np.testing.assert_allclose(data.body(name).xpos, pose[:3])
  np.testing.assert_allclose(data.body(f"bead{number - 1}").xpos, bead_places(data.qpos)[-1])
  assert bead_velocities(data.qvel)[-1, 2] == model.nv - 1
  assert bead_velocities(data.qvel).shape == (number, 3)


def test_looks_change_no_dynamics():
  scene = scene_of(2)
  seen, felt = make_model(scene), make_model(scene, looks=False)
  for name in ("body_mass", "body_inertia", "dof_armature", "actuator_gainprm", "eq_data"):
    np.testing.assert_array_equal(getattr(seen, name), getattr(felt, name))
  touching = [(model.geom_contype | model.geom_conaffinity) > 0 for model in (seen, felt)]
  np.testing.assert_array_equal(seen.geom_size[touching[0]], felt.geom_size[touching[1]])


def test_looks_and_behaviour_have_random_numbers_of_their_own():
  drawn = streams(5, "train", 0)
  drawn.looks.uniform(size=7)
  changed, scene = sample_scene(5, "train", 0, drawn), scene_of(5)
  assert changed.look != scene.look
  assert changed.container._replace(rgb=(0, 0, 0), alpha=1) == scene.container._replace(
    rgb=(0, 0, 0), alpha=1
  )
  assert changed.grip == scene.grip and changed.beads.number == scene.beads.number


@pytest.mark.parametrize("seed", range(12))
def test_all_fits(seed):
  scene = scene_of(seed, CONDITIONS[seed % 3])
  qpos = start_qpos(scene)
  container, recipient = vessel_poses(qpos)
  places = bead_places(qpos)
  assert 30 <= scene.beads.number <= 60
  lowered = places - np.array([0.0, 0.0, 0.06]) * (places[:, 2:] > 0.07)  # they fall in
  assert is_inside(scene.container, container, lowered).all()
  gaps = np.linalg.norm(places[:, None] - places[None], axis=-1) + np.eye(len(places))
  assert gaps.min() > 2 * scene.beads.radius
  filled = len(places) * 4 / 3 * np.pi * scene.beads.radius**3 / PACKING
  assert filled < 0.63 * scene.container.volume and filled < scene.recipient.volume
  assert scene.grip > hand.HALF_WIDTH and scene.grip + hand.HALF_WIDTH < scene.container.height
  apart = np.linalg.norm(container[:2] - recipient[:2])
  between = apart - scene.container.outer(0.1) - scene.recipient.outer(0.1)
  assert between > 0.05  # fingers fit in
  if scene.condition != "train":
    assert scene.container.alpha < 0.5 and scene.recipient.alpha < 0.5


def test_training_sees_clear_and_opaque_vessels():
  clear = [scene_of(seed).recipient.alpha < 1 for seed in range(30)]
  assert 5 < sum(clear) < 25
