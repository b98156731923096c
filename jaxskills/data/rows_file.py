"""An `.npy` file of known size whose rows are written in place, by one process or several."""

import io
import os
from pathlib import Path

import numpy as np


class RowsFile:
  """An array on disk that takes rows in any order; `numpy.load` reads it at any time.

  Written with `pwrite`, not through a memory map: a full disk is an `OSError` here, and there a
  signal that kills.
  """

  def __init__(self, path: Path, dtype: np.dtype, shape: tuple[int, ...]):
    """Makes the file and reserves its room, unless one of the same array is there.

    Raises:
      OSError: if there is no room; then there is no file either.
    """
    self.dtype, self.shape = dtype, shape
    header = io.BytesIO()
    described = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False}
    np.lib.format.write_array_header_1_0(header, {**described, "shape": shape})
    self._begin = header.tell()
    self._row_bytes = dtype.itemsize * int(np.prod(shape[1:], dtype=np.int64))
    size = self._begin + self._row_bytes * shape[0]
    self.is_new = not path.exists() or path.stat().st_size != size
    self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
      if self.is_new:
        os.ftruncate(self._file, size)
        if hasattr(os, "posix_fallocate"):  # not on macOS
          os.posix_fallocate(self._file, 0, size)
        os.pwrite(self._file, header.getvalue(), 0)
    except OSError:
      os.close(self._file)
      path.unlink()
      raise

  def write(self, row: int, values: np.ndarray) -> memoryview:
    """Writes rows from `row` on; returns their bytes."""
    content = np.ascontiguousarray(values).data.cast("B")
    done = 0
    while done < len(content):
      done += os.pwrite(self._file, content[done:], self._begin + self._row_bytes * row + done)
    return content

  def sync(self) -> None:
    """Returns once all is on the disk."""
    os.fsync(self._file)

  def close(self) -> None:
    """Closes the file."""
    os.close(self._file)
