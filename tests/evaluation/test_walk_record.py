"""A recorded walk comes back as it was saved, and a damaged one is refused by name."""

import numpy as np
import pytest

from jaxskills.errors import UserError
from jaxskills.evaluation import walk_record
from tests.evaluation import fake_walk


def damaged(path, **fields):
  """Writes a recording with some of its arrays replaced."""
  np.savez(path, **{**fake_walk.walk()._asdict(), **fields})
  return path


def test_a_walk_comes_back_as_saved(tmp_path):
  saved = fake_walk.fallen(300)
  found = walk_record.load(walk_record.save(tmp_path / "data" / "walk.npz", saved))
  for name in saved._fields:
    np.testing.assert_array_equal(getattr(found, name), getattr(saved, name))
  assert found.contact.dtype == found.fell.dtype == bool and isinstance(found.step_seconds, float)
  assert [path.name for path in (tmp_path / "data").iterdir()] == ["walk.npz"]


def test_time_counts_steps_from_the_first_ones_end():
  np.testing.assert_allclose(fake_walk.walk().time[:3], [0.02, 0.04, 0.06])


def test_the_heading_does_not_jump_where_the_angle_does():
  record = fake_walk.walk()
  angle = np.linspace(3.0, 3.4, len(record.qpos))
  record.qpos[:, 3], record.qpos[:, 6] = np.cos(angle / 2), np.sin(angle / 2)
  np.testing.assert_allclose(record.yaw, angle)


def test_no_file_is_an_error_of_the_system(tmp_path):
  with pytest.raises(FileNotFoundError):
    walk_record.load(tmp_path / "walk.npz")


@pytest.mark.parametrize("place", [0.0, 0.3, 0.6, 0.9])
def test_a_recording_with_a_lost_block_is_refused(tmp_path, place):
  path = walk_record.save(tmp_path / "walk.npz", fake_walk.walk())
  content = bytearray(path.read_bytes())
  first = int(place * len(content))
  content[first : first + 64] = bytes(64)
  path.write_bytes(content)
  with pytest.raises(UserError, match=r"walk\.npz is damaged"):
    walk_record.load(path)


def test_a_truncated_recording_is_refused(tmp_path):
  path = walk_record.save(tmp_path / "walk.npz", fake_walk.walk())
  path.write_bytes(path.read_bytes()[:-40])
  with pytest.raises(UserError, match=r"walk\.npz is damaged"):
    walk_record.load(path)


def test_pickles_are_refused(tmp_path):
  path = damaged(tmp_path / "walk.npz", joints=np.array([{"a": 1}], dtype=object))
  with pytest.raises(UserError, match=r"walk\.npz is damaged"):
    walk_record.load(path)


def test_missing_arrays_are_named(tmp_path):
  fields = fake_walk.walk()._asdict()
  del fields["torque"], fields["fell"]
  np.savez(tmp_path / "walk.npz", **fields)
  with pytest.raises(UserError, match="lacks torque, fell"):
    walk_record.load(tmp_path / "walk.npz")


@pytest.mark.parametrize(
  ("fields", "reason"),
  [
    ({"contact": np.zeros((350, 3), bool)}, r"contact has shape \[350, 3\], not \[350, 2\]"),
    ({"yaw_rate": np.zeros(349)}, r"yaw_rate has shape \[349\], not \[350\]"),
    ({"action": np.zeros(350)}, r"action has shape \[350\]"),
    ({"upper": np.zeros(18)}, r"upper has shape \[18\], not \[19\]"),
    ({"rewards": np.zeros((350, 3))}, r"rewards has shape \[350, 3\], not \[350, 2\]"),
    ({"velocity": np.full((350, 3), np.nan)}, "velocity is not all finite"),
    ({"torque": np.full((350, 19), "a")}, "torque is not all finite"),
    ({"joints": np.zeros(19)}, "joints is no list of names"),
    ({"step_seconds": 0.0}, "step_seconds is no positive number"),
    ({"step_seconds": np.array([0.02])}, "step_seconds is no positive number"),
    ({"qpos": np.zeros((1, 26))}, "a walk of 1 steps"),
    ({"qpos": np.float64(3.0)}, "a walk of 0 steps"),
  ],
)
def test_arrays_that_do_not_fit_together_are_refused_by_name(tmp_path, fields, reason):
  with pytest.raises(UserError, match=reason):
    walk_record.load(damaged(tmp_path / "walk.npz", **fields))
