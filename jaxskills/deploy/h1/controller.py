"""The H1's controller: one thread streams to the motors, one runs the policy, both to deadlines.

The streaming thread ticks every 2 ms: it takes the newest state, moves the state machine, filters
and sends. The policy's thread decides every control period, counted from the first decision, from
the newest state that the filter believed; it never sends. Neither waits for the other, for the log
or for the operator. Deadlines are absolute: a late tick does not shift those after it, and
those that passed meanwhile are skipped.
"""

import threading
import time
from typing import NamedTuple

import numpy as np

from jaxskills.deploy import safety
from jaxskills.deploy.h1 import priority, record
from jaxskills.deploy.h1.commands import STILL, Operator, Wish
from jaxskills.deploy.h1.guard import Guard
from jaxskills.deploy.h1.machine import (
  TICK_SECONDS,
  Contract,
  Decision,
  Fault,
  Machine,
  Order,
  Packer,
  State,
)
from jaxskills.deploy.h1.observation import INPUT, Observation, Policy
from jaxskills.deploy.h1.sensing import Senses, Sensing, reading_of
from jaxskills.deploy.h1.wire import Reader, Writer

LATE_SECONDS = 0.004  # after its deadline a tick counts as missed: two others were left out, ours
_BEAT_TICKS = 5
_KEPT = 500_000  # periods of the last 17 minutes


class Links(NamedTuple):
  """What the controller is connected to.

  Attributes:
    states: of the robot.
    commands: to the robot.
    foreign: commands that others send.
    guard: that damps when this process is gone, or None.
    recorder: of the log, or None.
  """

  states: Reader
  commands: Writer
  foreign: Reader
  guard: Guard | None = None
  recorder: record.Recorder | None = None


class Newest(NamedTuple):
  """The newest state, by the robot's own clock."""

  senses: Senses
  reading: safety.Reading
  sensors: np.ndarray


class Timing(NamedTuple):
  """How punctual a thread was.

  Attributes:
    periods: between its wakings, s.
    spent: in its work, s.
    late: periods of those that began too late, s.
  """

  periods: list[float]
  spent: list[float]
  late: list[float]

  def describe(self) -> str:
    """Median, 99th percentile and maximum in ms."""
    if not self.periods:
      return "no ticks"
    period, spent = (
      "/".join(f"{1e3 * value:.2f}" for value in (*np.percentile(times, [50, 99]), max(times)))
      for times in (self.periods, self.spent)
    )
    return f"period {period} ms, work {spent} ms (p50/p99/max), {len(self.late)} late"


def is_newer(tick: int, than: int) -> bool:
  """Whether a 32-bit clock that wraps around went on."""
  return 0 < (tick - than) % (1 << 32) < 1 << 31


class Controller:
  """Drives one robot; made by `session.start`, which has checked everything first."""

  def __init__(
    self,
    contract: Contract,
    sensing: Sensing,
    observation: Observation,
    policy: Policy,
    operator: Operator,
    links: Links,
  ) -> None:
    """Prepares; nothing is sent yet."""
    self._contract, self._sensing, self._observation = contract, sensing, observation
    self._policy, self._operator, self._links = policy, operator, links
    self._machine = Machine(contract)
    self._packer = Packer(contract.motors, contract.modes)
    self._newest: Newest | None = None
    self._believed: Newest | None = None
    self._decision: Decision | None = None
    self._velocity = STILL
    self._fault = Fault.NONE
    self._walks, self._ended = threading.Event(), threading.Event()
    self._stop = False
    self.walking_since: float | None = None
    self.failure = ""
    self.order: Order | None = None
    self.stream_timing, self.policy_timing = Timing([], [], []), Timing([], [], [])
    self._threads = [
      threading.Thread(target=self._guarded, args=(run,), name=name, daemon=True)
      for name, run in (("stream", self._stream), ("policy", self._decide))
    ]

  def start(self) -> None:
    """Begins to stream zero torque."""
    for thread in self._threads:
      thread.start()

  def stop(self) -> None:
    """Damps from the next tick on."""
    self._stop = True

  def end(self) -> None:
    """Stops streaming; the robot is left with the last command, so `stop` it before."""
    self._ended.set()
    self._walks.set()
    for thread in self._threads:
      thread.join(timeout=2.0)

  @property
  def is_running(self) -> bool:
    """Whether both threads are at work."""
    return all(thread.is_alive() for thread in self._threads)

  def _guarded(self, run) -> None:
    """Runs a thread; a fault of ours in it is told, and stops what it did."""
    try:
      run()
    except Exception as error:
      self.failure = f"{type(error).__name__}: {error}"
      raise

  def _stream(self) -> None:
    priority.raise_to(priority.STREAM)
    start = last = due = time.monotonic()
    ticks = 0
    while not self._ended.is_set():
      now = time.monotonic()
      late = now - due > LATE_SECONDS
      self._tick(now, now - start, late)
      if self._links.guard is not None and ticks % _BEAT_TICKS == 0:
        self._links.guard.beat()
      if ticks:
        _note(self.stream_timing, now - last, time.monotonic() - now, late)
      last, ticks = now, ticks + 1
      due = _next_deadline(due, TICK_SECONDS)
      time.sleep(max(0.0, due - time.monotonic()))

  def _tick(self, now: float, elapsed: float, late: bool) -> None:
    """Reads, decides what the motors are told, and tells them; nothing before the first state."""
    self._take(now)
    newest, log = self._newest, self._links.recorder
    if newest is None:
      return
    wish = self._wish(newest.senses.remote, elapsed, now)
    decision, fault = self._decision, self._found_fault()
    order = self._machine.tick(now, newest.reading, wish, decision, late=late, fault=fault)
    message = self._packer.pack(order.position, order.stiffness, order.damping)
    self._links.commands.write(message)
    if newest.reading.stamp == self._machine.believed:
      self._believed = newest
    self._follow(order, wish)
    if log is not None:
      inputs = (newest.reading.stamp, newest.sensors, wish, decision, late, fault)
      log.add(record.tick_frame(now, *inputs, order, message))

  def _take(self, now: float) -> None:
    """Reads what came; what is older than the newest is of no use."""
    for state in self._links.states.take():
      newest = self._newest
      if newest is None or is_newer(int(state["tick"]), newest.senses.tick):
        sensors = record.sensors_of(state)
        senses = self._sensing.read(sensors)
        self._newest = Newest(senses, reading_of(senses, now), sensors)

  def _wish(self, remote: bytes, elapsed: float, now: float) -> Wish:
    walking = 0.0 if self.walking_since is None else now - self.walking_since
    wish = self._operator.wish(remote, elapsed, walking)
    return wish._replace(stop=True) if self._stop else wish

  def _found_fault(self) -> Fault:
    if self._links.foreign.take():
      return Fault.FOREIGN_COMMANDS
    return self._fault

  def _follow(self, order: Order, wish: Wish) -> None:
    """Tells the policy's thread where the states are."""
    self._velocity = wish.velocity
    if order.state is State.POLICY and self.walking_since is None:
      self.walking_since = self._machine.since
      self._walks.set()
    elif order.state is not State.POLICY and self.walking_since is not None:
      self._walks.clear()
      self.walking_since = None
    if order.state in (State.ZERO_TORQUE, State.DAMP):
      self._fault = Fault.NONE  # it has damped the robot, and the operator may begin anew
    if order.state is State.ZERO_TORQUE and self.order and self.order.state is State.DAMP:
      self.failure = ""
    self.order = order

  def _decide(self) -> None:
    priority.raise_to(priority.POLICY)
    period = self._contract.step_seconds
    while not self._ended.is_set():
      self._walks.wait()
      begun = self.walking_since
      if begun is None or self._ended.is_set():
        continue
      self._policy.reset()
      self._observation.reset()
      action, step, last = np.zeros(self._contract.action_size, np.float32), 0, 0.0
      due = first = time.monotonic()
      while self.walking_since == begun and not self._ended.is_set():
        now = time.monotonic()
        if (decided := self._act(now, action, step)) is None:
          self._walks.clear()
          break
        action = decided
        if last:
          _note(self.policy_timing, now - last, time.monotonic() - now, now - due > period)
        last = now
        due = _next_deadline(due, period)
        step = round((due - first) / period)
        time.sleep(max(0.0, due - time.monotonic()))

  def _act(self, now: float, action: np.ndarray, step: int) -> np.ndarray | None:
    """One decision; None of a policy that failed, which damps the robot and ends the walk."""
    newest, velocity = self._believed, self._velocity
    assert newest is not None  # the machine walks on readings only
    try:
      action = self._policy.step(self._observation.build(newest.senses, velocity, action, step))
    except Exception as error:
      self.failure = f"{type(error).__name__}: {error}"
      self._fault = Fault.POLICY_FAILED
      return None
    if self._links.recorder is not None:
      frame = record.decision_frame(now, step, velocity, newest.sensors, action)
      self._links.recorder.add(frame)
    target = safety.target_of(self._contract.limits, action)
    self._decision = Decision(step, now, target)
    return action


def warm_up(policy: Policy, size: int) -> None:
  """Runs the policy a few times, so that its first decision takes no longer than others."""
  for _ in range(20):
    policy.step({INPUT: np.zeros(size, np.float32)})
  policy.reset()


def _next_deadline(due: float, period: float) -> float:
  """The next multiple of the period that has not passed yet."""
  passed = int((time.monotonic() - due) / period)
  return due + (passed + 1) * period


def _note(timing: Timing, period: float, spent: float, late: bool) -> None:
  if len(timing.periods) < _KEPT:
    timing.periods.append(period)
    timing.spent.append(spent)
  if late:
    timing.late.append(period)
