"""CycloneDDS as the H1 uses it: two topics, the newest sample only, one network interface.

On loopback there is no multicast: participants find each other by unicast to 127.0.0.1. Samples go
in and out as bytes that `messages.py` packs; the IDL classes only tell DDS what the types are.
"""

import re
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from cyclonedds._clayer import ddspy_take, ddspy_write
from cyclonedds.builtin import BuiltinDataReader, BuiltinTopicDcpsPublication
from cyclonedds.core import DDSException, Policy, Qos
from cyclonedds.domain import Domain, DomainParticipant
from cyclonedds.pub import DataWriter
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic

from jaxskills.deploy.h1 import idl, messages
from jaxskills.errors import UserError

COMMAND_TOPIC, STATE_TOPIC = "rt/lowcmd", "rt/lowstate"
_TYPES = {messages.LOW_COMMAND: idl.LowCmd_, messages.LOW_STATE: idl.LowState_}
_TOPICS = {messages.LOW_COMMAND: COMMAND_TOPIC, messages.LOW_STATE: STATE_TOPIC}
_LAST_DOMAIN = 232  # beyond it DDS' ports do not fit into 16 bits
_ANY = 0x7F  # samples, views and instances in whatever state
_DEPTH = 16  # samples kept for a reader that is late: 32 ms at 500 Hz
_LOOPBACK = """
<General><AllowMulticast>false</AllowMulticast>
<Interfaces><NetworkInterface name="{interface}" multicast="false"/></Interfaces></General>
<Discovery><ParticipantIndex>auto</ParticipantIndex><MaxAutoParticipantIndex>31</MaxAutoParticipantIndex>
<Peers><Peer address="127.0.0.1"/></Peers></Discovery>"""
_NETWORK = """
<General><Interfaces><NetworkInterface name="{interface}"/></Interfaces></General>"""


class Publication(NamedTuple):
  """A writer somewhere on the network.

  Attributes:
    participant: whose it is, as hexadecimal digits.
    topic: that it writes.
    type_name: of its samples.
  """

  participant: str
  topic: str
  type_name: str


class Wire:
  """A participant on one interface."""

  def __init__(self, interface: str, domain: int = 0) -> None:
    """Joins a DDS domain.

    Args:
      interface: of this machine, such as `eth0`, or `lo` for a simulated robot.
      domain: the DDS domain; the robot's is 0.

    Raises:
      UserError: if the name is none of an interface, or DDS cannot use it.
    """
    if not 0 <= domain <= _LAST_DOMAIN:
      raise UserError(f"--domain is a number from 0 to {_LAST_DOMAIN}, not {domain}.")
    if not re.fullmatch(r"[A-Za-z0-9_.:@-]{1,32}", interface):
      raise UserError(f"'{interface}' is no name of a network interface; see 'ip link'.")
    inside = (_LOOPBACK if interface == "lo" else _NETWORK).format(interface=interface)
    text = f'<CycloneDDS><Domain Id="any">{inside}</Domain></CycloneDDS>'
    try:
      self._domain = Domain(domain, text)
      self._participant = DomainParticipant(domain)
      self._publications = BuiltinDataReader(self._participant, BuiltinTopicDcpsPublication)
    except DDSException as error:
      raise UserError(
        f"DDS cannot use interface {interface} in domain {domain} ({error.msg}); see 'ip link' for "
        "the names and name one that is up."
      ) from error
    self._topics: dict[np.dtype, Topic] = {}

  @property
  def identity(self) -> str:
    """This participant, as `Publication.participant` calls it."""
    return self._participant.guid.hex

  def writer(self, kind: np.dtype) -> "Writer":
    """Sends records of that kind on their topic.

    It offers reliability, as the SDK's does: a reader that asks for it would else never hear it. A
    newer sample takes an older one's place whether that has been acknowledged or not, so that a
    reader that stops reading holds nobody up.
    """
    qos = Qos(Policy.Reliability.Reliable(max_blocking_time=0), Policy.History.KeepLast(1))
    return Writer(self, DataWriter(self._participant, self._topic(kind), qos))

  def reader(self, kind: np.dtype, *, foreign_only: bool = False) -> "Reader":
    """Takes records of that kind from their topic.

    Args:
      kind: `messages.LOW_COMMAND` or `messages.LOW_STATE`.
      foreign_only: leave out what this participant writes itself.
    """
    policies = [Policy.Reliability.BestEffort, Policy.History.KeepLast(_DEPTH)]
    if foreign_only:
      policies.append(Policy.IgnoreLocal.Participant)
    return Reader(self, DataReader(self._participant, self._topic(kind), Qos(*policies)), kind)

  def publications(self) -> list[Publication]:
    """Writers of other participants that are there now."""
    found = []
    for sample in self._publications.read(256):
      if not sample.sample_info.valid_data or sample.participant_key.hex == self.identity:
        continue
      if sample.sample_info.instance_state == 16:  # alive
        found.append(Publication(sample.participant_key.hex, sample.topic_name, sample.type_name))
    return found

  def _topic(self, kind: np.dtype) -> Topic:
    if kind not in self._topics:
      self._topics[kind] = Topic(self._participant, _TOPICS[kind], _TYPES[kind])
    return self._topics[kind]


class Writer:
  """Sends records; made by `Wire.writer`."""

  def __init__(self, wire: Wire, writer: DataWriter) -> None:
    """Keeps the writer and what it lives in."""
    self._wire, self._writer = wire, writer

  def write(self, record: np.ndarray) -> None:
    """Sends one record as it is; `messages.sign` it first.

    Raises:
      OSError: if DDS does not take it.
    """
    code = ddspy_write(self._writer._ref, messages.encode(record))
    if code < 0:
      raise OSError(f"DDS did not take a sample (code {code})")


class Reader:
  """Takes records; made by `Wire.reader`.

  Attributes:
    refused: samples so far that were of another size, head or CRC.
    unsigned: states so far that were taken without a CRC.
  """

  def __init__(self, wire: Wire, reader: DataReader, kind: np.dtype) -> None:
    """Keeps the reader and what it lives in."""
    self._wire, self._reader, self._kind = wire, reader, kind
    self.refused = self.unsigned = 0

  def take(self) -> Sequence[np.ndarray]:
    """The intact records that came since the last call, oldest first.

    Raises:
      OSError: if DDS fails.
    """
    samples = ddspy_take(self._reader._ref, _ANY, _DEPTH)
    if isinstance(samples, int):
      raise OSError(f"DDS gave no samples (code {samples})")
    records = []
    for content, info in samples:
      if not info.valid_data:  # a writer left
        continue
      record = messages.decode(content, self._kind)
      if record is not None and messages.is_intact(record):
        records.append(record)
        self.unsigned += messages.is_unsigned(record)
      else:
        self.refused += 1
    return records

  def wait(self, seconds: float) -> Sequence[np.ndarray]:
    """What comes first within that time; nothing where nothing comes."""
    end = time.monotonic() + seconds
    while not (records := self.take()) and time.monotonic() < end:
      time.sleep(0.002)
    return records
