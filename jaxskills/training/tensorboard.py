"""TensorBoard event files, written by hand: a handful of fields of one protocol buffer.

A file is a sequence of TFRecords (length, its checksum, payload, its checksum), each an `Event`.
The libraries that write them bring a thread that dies silently when the disk is full, then blocks
its caller, and import torch wherever it is installed.
"""

import os
import socket
import struct
import time
from collections.abc import Mapping
from pathlib import Path

from jaxskills.training import storage

_POLYNOMIAL = 0x82F63B78  # CRC-32C (Castagnoli), reflected


def _crc_table() -> tuple[int, ...]:
  table = []
  for value in range(256):
    for _ in range(8):
      value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
    table.append(value)
  return tuple(table)


_CRC_TABLE = _crc_table()


class EventFile:
  """A new events file of one process; every method raises `UserError` if the disk fails."""

  def __init__(self, folder: Path, *, restart_step: int | None = None) -> None:
    """Opens the file.

    Args:
      folder: that TensorBoard is pointed at.
      restart_step: TensorBoard is to ignore events from this step on in earlier files.
    """
    name = f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}.{os.getpid()}"
    self._folder = folder
    with storage.disk_faults(f"write {folder}"):
      folder.mkdir(parents=True, exist_ok=True)
      self._file = open(folder / f"{name}.{time.time_ns()}", "wb")  # noqa: SIM115
    self._add(0, _text(3, "brain.Event:2"))
    if restart_step is not None:
      self._add(restart_step, _bytes(7, _integer(1, 1)))  # session_log.status = START

  def write(self, step: int, values: Mapping[str, float]) -> None:
    """Adds named scalars."""
    parts = [_bytes(1, _text(1, name) + _float(2, value)) for name, value in values.items()]
    self._add(step, _bytes(5, b"".join(parts)))

  def flush(self) -> None:
    """Makes all events so far durable."""
    with storage.disk_faults(f"write {self._folder}"):
      self._file.flush()
      os.fsync(self._file.fileno())

  def close(self) -> None:
    """Closes the file."""
    with storage.disk_faults(f"write {self._folder}"):
      self._file.close()

  def _add(self, step: int, content: bytes) -> None:
    event = _tag(1, 1) + struct.pack("<d", time.time()) + _integer(2, step) + content
    length = struct.pack("<Q", len(event))
    with storage.disk_faults(f"write {self._folder}"):
      self._file.write(length + _checksum(length) + event + _checksum(event))


def _checksum(content: bytes) -> bytes:
  """Masked CRC-32C, as TFRecords have it."""
  crc = 0xFFFFFFFF
  for byte in content:
    crc = _CRC_TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
  crc ^= 0xFFFFFFFF
  return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def _varint(value: int) -> bytes:
  parts = bytearray()
  while value > 0x7F:
    parts.append(value & 0x7F | 0x80)
    value >>= 7
  parts.append(value)
  return bytes(parts)


def _tag(field: int, wire_type: int) -> bytes:
  return _varint(field << 3 | wire_type)


def _integer(field: int, value: int) -> bytes:
  return _tag(field, 0) + _varint(value)


def _float(field: int, value: float) -> bytes:
  return _tag(field, 5) + struct.pack("<f", value)


def _bytes(field: int, content: bytes) -> bytes:
  return _tag(field, 2) + _varint(len(content)) + content


def _text(field: int, text: str) -> bytes:
  return _bytes(field, text.encode())
