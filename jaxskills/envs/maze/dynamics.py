"""The maze's point mass: a force-driven ball on a grid of unit walls, in pure JAX.

SPiRL (Pertsch et al. 2020), appendix C, with the constants of its simulator: a sphere of radius
0.1 m and density 1000 kg/m^3, two slide joints with damping 1, motors of gear 100, 100 Hz,
velocity clipped to 5 m/s per axis before every step. The ball sees two coordinates and forces
along them, no gravity and no friction. Integration is MuJoCo's: semi-implicit Euler with implicit
joint damping. Walls stop the ball dead along their normal and let it slide along them.

The frame: a position is (row, column) in metres, the border included, so that cell `(i, j)` is the
square `[i, i + 1) x [j, j + 1)` and its centre `(i + .5, j + .5)`.
"""

import math

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

RADIUS = 0.1  # m
MASS = 4.0 / 3.0 * math.pi * RADIUS**3 * 1000.0  # kg, 4.19
DAMPING = 1.0  # N s/m
GEAR = 100.0  # N at full action
STEP_SECONDS = 0.01
MAX_SPEED = 5.0  # m/s, per axis


def advance(
  walls: Bool[Array, "rows columns"],
  position: Float[Array, "2"],
  velocity: Float[Array, "2"],
  action: Float[Array, "2"],
) -> tuple[Float[Array, "2"], Float[Array, "2"]]:
  """Moves the ball for one control step of 0.01 s.

  Args:
    walls: true where a cell is solid; the outermost cells must be.
    position: centre of the ball in m, at least a radius away from every wall.
    velocity: in m/s.
    action: force as a fraction of the motors' 100 N, clipped to [-1, 1].

  Returns:
    The next position and velocity. The speed after contact never exceeds the speed before it.
  """
  velocity = jnp.clip(velocity, -MAX_SPEED, MAX_SPEED)
  force = GEAR * jnp.clip(action, -1.0, 1.0)
  velocity = (MASS * velocity + STEP_SECONDS * force) / (MASS + STEP_SECONDS * DAMPING)
  return resolve_contact(walls, position + STEP_SECONDS * velocity, velocity)


def resolve_contact(
  walls: Bool[Array, "rows columns"],
  position: Float[Array, "2"],
  velocity: Float[Array, "2"],
) -> tuple[Float[Array, "2"], Float[Array, "2"]]:
  """Pushes the ball out of walls and takes away the velocity into them.

  A step moves the ball by at most 0.053 m per axis, less than its radius, so its centre stays in a
  free cell and only that cell's nearer row neighbour, nearer column neighbour and the cell
  diagonal between them can be touched: two faces and one corner, resolved exactly.
  """
  cell = jnp.floor(position).astype(jnp.int32)
  inside = position - cell
  side = jnp.where(inside > 0.5, 1, -1)
  depth = RADIUS - jnp.where(side > 0, 1.0 - inside, inside)  # > 0: past the line of that face
  row_wall = walls[cell[0] + side[0], cell[1]]
  column_wall = walls[cell[0], cell[1] + side[1]]
  corner_wall = walls[cell[0] + side[0], cell[1] + side[1]]

  touches_face = jnp.stack([row_wall, column_wall]) & (depth > 0.0)
  position = jnp.where(touches_face, position - side * depth, position)
  velocity = jnp.where(touches_face & (velocity * side > 0.0), 0.0, velocity)

  corner = cell + (side > 0)
  away = position - corner
  distance = jnp.sqrt(jnp.maximum(jnp.sum(away**2), 1e-12))
  normal = away / distance
  touches_corner = corner_wall & ~row_wall & ~column_wall & (distance < RADIUS)
  inward = jnp.minimum(jnp.sum(velocity * normal), 0.0)
  position = jnp.where(touches_corner, corner + RADIUS * normal, position)
  velocity = jnp.where(touches_corner, velocity - inward * normal, velocity)
  return position, velocity
