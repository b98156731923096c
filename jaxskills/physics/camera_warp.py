"""MuJoCo Warp's ray caster, called from inside jitted code: frames never leave the device.

One call of XLA's foreign function interface sets the positions, moves the bodies and casts a ray
per pixel. On Warp's CPU device the same code runs, several times slower than C MuJoCo there, which
is how it is tested where there is no GPU. The buffers that it draws with belong to this camera and
are scratch space only, so that the function stays pure.
"""

import functools
import threading
import typing
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import warp as wp
from jaxtyping import Array, Float, UInt8
from mujoco.mjx.third_party import mujoco_warp as mjw

from jaxskills.physics.drawing import Drawing, camera_numbers


def make_render(
  model: mujoco.MjModel, views: Sequence[str], rows: int, columns: int, drawing: Drawing
) -> Callable[[Float[Array | np.ndarray, "nq"]], UInt8[Array, "views rows columns 3"]]:
  """The `render` of a camera.

  Args:
    model: to draw.
    views: names of its cameras.
    rows: height of a picture in pixels.
    columns: its width.
    drawing: how; `samples` and `groups` count.
  """
  stage = _Stage(model, views, rows, columns, drawing)
  # The ray caster orders cameras as the model does.
  numbers = camera_numbers(model, views)
  order = jnp.asarray([sorted(set(numbers)).index(number) for number in numbers])
  pixels = len(set(numbers)) * rows * columns

  @typing.no_type_check  # Warp reads these hints, no type checker can
  def cast(qpos: wp.array2d(dtype=float), packed: wp.array2d(dtype=wp.uint32)):
    stage.cast(qpos, packed)

  call = wp.jax_callable(
    cast,
    graph_mode=wp.JaxCallableGraphMode.NONE,
    vmap_method=None,
    module_preload_mode=wp.JaxModulePreloadMode.NONE,  # this module has no kernels
  )

  @jax.custom_batching.custom_vmap
  def batch(qpos: Float[Array, "worlds nq"]) -> UInt8[Array, "worlds views rows columns 3"]:
    packed = call(qpos, output_dims={"packed": (len(qpos), pixels)})[0]
    colors = jnp.stack([packed >> shift & 0xFF for shift in (16, 8, 0)], axis=-1)
    frames = colors.astype(jnp.uint8).reshape(len(qpos), -1, rows, columns, 3)
    return frames[:, order]

  @batch.def_vmap
  def nested(size: int, batched: list[bool], qpos: Array) -> tuple[Array, bool]:
    del batched  # of one argument
    frames = batch(qpos.reshape(-1, model.nq))
    return frames.reshape(size, -1, *frames.shape[1:]), True

  def render(qpos: Float[Array | np.ndarray, "nq"]) -> UInt8[Array, "views rows columns 3"]:
    return batch(jnp.asarray(qpos, jnp.float32)[None])[0]

  return render


class _Stage:
  """Models, worlds and what the ray caster needs, by device and number of worlds."""

  def __init__(
    self, model: mujoco.MjModel, views: Sequence[str], rows: int, columns: int, drawing: Drawing
  ):
    self._model = model
    self._lock = threading.Lock()
    self._sets: dict[tuple[str, int], tuple[Any, Any, Any]] = {}
    self._make_context = functools.partial(
      mjw.create_render_context,
      model,
      cam_res=(columns, rows),
      cam_active=sorted(set(camera_numbers(model, views))),
      render_rgb=True,
      render_depth=False,
      render_seg=False,
      render_skybox=True,
      samples_per_pixel=max(1, round(drawing.samples**0.5)),
      enabled_geom_groups=list(drawing.groups),
    )

  def cast(self, qpos: Any, packed: Any) -> None:
    """Draws worlds `[worlds, nq]` into `[worlds, pixels]`, red, green and blue in one number."""
    with self._lock:
      key = (str(wp.get_device()), qpos.shape[0])
      if key not in self._sets:
        self._sets[key] = (
          mjw.put_model(self._model),
          mjw.make_data(self._model, nworld=qpos.shape[0]),
          self._make_context(nworld=qpos.shape[0]),
        )
      model, data, context = self._sets[key]
      wp.copy(data.qpos, qpos)
      mjw.kinematics(model, data)
      mjw.com_pos(model, data)
      mjw.camlight(model, data)
      mjw.refit_bvh(model, data, context)
      context.rgb_data = packed
      mjw.render(model, data, context)
