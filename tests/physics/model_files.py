"""Models as a stranger might give them: texts, files, and how a refusal is read."""

import struct
import zlib

import numpy as np
import pytest

from jaxskills.errors import UserError
from jaxskills.physics.model_file import load_model

BALL = (
  '<mujoco><worldbody><body name="ball"><freejoint/><geom size=".1"/></body></worldbody></mujoco>'
)
MESHES = """
<mujoco>
  <compiler meshdir="meshes"/>
  <asset>
    <mesh file="Tetra.Hedron.STL"/>
    <mesh name="again" file="Tetra.Hedron.STL" scale="2 2 2"/>
    <hfield file="hills.png" size="1 1 1 .1"/>
    <texture type="2d" file="wood.png"/>
    <material name="wooden" texture="wood"/>
  </asset>
  <worldbody>
    <geom type="hfield" hfield="hills"/>
    <body pos="0 0 2">
      <freejoint/>
      <geom type="mesh" mesh="Tetra.Hedron" material="wooden"/>
      <geom type="mesh" mesh="again"/>
    </body>
  </worldbody>
</mujoco>
"""


def tetrahedron():
  """A binary STL."""
  corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
  faces = [[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]
  triangles = b"".join(bytes(12) + corners[face].tobytes() + bytes(2) for face in faces)
  return bytes(80) + struct.pack("<I", len(faces)) + triangles


def picture(rows=4, columns=4):
  """A grey PNG."""

  def chunk(kind, content):
    checked = kind + content
    return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

  lines = b"".join(b"\0" + bytes([40 * (row % 6)]) * columns for row in range(rows))
  header = struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0)
  parts = [(b"IHDR", header), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b"")]
  return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def write(tmp_path, text, name="model.xml"):
  path = tmp_path / name
  path.write_bytes(text if isinstance(text, bytes) else text.encode())
  return path


def refusal(path):
  with pytest.raises(UserError) as caught:
    load_model(path)
  message = str(caught.value)
  assert "\n" not in message
  return message


def make_robot(tmp_path):
  """A folder with a model that has files."""
  folder = tmp_path / "robot"
  (folder / "meshes").mkdir(parents=True)
  (folder / "meshes" / "Tetra.Hedron.STL").write_bytes(tetrahedron())
  (folder / "meshes" / "hills.png").write_bytes(picture())
  (folder / "wood.png").write_bytes(picture())
  (folder / "robot.xml").write_text(MESHES)
  return folder
