"""Unitree's low-level messages: their fields, their layout in memory and on the wire, their CRC.

Names, order and types of the fields are those of the published IDL (`unitree_go`, which the H1
shares with the Go2). A message here is one NumPy record with the layout that a C compiler gives the
struct: the CRC is over that layout, and arrays of motors are plain strided views. On the wire (CDR,
little endian) nothing is padded to a struct's size, so the first motor's mode moves; all else stays
where it is. Serialising the IDL classes field by field costs about a millisecond in Python, this
costs microseconds.
"""

import zlib

import numpy as np

HEAD, LOW_LEVEL = (0xFE, 0xEF), 0xFF
POSITION_STOP, VELOCITY_STOP = 2.146e9, 16000.0  # the SDK's "no target"; only ever with zero gains
_CDR_HEADER = bytes((0, 1, 0, 0))  # plain CDR, little endian
_LITTLE_ENDIAN = {b"\x00\x01", b"\x00\x07"}  # CDR and CDR2: the same for fields up to 4 bytes


_HEADER = [
  ("head", "u1", 2),
  ("level_flag", "u1"),
  ("frame_reserve", "u1"),
  ("sn", "<u4", 2),
  ("version", "<u4", 2),
  ("bandwidth", "<u2"),
]
_MOTOR_CMD = np.dtype(
  [
    ("mode", "u1"),
    *((name, "<f4") for name in ("q", "dq", "tau", "kp", "kd")),
    ("reserve", "<u4", 3),
  ],
  align=True,
)
_IMU = np.dtype(
  [
    ("quaternion", "<f4", 4),
    ("gyroscope", "<f4", 3),
    ("accelerometer", "<f4", 3),
    ("rpy", "<f4", 3),
    ("temperature", "u1"),
  ],
  align=True,
)
_MOTOR_STATE = np.dtype(
  [
    ("mode", "u1"),
    *((name, "<f4") for name in ("q", "dq", "ddq", "tau_est", "q_raw", "dq_raw", "ddq_raw")),
    ("temperature", "u1"),
    ("lost", "<u4"),
    ("reserve", "<u4", 2),
  ],
  align=True,
)
_BMS = np.dtype(
  [
    *((name, "u1") for name in ("version_high", "version_low", "status", "soc")),
    ("current", "<i4"),
    ("cycle", "<u2"),
    ("bq_ntc", "u1", 2),
    ("mcu_ntc", "u1", 2),
    ("cell_vol", "<u2", 15),
  ],
  align=True,
)
LOW_COMMAND = np.dtype(
  [
    *_HEADER,
    ("motor_cmd", _MOTOR_CMD, 20),
    ("bms_cmd", [("off", "u1"), ("reserve", "u1", 3)]),
    ("wireless_remote", "u1", 40),
    ("led", "u1", 12),
    ("fan", "u1", 2),
    ("gpio", "u1"),
    ("reserve", "<u4"),
    ("crc", "<u4"),
  ],
  align=True,
)
"""`LowCmd_` in memory: 812 bytes."""

LOW_STATE = np.dtype(
  [
    *_HEADER,
    ("imu_state", _IMU),
    ("motor_state", _MOTOR_STATE, 20),
    ("bms_state", _BMS),
    ("foot_force", "<i2", 4),
    ("foot_force_est", "<i2", 4),
    ("tick", "<u4"),
    ("wireless_remote", "u1", 40),
    ("bit_flag", "u1"),
    ("adc_reel", "<f4"),
    ("temperature_ntc1", "u1"),
    ("temperature_ntc2", "u1"),
    ("power_v", "<f4"),
    ("power_a", "<f4"),
    ("fan_frequency", "<u2", 4),
    ("reserve", "<u4"),
    ("crc", "<u4"),
  ],
  align=True,
)
"""`LowState_` in memory: 1180 bytes."""

# Where the first motor's mode is in memory, and where CDR has it: right behind what is before it.
_MODE = {LOW_COMMAND: (24, 22), LOW_STATE: (80, 77)}
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def _mask(kind: np.dtype) -> np.ndarray:
  """255 at the bytes of fields and 0 at those that pad, uint8 `[itemsize]`."""
  mask = np.zeros(kind.itemsize, np.uint8)
  if kind.subdtype is not None:
    base, shape = kind.subdtype
    return np.tile(_mask(base), int(np.prod(shape)))
  if kind.fields is None:
    return mask + np.uint8(255)
  for field, offset, *_ in kind.fields.values():
    mask[offset : offset + field.itemsize] = _mask(field)
  return mask


_MASKS = {kind: _mask(kind) for kind in (LOW_COMMAND, LOW_STATE)}


def _memory(record: np.ndarray) -> bytes:
  """The struct's bytes with zeros where it pads: NumPy leaves there what was there before."""
  return (np.frombuffer(record.tobytes(), np.uint8) & _MASKS[record.dtype]).tobytes()


def blank(kind: np.dtype) -> np.ndarray:
  """A record `[]` of zeros with the SDK's head and level."""
  record = np.zeros((), kind)
  record["head"], record["level_flag"] = HEAD, LOW_LEVEL
  return record


def checksum(record: np.ndarray) -> int:
  """The SDK's CRC of a record: all 32-bit words but the last, most significant bit first.

  Polynomial 0x04C11DB7, start 0xFFFFFFFF, nothing reflected (CRC-32/MPEG-2 of big-endian words).
  zlib's reflects bits and inverts the end; reversing the bits of what goes in and comes out gives
  the other.
  """
  words = np.frombuffer(_memory(record), "<u4")[:-1]
  reflected = zlib.crc32(words.byteswap().tobytes().translate(_REVERSED)) ^ 0xFFFFFFFF
  return int.from_bytes(reflected.to_bytes(4, "little").translate(_REVERSED), "big")


def sign(record: np.ndarray) -> np.ndarray:
  """The same record, its CRC set."""
  record["crc"] = checksum(record)
  return record


def is_intact(record: np.ndarray) -> bool:
  """Whether head and CRC are what the SDK writes; a state may also be unsigned."""
  head = tuple(record["head"])
  if is_unsigned(record):
    return head in (HEAD, (0, 0))
  return head == HEAD and int(record["crc"]) == checksum(record)


def is_unsigned(record: np.ndarray) -> bool:
  """Whether it is a state without a CRC: some firmware and simulators sign commands only."""
  return int(record["crc"]) == 0 and record.dtype == LOW_STATE


def encode(record: np.ndarray) -> bytes:
  """A record as CDR, with its encapsulation header."""
  memory, (inner, outer) = _memory(record), _MODE[record.dtype]
  return b"".join(
    (
      _CDR_HEADER,
      memory[:outer],
      memory[inner : inner + 1],
      bytes(inner - outer - 1),
      memory[inner + 4 :],
    )
  )


def decode(content: bytes, kind: np.dtype) -> np.ndarray | None:
  """The record that CDR bytes hold, or None where they are of another size or byte order."""
  inner, outer = _MODE[kind]
  if content[:2] not in _LITTLE_ENDIAN or len(content) < 4 + kind.itemsize - 4:
    return None
  body = memoryview(content)[4 : kind.itemsize]
  memory = bytearray(kind.itemsize)
  memory[:outer] = body[:outer]
  memory[inner] = body[outer]
  memory[inner + 4 :] = body[inner:]
  return np.frombuffer(memory, kind).reshape(())
