"""Unitree's low-level messages as CycloneDDS knows them: the published IDL of `unitree_go`.

The H1 shares these types with the Go2. DDS needs them to name and match the topics; what is sent
and taken is packed by `messages.py`, which has the same fields in the same order.
"""

from typing import Any

from cyclonedds.idl import make_idl_struct, types
from cyclonedds.idl.annotations import autoid, final
from cyclonedds.idl.types import float32, int16, int32, uint8, uint16, uint32

_many: Any = types.array


def _struct(name: str, **fields: Any) -> Any:
  """A final struct of `unitree_go`, members numbered in order."""
  made = make_idl_struct(name, f"unitree_go.msg.dds_.{name}", fields)
  return final(autoid("sequential")(made))


_HEADER = {
  "head": _many[uint8, 2],
  "level_flag": uint8,
  "frame_reserve": uint8,
  "sn": _many[uint32, 2],
  "version": _many[uint32, 2],
  "bandwidth": uint16,
}
BmsCmd_ = _struct("BmsCmd_", off=uint8, reserve=_many[uint8, 3])
MotorCmd_ = _struct(
  "MotorCmd_",
  mode=uint8,
  q=float32,
  dq=float32,
  tau=float32,
  kp=float32,
  kd=float32,
  reserve=_many[uint32, 3],
)
LowCmd_ = _struct(
  "LowCmd_",
  **_HEADER,
  motor_cmd=_many[MotorCmd_, 20],
  bms_cmd=BmsCmd_,
  wireless_remote=_many[uint8, 40],
  led=_many[uint8, 12],
  fan=_many[uint8, 2],
  gpio=uint8,
  reserve=uint32,
  crc=uint32,
)
"""What the motors are told, on `rt/lowcmd`."""

IMUState_ = _struct(
  "IMUState_",
  quaternion=_many[float32, 4],
  gyroscope=_many[float32, 3],
  accelerometer=_many[float32, 3],
  rpy=_many[float32, 3],
  temperature=uint8,
)
MotorState_ = _struct(
  "MotorState_",
  mode=uint8,
  q=float32,
  dq=float32,
  ddq=float32,
  tau_est=float32,
  q_raw=float32,
  dq_raw=float32,
  ddq_raw=float32,
  temperature=uint8,
  lost=uint32,
  reserve=_many[uint32, 2],
)
BmsState_ = _struct(
  "BmsState_",
  version_high=uint8,
  version_low=uint8,
  status=uint8,
  soc=uint8,
  current=int32,
  cycle=uint16,
  bq_ntc=_many[uint8, 2],
  mcu_ntc=_many[uint8, 2],
  cell_vol=_many[uint16, 15],
)
LowState_ = _struct(
  "LowState_",
  **_HEADER,
  imu_state=IMUState_,
  motor_state=_many[MotorState_, 20],
  bms_state=BmsState_,
  foot_force=_many[int16, 4],
  foot_force_est=_many[int16, 4],
  tick=uint32,
  wireless_remote=_many[uint8, 40],
  bit_flag=uint8,
  adc_reel=float32,
  temperature_ntc1=uint8,
  temperature_ntc2=uint8,
  power_v=float32,
  power_a=float32,
  fan_frequency=_many[uint16, 4],
  reserve=uint32,
  crc=uint32,
)
"""What the robot says of itself, on `rt/lowstate`."""
