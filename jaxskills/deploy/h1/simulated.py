"""A simulated H1 on the robot's own DDS topics, in real time, over a network as bad as asked.

Every physics step (500 Hz) it takes commands from `rt/lowcmd`, drops those whose CRC is wrong,
moves the body, and sends `rt/lowstate`. Loss, delay and jitter act on both topics. Without commands
the motors keep to the last one, which is the worst that a robot could do.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jaxskills.deploy.h1 import commands, messages, priority
from jaxskills.deploy.h1.body import Body, Harness
from jaxskills.deploy.h1.network import Channel, Faults
from jaxskills.deploy.h1.wire import Wire

TIMESTEP = 0.002
_BEHIND_SECONDS = 0.1  # what a busy machine may lag before the clock is given up on


class Plan(NamedTuple):
  """How the simulated robot behaves. Times count from when its motors first hold, in s.

  Attributes:
    interface: network interface.
    domain: DDS domain.
    faults: of the network, in both directions.
    seconds: to run, or None until it is stopped; from the start of the process.
    harness: when it lets go.
    freeze_at: when the states stop changing (the last one is sent over and over).
    tip_at: when somebody tips the robot over.
    remote: bytes of the wireless remote over time: pairs of a time since the start and bytes.
    seed: of the network and the first pose.
  """

  interface: str
  domain: int = 0
  faults: Faults = Faults()
  seconds: float | None = None
  harness: Harness = Harness()
  freeze_at: float | None = None
  tip_at: float | None = None
  remote: tuple[tuple[float, bytes], ...] = ()
  seed: int = 0


def simulate(plan: Plan, say: Callable[[str], None]) -> dict[str, Any]:
  """Runs until the time is over or a signal comes; what happened, as JSON values.

  Raises:
    UserError: if DDS cannot use the interface.
  """
  priority.raise_to(priority.SIMULATION)
  link = Wire(plan.interface, plan.domain)
  robot = _Robot(plan, link)
  say(f"robot    hangs in its harness on {plan.interface}, domain {plan.domain}; Ctrl-C ends it")
  say("robot    is for one walk: start it anew for the next")
  begun = due = time.monotonic()
  told: set[str] = set()
  skipped = 0.0
  try:
    while plan.seconds is None or time.monotonic() - begun < plan.seconds:
      robot.step(time.monotonic())
      for event in robot.body.events.keys() - told:
        say(f"robot    {event} at {robot.body.events[event]:.2f} s")
      told.update(robot.body.events)
      due += TIMESTEP
      behind = time.monotonic() - due
      if behind > _BEHIND_SECONDS:
        skipped, due = skipped + behind, due + behind
      time.sleep(max(0.0, -behind))
  except KeyboardInterrupt:
    say("robot    ends")
  return {**robot.report(), "skipped_seconds": skipped}


class _Robot:
  """Body, network and hooks of one robot."""

  def __init__(self, plan: Plan, link: Wire) -> None:
    self._plan, self._reader = plan, link.reader(messages.LOW_COMMAND)
    self._writer = link.writer(messages.LOW_STATE)
    self._up: Channel[np.ndarray] = Channel(plan.faults, 2 * plan.seed)
    self._down: Channel[np.ndarray] = Channel(plan.faults, 2 * plan.seed + 1)
    self.body = Body(plan.harness, TIMESTEP, plan.seed)
    self._frozen: np.ndarray | None = None
    self._last_command: float | None = None
    self._gaps: list[float] = []
    self._commands = 0
    self._last_stiff: float | None = None
    self._damped_after: float | None = None

  def step(self, now: float) -> None:
    """Takes what has arrived, moves by one physics step, sends."""
    for command in self._reader.take():
      self._down.send(now, command)
    for command in self._down.arrivals(now):
      self._commands += 1
      if self._last_command is not None:
        self._gaps.append(now - self._last_command)
      self._last_command = now
      self._watch(now, command)
      self.body.obey(command)
    since = self._since_stiff()
    if self._plan.tip_at is not None and since >= self._plan.tip_at:
      self._tip()
    state = self.body.step().copy()
    state["wireless_remote"] = np.frombuffer(self._remote(self.body.time), np.uint8)
    state = messages.sign(state)
    if self._plan.freeze_at is not None and since >= self._plan.freeze_at:
      self.body.events.setdefault("frozen", self.body.time)
      self._frozen = state if self._frozen is None else self._frozen
      state = self._frozen
    self._up.send(now, state)
    for arrived in self._up.arrivals(now):
      self._writer.write(arrived)

  def _watch(self, now: float, command: np.ndarray) -> None:
    """How long after the last command that holds the first one comes that damps."""
    if command["motor_cmd"]["kp"].any():
      self._last_stiff = now
    elif self._damped_after is None and self._last_stiff is not None:
      if command["motor_cmd"]["kd"].any():
        self._damped_after = now - self._last_stiff

  def _since_stiff(self) -> float:
    return self.body.time - self.body.events.get("stiff", float("inf"))

  def _tip(self) -> None:
    if "tipped" not in self.body.events:
      self.body.tip()

  def _remote(self, now: float) -> bytes:
    due = [content for begin, content in self._plan.remote if begin <= now]
    return due[-1] if due else commands.pack_remote()

  def report(self) -> dict[str, Any]:
    """What happened, as JSON values."""
    gaps = sorted(self._gaps)
    return {
      **self.body.report(),
      "commands": {
        "received": self._commands,
        "bad_crc": self._reader.refused,
        "lost": self._down.lost,
        "longest_gap_seconds": gaps[-1] if gaps else None,
        "damped_after_seconds": self._damped_after,
      },
      "states": {"sent": self._up.sent, "lost": self._up.lost},
      "network": self._plan.faults._asdict(),
    }
