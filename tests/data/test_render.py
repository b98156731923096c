"""Videos show what was recorded, are drawn once, and whatever stops the drawing does no harm."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest

from jaxskills.data import render
from jaxskills.data.render import render_videos
from jaxskills.data.video_store import SPLITS, open_store
from jaxskills.data_builders import shards
from jaxskills.envs.tabletop.scene import Scene, make_model
from jaxskills.errors import UserError
from jaxskills.physics.camera import make_camera
from jaxskills.physics.drawing import DRAWING
from tests.data_builders import few_blocks

SIZE = {"views": ("right", "front"), "rows": 40, "columns": 48}


@pytest.fixture(scope="module")
def records(tmp_path_factory):
  """Twelve short records of tasks A and B."""
  folder = tmp_path_factory.mktemp("records")
  few_blocks.build(folder)
  return folder


@pytest.fixture(scope="module")
def store(records):
  """Their videos, in the cache folder of the tests; skips where nothing draws off screen."""
  try:
    return render_videos(records, **SIZE)
  except UserError as error:
    if "no OpenGL" in str(error):
      pytest.skip(str(error))
    raise


def test_the_store_knows_of_each_video_what_the_record_says(store, records):
  source = list(shards.read_records(records))
  assert store.frames.shape[1:] == (2, 40, 48, 3) and store.views == ("right", "front")
  assert store.tasks == ("A", "B") and len(store.names) == 12
  for video, record in enumerate(source):
    rows = store.rows_of(video)
    assert store.tasks[store.index.task[video]] == record["task"].decode()
    assert SPLITS[store.index.split[video]] == record["split"].decode()
    assert store.index.is_success[video] == (not record["fake"])
    np.testing.assert_array_equal(store.labels["progress"][rows], record["labels"]["progress"])
    np.testing.assert_array_equal(store.labels["joints"][rows], record["qpos"][:, :7])
    objects = store.labels["objects"][rows]
    there = record["qpos"].shape[1] - 9
    np.testing.assert_array_equal(objects[:, :there], record["qpos"][:, 9:])
    assert objects.shape[1] == 21 and not objects[:, there:].any()
  assert store.index.seconds_per_frame == pytest.approx(1 / 12)
  assert store.names[1:3] == ("A_train_1", "A_train_2_dropped") and store.names[11] == "B_shapes_5"
  assert store.select(tasks=["A"], success=False).tolist() == [2, 4]


def test_frames_are_what_a_camera_sees_of_the_scene(store, records):
  record = shards.read_records(records)[6]
  model = make_model(Scene.from_json(record["scene"].decode()))
  camera = make_camera("native", model, SIZE["views"], 40, 48, processes=1)
  frames = np.asarray(jax.vmap(camera.render)(record["qpos"]))
  camera.close()
  np.testing.assert_array_equal(store.frames[store.rows_of(6)], frames)
  assert all(frame.std() > 5 for frame in frames.reshape(-1, 40 * 48, 3))
  assert (frames[0] != frames[-1]).any()  # the arm sways


def test_objects_have_their_colours(store):
  for view in range(2):
    frame = store.frames[store.rows_of(0)][0, view].astype(int)  # task A: a red block, a blue one
    for color, others in ((0, (1, 2)), (2, (0, 1))):
      strong = (frame[..., color] > 60) & (frame[..., others].max(-1) < 0.6 * frame[..., color])
      assert 4 <= strong.sum() < 200


def test_what_is_there_is_not_drawn_again(store, records, monkeypatch):
  monkeypatch.setattr(render, "drawing_crew", lambda *_, **__: pytest.fail("all of it is there"))
  said = []
  again = render_videos(records, **SIZE, progress=lambda done, total: said.append((done, total)))
  assert said == [(12, 12)]
  assert (again.directory, again.fingerprint) == (store.directory, store.fingerprint)


def test_whatever_decides_the_pixels_decides_the_folder(store, records, monkeypatch):
  folders = [store.directory]

  def keep(source, chosen, writer, *rest):
    folders.append(writer.directory)
    raise KeyboardInterrupt

  monkeypatch.setattr(render, "_draw", keep)
  for changes in (
    {"views": ("front", "right")},
    {"rows": 41},
    {"drawing": DRAWING._replace(samples=4)},
    {"tasks": ("B",)},
  ):
    with pytest.raises(KeyboardInterrupt):
      render_videos(records, **{**SIZE, **changes})
  blocks = render.WORLDS["multiview_blocks"]
  less = {"multiview_blocks": blocks._replace(code=blocks.code[1:])}
  monkeypatch.setattr(render, "WORLDS", less)
  with pytest.raises(KeyboardInterrupt):
    render_videos(records, **SIZE)
  assert len(set(folders)) == 6
  assert all(folder.parent == store.directory.parent for folder in folders)
  for folder in folders[1:]:
    shutil.rmtree(folder)


def kill_midway(records, folder):
  """Draws in a process that is killed, and so are its helpers, after the fourth video."""
  program = f"""
import os, signal
from jaxskills.data.render import render_videos
def tell(done, total):
  if done == 4:
    os.kill(os.getpid(), signal.SIGKILL)
render_videos({str(records)!r}, **{SIZE!r}, directory={str(folder)!r}, processes=1, progress=tell)
"""
  done = subprocess.run([sys.executable, "-c", program], timeout=120, check=False)
  assert done.returncode == -signal.SIGKILL


def test_a_killed_drawing_goes_on_to_the_same_bytes(store, records, tmp_path):
  kill_midway(records, tmp_path)
  with pytest.raises(UserError, match="not complete"):
    open_store(tmp_path)
  said = []
  again = render_videos(
    records, **SIZE, directory=tmp_path, processes=1, progress=lambda done, _: said.append(done)
  )
  assert said[0] in (4, 5) and said[-1] == 12  # the helper may have finished one more
  assert again.fingerprint == store.fingerprint
  for path in sorted(store.directory.iterdir()):
    assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


def test_a_full_disk_is_one_line_and_leaves_no_store(store, records, tmp_path):
  soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (store.frames.nbytes // 2, hard))
  try:
    with pytest.raises(UserError, match="cannot write videos to .*make room") as refusal:
      render_videos(records, **SIZE, directory=tmp_path / "full")
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
  assert "\n" not in str(refusal.value)
  with pytest.raises(UserError):
    open_store(tmp_path / "full")


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"tasks": ("A", "C")}, "^no task C among these records; there are A, B$"),
    ({"views": ("top",)}, "^no camera top; there are front, left, right, high$"),
  ],
)
def test_what_is_not_there_cannot_be_drawn(records, changes, message):
  with pytest.raises(UserError, match=message):
    render_videos(records, **{**SIZE, **changes})


def test_another_data_set_is_refused(records, tmp_path):
  for path in records.iterdir():
    shutil.copy(path, tmp_path)
  manifest = tmp_path / "manifest.json"
  manifest.write_text(manifest.read_text().replace("multiview_blocks:small", "maze_demos:quick"))
  with pytest.raises(UserError, match="holds maze_demos:quick, not multiview_blocks"):
    render_videos(tmp_path)
  assert json.loads(manifest.read_text())["title"] == "maze_demos:quick"


def test_the_folder_is_under_the_users_cache(store):
  folder = store.directory
  assert folder.is_relative_to(os.environ["XDG_CACHE_HOME"])
  assert folder.parts[-5:-1] == ("jaxskills", "video", "multiview_blocks", "small")
