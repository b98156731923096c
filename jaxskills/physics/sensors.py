"""Reads sensors by name out of `sensordata`, with addresses found before anything is traced."""

import mujoco
from jaxtyping import Array, Float

from jaxskills.config import nearest


class Sensors:
  """The sensors of a model: `sensors(data, "gyro") -> [3]`."""

  def __init__(self, model: mujoco.MjModel):
    """Finds where every named sensor is."""
    self._slices: dict[str, slice] = {}
    for index in range(model.nsensor):
      begin, size = int(model.sensor_adr[index]), int(model.sensor_dim[index])
      self._slices[model.sensor(index).name] = slice(begin, begin + size)

  def __call__(
    self, sensordata: Float[Array, "*batch nsensordata"], name: str
  ) -> Float[Array, "*batch size"]:
    """The values of one sensor.

    Raises:
      KeyError: if the model has no such sensor, naming the nearest.
    """
    if name not in self._slices:
      raise KeyError(f"the model has no sensor {name!r}{nearest(name, list(self._slices))}")
    return sensordata[..., self._slices[name]]

  def size(self, name: str) -> int:
    """Number of values of one sensor."""
    found = self._slices[name]
    return found.stop - found.start
