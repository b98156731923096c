"""Panda's inertials against the table of published figures, which the model was written from."""

from pathlib import Path

import mujoco
import numpy as np
import pytest

from jaxskills.assets.panda import panda_model

TABLE = Path(__file__).parents[2].parent / "shared/reference/panda_facts.md"

pytestmark = pytest.mark.skipif(
  not TABLE.exists(), reason="needs ../shared/reference, which is not part of the package"
)


def _rows() -> dict[str, tuple[float, np.ndarray, np.ndarray]]:
  """Mass, centre of mass `[3]` and inertia `[3, 3]` by link."""
  rows = {}
  for line in TABLE.read_text().splitlines():
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    if len(cells) != 4 or not cells[1][:1].isdigit():
      continue
    xx, yy, zz, xy, xz, yz = map(float, cells[3].split())
    inertia = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    rows[cells[0]] = float(cells[1]), np.array(cells[2].split(), float), inertia
  return rows


def test_mass_centre_and_inertia_of_each_link_are_the_published_ones():
  model = panda_model()
  rows = _rows()
  assert len(rows) == 10
  for body in range(1, model.nbody):
    name = model.body(body).name
    mass, centre, inertia = rows[name.split("_")[-1]]
    rotation = np.zeros(9)
    mujoco.mju_quat2Mat(rotation, model.body_iquat[body])
    rotation = rotation.reshape(3, 3)
    assert model.body_mass[body] == pytest.approx(mass), name
    np.testing.assert_allclose(model.body_ipos[body], centre, atol=1e-9, err_msg=name)
    ours = rotation @ np.diag(model.body_inertia[body]) @ rotation.T
    np.testing.assert_allclose(ours, inertia, atol=1e-8, err_msg=name)
