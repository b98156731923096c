"""A small model that every engine simulates quickly, and the engines."""

import importlib.util

import mujoco
import pytest

SMALL = """
<mujoco>
  <option timestep="0.005" iterations="5" ls_iterations="10"><flag eulerdamp="disable"/></option>
  <worldbody>
    <geom name="floor" type="plane" size="0 0 .01" condim="3"/>
    <body name="ball" pos="0 0 .3">
      <freejoint/>
      <geom name="ball" type="sphere" size=".1" mass="1"/>
      <site name="middle"/>
    </body>
    <body name="arm" pos="1 0 .6">
      <joint name="elbow" axis="0 1 0" damping=".1" armature=".01"/>
      <geom name="forearm" type="capsule" fromto="0 0 0 .3 0 0" size=".03" mass=".5"
        contype="0" conaffinity="0"/>
    </body>
  </worldbody>
  <actuator>
    <general name="elbow" joint="elbow" biastype="affine" gainprm="20" biasprm="0 -20 -1"
      forcerange="-5 5"/>
  </actuator>
  <sensor>
    <gyro name="gyro" site="middle"/>
    <framepos name="place" objtype="site" objname="middle"/>
    <jointpos name="angle" joint="elbow"/>
  </sensor>
</mujoco>
"""

warp = pytest.param(
  "warp",
  marks=pytest.mark.skipif(importlib.util.find_spec("warp") is None, reason="needs the extra warp"),
)
ENGINES = ("native", "mjx", warp)


@pytest.fixture(scope="session")
def small() -> mujoco.MjModel:
  """A ball over a floor, and an arm with a servo."""
  return mujoco.MjModel.from_xml_string(SMALL)
