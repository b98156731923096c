"""What drawing has to know of a data set of demonstrations: whose scenes, and what is where."""

import importlib
import importlib.resources
from collections.abc import Mapping
from typing import Any, NamedTuple

from jaxskills.envs.tabletop.tasks import TASKS


class RecordedWorld(NamedTuple):
  """Of the records of one data set.

  Attributes:
    scenes: module with `Scene.from_json`, `make_model` and `FRAMES_PER_SECOND`. It is imported only
      where it is needed, since a world may bring much with it.
    tasks: all there can be, in order.
    joints: how many positions come first and are the label `joints`.
    objects: from which position to which the poses of objects are, the label `objects`.
    code: files (package, name) that decide, with the records, how a world looks.
  """

  scenes: str
  tasks: tuple[str, ...]
  joints: int
  objects: tuple[int, int | None]
  code: tuple[tuple[str, str], ...]

  def load(self) -> Any:
    """The module of the scenes."""
    return importlib.import_module(self.scenes)

  def code_bytes(self) -> bytes:
    """The content of the files of `code`."""
    return b"".join(
      importlib.resources.files(package).joinpath(name).read_bytes() for package, name in self.code
    )


_LOOKS = (
  ("jaxskills.envs.tabletop", "looks.py"),
  ("jaxskills.envs.tabletop", "furnishing.py"),
  ("jaxskills.physics", "drawing.py"),
  ("jaxskills.data", "render_worker.py"),
)

WORLDS: Mapping[str, RecordedWorld] = {
  "multiview_blocks": RecordedWorld(
    "jaxskills.envs.tabletop.scene",
    tuple(TASKS),
    joints=7,
    objects=(9, None),
    code=(
      ("jaxskills.envs.tabletop", "scene.py"),
      ("jaxskills.assets", "panda.py"),
      ("jaxskills.assets", "panda.xml"),
      *_LOOKS,
    ),
  ),
  "multiview_pouring": RecordedWorld(
    "jaxskills.envs.pouring.scene",
    ("pouring",),
    joints=7,
    objects=(7, 21),
    code=(
      ("jaxskills.envs.pouring", "scene.py"),
      ("jaxskills.envs.pouring", "vessels.py"),
      ("jaxskills.envs.pouring", "hand.py"),
      *_LOOKS,
    ),
  ),
}
"""By the names of the data sets that `render.render_videos` can draw."""
