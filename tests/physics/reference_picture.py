"""What MuJoCo's own renderer makes of a model, for `test_camera.py`; runs in a crew's process."""

import mujoco
import numpy as np

from jaxskills.physics.drawing import Drawing

OFF = ("SHADOW", "REFLECTION", "HAZE")


def make_reference(model, views, rows, columns):
  """Draws positions with `mujoco.Renderer`, all of MuJoCo's steps done."""
  drawing = Drawing()
  model.vis.global_.offheight, model.vis.global_.offwidth = rows, columns
  quality = model.vis.quality
  quality.offsamples, quality.shadowsize = drawing.samples, 0
  quality.numslices, quality.numstacks = drawing.slices, drawing.stacks
  quality.numquads = drawing.quads
  data, renderer = mujoco.MjData(model), mujoco.Renderer(model, rows, columns)
  option = mujoco.MjvOption()
  option.sitegroup[:] = 0
  for flag in OFF:
    renderer.scene.flags[getattr(mujoco.mjtRndFlag, f"mjRND_{flag}")] = False

  def work(qpos):
    data.qpos[:] = qpos
    mujoco.mj_forward(model, data)
    frames = []
    for view in views:
      renderer.update_scene(data, view, option)
      frames.append(renderer.render())
    return np.stack(frames)

  return work
