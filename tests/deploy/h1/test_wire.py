"""Tests of what DDS does with our samples, between processes."""

import signal
import time

from jaxskills.deploy.h1 import messages, wire

READER = """
import sys, time
from cyclonedds.core import Policy, Qos
from cyclonedds.sub import DataReader
from jaxskills.deploy.h1 import messages, wire
link = wire.Wire("lo", int(sys.argv[1]))
qos = Qos(Policy.Reliability.Reliable(0), Policy.History.KeepLast(16))
reader = wire.Reader(link, DataReader(link._participant, link._topic(messages.LOW_COMMAND), qos),
                     messages.LOW_COMMAND)
print("ready", flush=True)
while not reader.wait(0.1):
  pass
print("heard", flush=True)
while True:
  reader.wait(0.1)
"""


def test_a_reader_that_asks_for_reliability_hears_us_and_cannot_stop_us(stage):
  reader = stage.program("reader", READER, str(stage.domain))
  reader.expect("ready")
  link = wire.Wire("lo", stage.domain)
  writer = link.writer(messages.LOW_COMMAND)
  record = messages.sign(messages.blank(messages.LOW_COMMAND))
  end = time.monotonic() + 60.0
  while "heard" not in reader.text and time.monotonic() < end:
    writer.write(record)
    time.sleep(0.01)
  reader.expect("heard", 0.0)
  reader.process.send_signal(signal.SIGSTOP)
  spent = []
  for _ in range(3000):  # what 500 Hz send in 6 s, and 2.4 MB
    begun = time.monotonic()
    writer.write(record)
    spent.append(time.monotonic() - begun)
  reader.process.send_signal(signal.SIGCONT)
  spent.sort()
  assert spent[2900] < 0.002, "a write that waits for its reader would take 100 ms, or for ever"


def test_states_without_a_crc_are_counted(domain):
  link = wire.Wire("lo", domain)
  reader, writer = link.reader(messages.LOW_STATE), link.writer(messages.LOW_STATE)
  writer.write(messages.sign(messages.blank(messages.LOW_STATE)))
  assert len(reader.wait(5.0)) == 1 and reader.unsigned == 0
  writer.write(messages.blank(messages.LOW_STATE))
  assert len(reader.wait(5.0)) == 1 and (reader.unsigned, reader.refused) == (1, 0)
