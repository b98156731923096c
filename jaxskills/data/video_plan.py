"""What a `VideoStore` will hold, known before its first frame."""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jaxskills.data.video_store import FORMAT, VideoIndex


@dataclass(frozen=True)
class StorePlan:
  """All that is known of a store before its first frame.

  Attributes:
    index: see `video_store.make_index`.
    names: of the videos.
    tasks: names that `index.task` counts.
    views: names of the cameras.
    rows: height of a picture in pixels.
    columns: width of a picture in pixels.
    labels: dtype and shape of a frame's value by name, e.g. `{"joints": ("float32", (7,))}`.
    recipe: what makes the videos, as JSON types: a folder of another recipe is refused.
  """

  index: VideoIndex
  names: tuple[str, ...]
  tasks: tuple[str, ...]
  views: tuple[str, ...]
  rows: int
  columns: int
  labels: Mapping[str, tuple[str, tuple[int, ...]]] = field(default_factory=dict)
  recipe: Mapping[str, Any] = field(default_factory=dict)

  @property
  def shape(self) -> tuple[int, int, int, int]:
    """Of one frame: view, rows, columns, colour."""
    return (len(self.views), self.rows, self.columns, 3)

  def rows_of(self, video: int) -> slice:
    """Where a video will lie."""
    start = int(self.index.start[video])
    return slice(start, start + int(self.index.length[video]))

  def index_bytes(self) -> bytes:
    """The index as an `.npz` file; the same at every call."""
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **self.index._asdict())
    return content.getvalue()

  def describe(self) -> dict[str, Any]:
    """What must be equal for a folder to go on, as JSON gives it back."""
    fields = {
      "format": FORMAT,
      "recipe": dict(self.recipe),
      "index_sha256": hashlib.sha256(self.index_bytes()).hexdigest(),
      "shape": self.shape,
      "tasks": self.tasks,
      "views": self.views,
      "names": self.names,
      "labels": {
        name: (np.dtype(dtype).str, sizes) for name, (dtype, sizes) in self.labels.items()
      },
    }
    return json.loads(json.dumps(fields))

  def check(self) -> None:
    """Raises a `ValueError` if the plan contradicts itself."""
    videos = len(self.index.length)
    if len(self.names) != videos or len(set(self.names)) != videos:
      raise ValueError(f"{videos} videos need as many different names, got {len(set(self.names))}")
    if not self.tasks or self.index.task.min() < 0 or self.index.task.max() >= len(self.tasks):
      raise ValueError(f"task {self.index.task.max()} has no name among {self.tasks}")
    if not self.views or len(set(self.views)) != len(self.views):
      raise ValueError(f"views need different names, got {self.views}")
    if self.rows < 1 or self.columns < 1:
      raise ValueError(f"pictures of {self.rows} x {self.columns} pixels")
    if bad := [name for name in self.labels if not name.isidentifier()]:
      raise ValueError(f"'{bad[0]}' cannot be the name of a label")
