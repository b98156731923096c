"""Tests of the packed messages against CycloneDDS's own serialisation and the SDK's CRC."""

import dataclasses
import struct

import numpy as np
import pytest

from jaxskills.deploy.h1 import idl, messages
from jaxskills.deploy.h1.messages import LOW_COMMAND, LOW_STATE

KINDS = [(LOW_COMMAND, idl.LowCmd_, 812), (LOW_STATE, idl.LowState_, 1180)]


def filled(kind: np.dtype, seed: int = 0) -> np.ndarray:
  """A record of random fields; what pads it is random too."""
  noise = np.random.default_rng(seed).integers(0, 256, kind.itemsize, np.uint8)
  record = np.frombuffer(noise.tobytes(), kind).reshape(()).copy()
  record["head"], record["level_flag"] = messages.HEAD, messages.LOW_LEVEL
  for part in ("motor_cmd", "motor_state", "imu_state", ""):
    if part and part not in kind.names:
      continue
    view = record[part] if part else record
    for name in view.dtype.names:
      if view.dtype[name].base.kind == "f":
        view[name] = np.linspace(-3.0, 3.0, view[name].size).reshape(view[name].shape)
  return record


def as_idl(record, kind):
  """The same values in the class that CycloneDDS serialises."""
  values = {}
  for field in dataclasses.fields(kind):
    value = record[field.name]
    inner = {"motor_cmd": idl.MotorCmd_, "motor_state": idl.MotorState_}.get(field.name)
    single = {"bms_cmd": idl.BmsCmd_, "imu_state": idl.IMUState_, "bms_state": idl.BmsState_}
    if inner is not None:
      values[field.name] = [as_idl(entry, inner) for entry in value]
    elif field.name in single:
      values[field.name] = as_idl(value, single[field.name])
    else:
      values[field.name] = value.tolist()
  return kind(**values)


@pytest.mark.parametrize(("kind", "type_", "size"), KINDS)
def test_a_record_is_laid_out_as_the_sdk_lays_out_the_struct(kind, type_, size):
  assert kind.itemsize == size
  assert list(kind.names) == [field.name for field in dataclasses.fields(type_)]


@pytest.mark.parametrize(("kind", "type_", "size"), KINDS)
def test_the_bytes_are_those_that_cyclonedds_writes(kind, type_, size):
  record = messages.sign(filled(kind))
  own = as_idl(record, type_).serialize()
  packed = messages.encode(record)
  assert len(packed) == size  # four less in CDR than in memory, four of a header more
  assert packed == own.ljust(len(packed), b"\0")


@pytest.mark.parametrize(("kind", "type_", "size"), KINDS)
def test_what_was_packed_comes_back(kind, type_, size):
  record = messages.sign(filled(kind))
  found = messages.decode(messages.encode(record), kind)
  assert messages.is_intact(found)
  assert as_idl(found, type_) == as_idl(record, type_)


def slow_crc(words, bits: int = 32) -> int:
  """CRC-32/MPEG-2, bit by bit, most significant first."""
  crc = 0xFFFFFFFF
  for word in words:
    for bit in range(bits - 1, -1, -1):
      carry = crc >> 31 ^ (word >> bit & 1)
      crc = (crc << 1 & 0xFFFFFFFF) ^ (0x04C11DB7 if carry else 0)
  return crc


def test_the_slow_crc_gives_the_published_check_value():
  assert slow_crc(b"123456789", bits=8) == 0x0376E6E7


@pytest.mark.parametrize(("kind", "type_", "size"), KINDS)
def test_the_crc_is_over_every_word_but_the_last(kind, type_, size):
  clean = messages.decode(messages.encode(filled(kind)), kind)
  words = struct.unpack(f"<{size // 4 - 1}I", clean.tobytes()[:-4])
  assert messages.checksum(clean) == slow_crc(words)


@pytest.mark.parametrize(("kind", "type_", "size"), KINDS)
def test_what_pads_the_struct_is_not_part_of_the_message(kind, type_, size):
  record = messages.sign(filled(kind))
  padded = bytearray(record.tobytes())
  padded[22] ^= 0xFF  # behind `bandwidth`
  other = np.frombuffer(padded, kind).reshape(())
  assert messages.is_intact(other)
  assert messages.encode(other) == messages.encode(record)


@pytest.mark.parametrize("kind", [LOW_COMMAND, LOW_STATE])
def test_every_flipped_byte_is_noticed(kind):
  packed = messages.encode(messages.sign(filled(kind)))
  unnoticed = []
  for index in range(4, len(packed)):
    damaged = bytearray(packed)
    damaged[index] ^= 0x10
    found = messages.decode(bytes(damaged), kind)
    if messages.is_intact(found) and messages.encode(found) != packed:
      unnoticed.append(index)
  assert not unnoticed


def test_a_state_without_a_crc_is_taken_and_one_with_a_wrong_crc_is_not():
  state = messages.sign(filled(LOW_STATE))
  wrong = state.copy()
  wrong["crc"] ^= 1
  assert not messages.is_intact(wrong)
  assert messages.is_intact(state) and not messages.is_unsigned(state)
  state["crc"] = 0
  assert messages.is_intact(state) and messages.is_unsigned(state)
  state["head"] = 0
  assert messages.is_intact(state)
  state["head"] = 1, 2
  assert not messages.is_intact(state)


def test_a_command_without_a_crc_is_not_taken():
  command = filled(LOW_COMMAND)
  command["crc"] = 0
  assert not messages.is_intact(command) and not messages.is_unsigned(command)


def test_what_is_too_short_or_of_another_byte_order_is_no_message():
  packed = messages.encode(messages.sign(messages.blank(LOW_STATE)))
  assert messages.decode(packed, LOW_STATE) is not None
  assert messages.decode(packed[:-1], LOW_STATE) is None
  assert messages.decode(b"\0\0" + packed[2:], LOW_STATE) is None
  assert messages.decode(b"", LOW_STATE) is None
