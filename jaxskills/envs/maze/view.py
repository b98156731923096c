"""What the ball sees: a 32x32 top-down view centred on it, rasterised by exact area coverage.

SPiRL's agents see a camera that hangs 5 m above the ball with a 45 degree field of view, hence 4.14
cells across. A pixel is 0.13 m wide and a control step moves the ball by at most 0.05 m, so a
nearest-pixel picture would hide velocity from the two-frame stack; each pixel here is the fraction
of it that walls cover, which shows a motion of less than a hundredth of a pixel. The floor is a
checkerboard of cells, as under D4RL's mazes: in a hall with no wall in sight, the two frames would
otherwise be equal however fast the ball moves.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, UInt8

VIEW_PIXELS = 32
VIEW_SPAN = 2 * 5.0 * math.tan(math.radians(45.0 / 2))  # m across, 4.14
FLOOR_SHADE = 0.25  # ours; of every other free cell, where walls are 1
_CROP = math.ceil(VIEW_SPAN) + 1  # cells that the view can touch along an axis


def egocentric_view(
  walls: Bool[Array, "rows columns"],
  position: Float[Array, "2"],
  floor_shade: float = FLOOR_SHADE,
) -> UInt8[Array, "32 32"]:
  """Draws the walls and the floor around `position`; what lies outside is drawn solid.

  Args:
    walls: true where a cell is solid.
    position: centre of the view, m.
    floor_shade: brightness of the free cells whose row and column add up to an odd number, in
      [0, 1]; the others are black.

  Returns:
    Brightness, 0 to 255 (solid); rows and columns as in the layout.
  """
  margin = _CROP
  solid = jnp.pad(walls, margin, constant_values=True)
  row, column = jnp.indices(walls.shape)
  tiles = jnp.pad(floor_shade * ((row + column) % 2), margin)
  brightness = jnp.where(solid, 1.0, tiles)
  corner = position - VIEW_SPAN / 2
  first = jnp.floor(corner).astype(jnp.int32)
  crop = jax.lax.dynamic_slice(brightness, first + margin, (_CROP, _CROP))
  rows, columns = (_coverage(offset) for offset in corner - first)
  return jnp.round(255.0 * rows @ crop @ columns.T).astype(jnp.uint8)


def _coverage(offset: Float[Array, ""]) -> Float[Array, "32 cells"]:
  """Fraction of each pixel of a line that lies in each cell; `offset` is where the line starts."""
  edges = offset + jnp.arange(VIEW_PIXELS + 1) * (VIEW_SPAN / VIEW_PIXELS)
  reached = jnp.clip(edges[:, None] - jnp.arange(_CROP), 0.0, 1.0)
  return jnp.diff(reached, axis=0) * (VIEW_PIXELS / VIEW_SPAN)
