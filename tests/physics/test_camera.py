"""A camera is a pure function that draws what is there, on whichever renderer, and cleans up."""

import importlib.util
import subprocess
import sys

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from jaxskills.errors import UserError
from jaxskills.physics.camera import make_camera
from jaxskills.physics.camera_native import drawing_crew
from jaxskills.physics.drawing import DRAWING
from tests.test_crew import ended

SCENE = """
<mujoco>
  <visual><headlight ambient=".4 .4 .4" diffuse=".4 .4 .4" specular="0 0 0"/></visual>
  <worldbody>
    <light pos="0 0 3" dir="0 0 -1" diffuse=".3 .3 .3"/>
    <camera name="above" pos="0 0 2" euler="0 0 0" fovy="40"/>
    <camera name="front" pos="0 -2 0" euler="90 0 0" fovy="40"/>
    <geom type="plane" size="0 0 1" pos="0 0 -.5" group="4"/>
    <geom type="box" size=".05 .05 .05" pos=".5 .5 0" rgba="0 1 0 1"/>
    <site name="mark" size=".3" rgba="1 1 1 1"/>
    <body name="red"><freejoint/><geom type="box" size=".1 .1 .1" rgba="1 0 0 1"/></body>
    <body pos="-.5 0 0"><joint name="turn" axis="0 0 1"/>
      <geom type="capsule" fromto="0 0 0 0 .3 0" size=".04" rgba="0 0 1 1"/></body>
  </worldbody>
</mujoco>"""
VIEWS, ROWS, COLUMNS = ("front", "above"), 24, 32
RED, GREEN, BLUE = np.eye(3, dtype=bool)


@pytest.fixture(scope="module")
def model():
  return mujoco.MjModel.from_xml_string(SCENE)


@pytest.fixture(scope="module")
def camera(model):
  """C MuJoCo's camera; skips where nothing draws off screen."""
  try:
    made = make_camera("native", model, VIEWS, ROWS, COLUMNS, processes=2)
  except UserError as error:
    if "no OpenGL" in str(error):
      pytest.skip(str(error))
    raise
  yield made
  made.close()


@pytest.fixture(scope="module")
def positions(model):
  """Ten positions `[10, nq]`, the red box ever further to the right, the blue arm turning."""
  qpos = np.tile(model.qpos0.astype(np.float32), (10, 1))
  qpos[:, 0], qpos[:, 7] = np.linspace(-0.3, 0.3, 10), np.linspace(0.0, 2.0, 10)
  return qpos


def middle(frame, color):
  """Mean row and column of the pixels of a colour; NaN where there are none."""
  bright = frame.astype(int)
  mask = (bright[..., color] > 60).all(-1) & (bright[..., ~color] < 40).all(-1)
  return np.argwhere(mask).mean(0) if mask.any() else np.array([np.nan, np.nan])


def test_colours_and_views_are_where_they_belong(camera, positions):
  frames = np.asarray(camera.render(positions[0]))
  assert frames.shape == (2, ROWS, COLUMNS, 3) and frames.dtype == np.uint8
  front, above = frames
  assert middle(front, RED)[1] < COLUMNS / 2 and middle(above, RED)[1] < COLUMNS / 2
  assert middle(np.asarray(camera.render(positions[9]))[0], RED)[1] > COLUMNS / 2
  green = middle(above, GREEN)  # further away than the red box: higher up, seen from above
  assert green[0] < ROWS / 3 and green[1] > 0.7 * COLUMNS
  assert abs(middle(front, GREEN)[0] - ROWS / 2) < 2  # and as high as it, seen from the front
  assert middle(above, BLUE)[1] < COLUMNS / 3


def test_the_picture_is_that_of_mujocos_own_renderer(camera, model, positions):
  target = "tests.physics.reference_picture:make_reference"
  with drawing_crew(target, model, VIEWS, ROWS, COLUMNS, processes=1) as crew:
    references = list(crew.map(positions[::4]))
  frames = jax.vmap(camera.render)(positions[::4])
  np.testing.assert_array_equal(frames, np.stack(references))
  assert len({frame.tobytes() for frame in np.asarray(frames)}) == 3


def test_a_batch_is_its_worlds_one_by_one(camera, positions):
  singly = np.stack([camera.render(qpos) for qpos in positions])
  np.testing.assert_array_equal(jax.jit(jax.vmap(camera.render))(positions), singly)
  nested = jax.vmap(jax.vmap(camera.render))(positions.reshape(5, 2, -1))
  np.testing.assert_array_equal(np.asarray(nested).reshape(singly.shape), singly)
  other_axis = jax.vmap(camera.render, in_axes=1)(positions.T)
  np.testing.assert_array_equal(other_axis, singly)
  again = jax.vmap(camera.render)(positions[:3])  # smaller than what there is room for
  np.testing.assert_array_equal(again, singly[:3])


def test_it_works_inside_a_scan_and_of_no_worlds(camera, positions):
  def step(carry, qpos):
    return carry, camera.render(qpos).mean(dtype=jnp.float32)

  _, means = jax.jit(lambda rows: jax.lax.scan(step, None, rows))(positions[:4])
  frames = np.asarray(jax.vmap(camera.render)(positions[:4]))
  np.testing.assert_allclose(means, frames.reshape(4, -1).mean(1), rtol=1e-5)
  assert jax.vmap(camera.render)(positions[:0]).shape == (0, 2, ROWS, COLUMNS, 3)


def test_a_world_that_diverged_is_black_and_the_others_are_not(camera, positions):
  broken = positions[:3].copy()
  broken[1, 0] = np.nan
  frames = np.asarray(jax.vmap(camera.render)(broken))
  whole = np.asarray(jax.vmap(camera.render)(positions[:3]))
  assert not frames[1].any()
  np.testing.assert_array_equal(frames[[0, 2]], whole[[0, 2]])


def test_two_cameras_at_once_draw_each_their_own(camera, model, positions):
  other = make_camera(
    "native", model, ("above",), 16, 16, drawing=DRAWING._replace(groups=(5,)), processes=1
  )
  both = jax.jit(jax.vmap(lambda qpos: (camera.render(qpos), other.render(qpos))))
  frames, empty = both(positions)
  np.testing.assert_array_equal(frames, jax.vmap(camera.render)(positions))
  assert empty.shape == (10, 1, 16, 16, 3) and not np.asarray(empty).any()  # no geom is in group 5
  other.close()
  with pytest.raises(Exception, match="the camera is closed"):
    other.render(positions[0]).block_until_ready()
  other.close()
  assert np.asarray(camera.render(positions[0])).any()


def test_samples_soften_edges(model, positions, camera):
  soft = make_camera(
    "native", model, VIEWS, ROWS, COLUMNS, drawing=DRAWING._replace(samples=4), processes=1
  )
  hard, frames = (np.asarray(one.render(positions[5])) for one in (camera, soft))
  soft.close()
  colors = [len(np.unique(picture.reshape(-1, 3), axis=0)) for picture in (hard, frames)]
  assert colors[1] > 1.3 * colors[0] and np.abs(hard.astype(int) - frames).mean() < 5.0


@pytest.mark.parametrize(
  ("arguments", "error", "message"),
  [
    (("nativ", ("above",), 8, 8), UserError, "^unknown camera 'nativ'; did you mean native"),
    (("native", ("abov",), 8, 8), UserError, "^no camera 'abov' in the model; there are: above, f"),
    (("native", (), 8, 8), UserError, "^a camera needs at least one view of: above, front$"),
    (("native", ("above",), 0, 8), ValueError, "must be positive: 0, 8"),
  ],
)
def test_what_cannot_be_drawn_is_one_line(model, arguments, error, message):
  backend, views, rows, columns = arguments
  with pytest.raises(error, match=message):
    make_camera(backend, model, views, rows, columns)


def test_without_opengl_it_says_what_to_install(model, monkeypatch):
  monkeypatch.setenv("MUJOCO_GL", "nothing")
  with pytest.raises(UserError, match="no OpenGL draws .*invalid value.*nothing.*libegl1") as told:
    make_camera("native", model, ("above",), 8, 8, processes=1)
  assert "\n" not in str(told.value)
  monkeypatch.setenv("MUJOCO_GL", "off")
  with pytest.raises(UserError, match="^MUJOCO_GL=off switches drawing off; unset it$"):
    make_camera("native", model, ("above",), 8, 8, processes=1)


def test_a_camera_leaves_no_process_no_variable_and_needs_no_jax_to_draw(camera):
  program = f"""
import mujoco, os, sys
before = dict(os.environ)
from jaxskills.physics.camera_native import Studio
from jaxskills.physics.drawing import DRAWING
assert "jax" not in sys.modules  # nor have the processes, which import less
model = mujoco.MjModel.from_xml_string({SCENE!r})
studio = Studio(model, ("above",), 8, 8, DRAWING, 2)
first = studio.draw(model.qpos0)
seen = first.copy()
assert seen.any()
assert not studio.draw(model.qpos0 * float("nan")).any()
assert (first == seen).all()  # though the memory has been drawn into again
assert dict(os.environ) == before
print(*studio._crew.pids)
"""
  done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
  assert not done.stderr
  pids = [int(pid) for pid in done.stdout.split()]
  assert len(pids) == 2 and ended(pids)


@pytest.mark.slow  # Warp compiles for half a minute
@pytest.mark.skipif(importlib.util.find_spec("warp") is None, reason="needs the extra warp")
def test_warp_draws_the_same_scene(model, positions, camera):
  warp = make_camera("warp", model, VIEWS, ROWS, COLUMNS)
  frames = np.asarray(jax.jit(jax.vmap(warp.render))(positions))
  native = np.asarray(jax.vmap(camera.render)(positions))
  assert frames.shape == native.shape and frames.dtype == np.uint8
  own, others = (np.abs(np.roll(frames, by, axis=0).astype(int) - native) for by in (0, 1))
  assert own.mean() < 0.3 * others.mean() and (own.max(-1) > 40).mean() < 0.02  # edges
  swapped = np.abs(frames[:, ::-1].astype(int) - native)
  assert own.mean() < 0.1 * swapped.mean()
  nested = jax.vmap(jax.vmap(warp.render))(positions.reshape(5, 2, -1))
  np.testing.assert_array_equal(np.asarray(nested).reshape(frames.shape), frames)
  np.testing.assert_array_equal(warp.render(positions[3]), frames[3])
