"""Buffers hold what C MuJoCo counts, for every two kinds of geoms, friction and cone."""

import itertools

import mujoco
import numpy as np
import pytest

from jaxskills.physics.capacity import capacity_of

CUBE = " ".join(f"{x} {y} {z}" for x, y, z in itertools.product((-0.1, 0.1), repeat=3))
GEOMS = {
  "plane": 'type="plane" size="1 1 1"',
  "hfield": 'type="hfield" hfield="field"',
  "sphere": 'type="sphere" size=".1"',
  "capsule": 'type="capsule" size=".1 .1"',
  "ellipsoid": 'type="ellipsoid" size=".1 .08 .12"',
  "cylinder": 'type="cylinder" size=".1 .1"',
  "box": 'type="box" size=".1 .1 .1"',
  "mesh": 'type="mesh" mesh="cube"',
}
PAIRS = [
  pair
  for pair in itertools.combinations_with_replacement(GEOMS, 2)
  if pair[1] not in ("plane", "hfield")  # these two never touch each other
]
MOST = {
  ("plane", "capsule"): 2,
  ("plane", "box"): 4,
  ("capsule", "capsule"): 2,
  ("capsule", "box"): 2,
  ("cylinder", "cylinder"): 4,
  ("box", "box"): 8,
  ("mesh", "mesh"): 4,
}
"""What C MuJoCo really reaches; there, the bound must not be larger either."""


def on(lower: str, upper: str, option: str = "", condim: tuple[int, int] = (3, 3)):
  """A geom that is fixed and one that floats freely above."""
  return mujoco.MjModel.from_xml_string(f"""
    <mujoco>
      <option {option}/>
      <asset>
        <mesh name="cube" vertex="{CUBE}"/>
        <hfield name="field" nrow="8" ncol="8" size=".2 .2 .05 .1" elevation="{"1 " * 64}"/>
      </asset>
      <worldbody>
        <geom {GEOMS[lower]} condim="{condim[0]}"/>
        <body><freejoint/><geom {GEOMS[upper]} condim="{condim[1]}" mass="1"/></body>
      </worldbody>
    </mujoco>
  """)


def places(number: int):
  """Positions `[number, 7]` near the origin: on sides and edges, turned by 45 degrees, and any."""
  generator = np.random.default_rng(0)
  half, eighth = np.sqrt(0.5), np.pi / 8
  attitudes = [
    (1, 0, 0, 0),
    (half, half, 0, 0),
    (half, 0, half, 0),
    (np.cos(eighth), 0, 0, np.sin(eighth)),
  ]
  for index in range(number):
    attitude = attitudes[index % 4] if index % 8 < 4 else generator.normal(size=4)
    side = (0, 0) if index % 2 else generator.uniform(-0.1, 0.1, 2)
    height = (0.199, 0.099, 0.049, *generator.uniform(0, 0.2, 2))[index % 5]
    yield np.array([*side, height, *attitude / np.linalg.norm(attitude)])


def counted(model: mujoco.MjModel, number: int = 200) -> tuple[int, int]:
  """The most contacts and rows over many places."""
  data, contacts, rows = mujoco.MjData(model), 0, 0
  for place in places(number):
    data.qpos[:] = place
    mujoco.mj_fwdPosition(model, data)
    contacts, rows = max(contacts, data.ncon), max(rows, data.nefc)
  return contacts, rows


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_there_is_room_for_every_contact_of_two_geoms(pair: tuple[str, str]):
  model = on(*pair)
  contacts, rows = counted(model)
  room = capacity_of(model)
  assert 0 < contacts <= room.contacts
  assert rows <= room.constraints
  if pair in MOST:
    assert contacts == room.contacts == MOST[pair]
    assert rows == room.constraints


@pytest.mark.parametrize(
  ("condim", "pyramidal", "elliptic"), [(1, 1, 1), (3, 4, 3), (4, 6, 4), (6, 10, 6)]
)
def test_rows_are_those_of_the_friction(condim: int, pyramidal: int, elliptic: int):
  for cone, rows in (("pyramidal", pyramidal), ("elliptic", elliptic)):
    for condims in ((condim, 1), (1, condim)):
      model = on("plane", "sphere", f'cone="{cone}"', condims)
      assert counted(model)[1] == capacity_of(model).constraints == rows


def test_many_pairs_are_capped():
  spheres = '<body><freejoint/><geom size=".1" condim="6"/></body>' * 20  # 190 pairs
  text = f"<mujoco><worldbody>{spheres}</worldbody></mujoco>"
  assert capacity_of(mujoco.MjModel.from_xml_string(text)) == (128, 1280)


def test_an_explicit_pair_has_its_own_friction():
  text = """
    <mujoco>
      <worldbody>
        <geom name="floor" type="plane" size="1 1 1" contype="0" conaffinity="0"/>
        <body><freejoint/><geom name="ball" size=".1" contype="0" conaffinity="0"/></body>
      </worldbody>
      <contact><pair geom1="ball" geom2="floor" condim="6"/></contact>
    </mujoco>
  """
  model = mujoco.MjModel.from_xml_string(text)
  assert counted(model) == capacity_of(model) == (1, 10)
