"""One run of an H1's controller from the first check to the last damped second."""

import gc
import os
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from jaxskills.deploy import bundle as bundles
from jaxskills.deploy.bundle import Bundle
from jaxskills.deploy.h1 import checks, messages, priority, record
from jaxskills.deploy.h1.commands import Keyboard, Operator, Script
from jaxskills.deploy.h1.controller import Controller, Links, warm_up
from jaxskills.deploy.h1.guard import Guard
from jaxskills.deploy.h1.machine import FAULTS, Fault, State, read_contract
from jaxskills.deploy.h1.observation import Observation, Policy
from jaxskills.deploy.h1.record import Recorder
from jaxskills.deploy.h1.sensing import Sensing
from jaxskills.deploy.h1.wire import Wire
from jaxskills.deploy.runtime import Policy as BundlePolicy
from jaxskills.errors import UserError

DAMP_SECONDS = 2.0  # streamed after a stop that was asked for, so that the robot sinks
_LOOK_SECONDS = 0.02
_KEYS = 64  # at most, in one look
_SWITCH_SECONDS = 0.0005  # a Python thread lets another in after this, when both want to run

STOPPED = FAULTS[Fault.OPERATOR]
Say = Callable[[str], None]


class Settings(NamedTuple):
  """What the command line asks for.

  Attributes:
    interface: network interface of the robot.
    domain: DDS domain.
    log: file to write, or None.
    seconds: of walking, after which the robot is damped; None walks until it is stopped.
    has_guard: start a guard process.
  """

  interface: str
  domain: int = 0
  log: Path | None = None
  seconds: float | None = None
  has_guard: bool = True


def run(
  bundle: Bundle,
  operator: Operator,
  settings: Settings,
  say: Say,
  policy: Policy | None = None,
) -> None:
  """Checks, stands, walks and damps; returns once the robot was damped as asked.

  Args:
    bundle: from `checks.require_bundle`.
    operator: who says where to go.
    settings: of the run.
    say: takes lines for the operator.
    policy: instead of the bundle's own.

  Raises:
    UserError: if a check refuses, or a fault ended the run.
  """
  if settings.log is not None:
    record.check_place(settings.log)
  policy = policy or own_policy(bundle)
  is_real_time = priority.raise_to(priority.DDS)
  sys.setswitchinterval(_SWITCH_SECONDS)
  link = Wire(settings.interface, settings.domain)
  manifest = bundle.manifest
  robot, contract = manifest["parts"]["robot"], read_contract(manifest)
  states, foreign = (
    link.reader(messages.LOW_STATE),
    link.reader(messages.LOW_COMMAND, foreign_only=True),
  )
  commands = link.writer(messages.LOW_COMMAND)
  checks.hear_robot(link, states, foreign, robot)
  if states.unsigned:
    say("states   come unsigned (their CRC is 0): what is damaged on the way goes unnoticed")
  recorder = (
    None
    if settings.log is None
    else Recorder(settings.log, {"manifest_sha256": bundles.digest(bundle.manifest)})
  )
  guard = None
  try:
    if settings.has_guard:
      facts = {"motors": robot["motors"], "modes": robot["motor_modes"]}
      damping = contract.limits.damp_damping.tolist()
      guard = Guard(settings.interface, settings.domain, {**facts, "damping": damping})
    links = Links(states, commands, foreign, guard, recorder)
    parts = Sensing(robot), Observation(manifest), policy, operator
    controller = Controller(contract, *parts, links)
    warm_up(policy, manifest["observation"][0]["shape"][0])
    gc.collect()
    gc.freeze()
    gc.disable()  # the loops make no cycles; a collection would cost them milliseconds
    say(
      f"real-time priority {'granted' if is_real_time else 'not permitted: run on a quiet machine'}"
    )
    if guard is not None:
      say(f"guard    process {guard.pid} damps the robot should this one die")
    try:
      fault = _drive(controller, operator, settings, guard, recorder, say)
      say(f"stream   {controller.stream_timing.describe()}")
      say(f"policy   {controller.policy_timing.describe()}")
    finally:
      gc.enable()
  finally:
    _close(recorder, say)
  if fault:
    raise UserError(f"the robot was damped: {fault}")
  say(f"stopped  as asked, after {DAMP_SECONDS:.0f} s of damping")
  if recorder is not None and recorder.ended:
    raise UserError(f"{recorder.path} lacks the end of the run ({recorder.ended}); make room.")


def own_policy(bundle: Bundle) -> BundlePolicy:
  """The bundle's policy, once it gives here what it gave where it was exported.

  Raises:
    UserError: if it does not.
  """
  policy = BundlePolicy(bundle)
  policy.verify_golden()
  return policy


def _drive(
  controller: Controller,
  operator: Operator,
  settings: Settings,
  guard: Guard | None,
  recorder: Recorder | None,
  say: Say,
) -> str:
  """Watches over the controller until it is stopped; the fault that ended the run, or ""."""
  told, fault, watch, writes = None, "", guard, recorder
  keyboard = operator if isinstance(operator, Keyboard) else None
  say(operator.help)
  with _keys(keyboard) as look:
    controller.start()
    try:
      while controller.is_running:
        look()
        order, since = controller.order, controller.walking_since
        state = None if order is None else order.state
        if order is not None and state is not told:
          told = state
          fault = order.reason if state is State.DAMP and order.reason != STOPPED else ""
          say(_describe(order.state, order.reason, controller.failure, operator))
        if watch is not None and not watch.is_alive:
          say("guard    is gone: nobody damps the robot should this process die; stop soon")
          watch = None
        if writes is not None and writes.ended:
          say(f"log      {writes.path} ends here: {writes.ended}; the robot goes on")
          writes = None
        if settings.seconds is not None and since and time.monotonic() - since > settings.seconds:
          break
    except KeyboardInterrupt:
      say(f"stop     damping for {DAMP_SECONDS:.0f} s; the robot sinks")
    with _uninterrupted():
      if not controller.is_running:
        raise RuntimeError(f"a thread of the controller failed: {controller.failure}")
      controller.stop()
      time.sleep(0.0 if fault else DAMP_SECONDS)
      if guard is not None:
        guard.dismiss()  # while heartbeats still come: without them it would take over
      controller.end()
  return fault


@contextmanager
def _uninterrupted() -> Iterator[None]:
  """What asks again to stop changes nothing: the damping under way ends as it should."""
  before = {
    number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)
  }
  try:
    yield
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)


def _describe(state: State, reason: str, failure: str, operator: Operator) -> str:
  by_itself = isinstance(operator, Script)
  if state is State.DAMP:
    detail = f" ({failure})" if failure else ""
    end = "Ctrl-C ends it" if by_itself else "Ctrl-C ends it, or the operator begins anew"
    return f"damp     {reason}{detail}; streamed until {end}"
  return {
    State.ZERO_TORQUE: "ready    zero torque; "
    + ("stands up BY ITSELF" if by_itself else "waits for the operator to stand"),
    State.STAND: "stand    two seconds to the default pose, then "
    + ("walks BY ITSELF" if by_itself else "waits for the operator to walk"),
    State.POLICY: "walk     the policy moves the robot",
  }[state]


@contextmanager
def _keys(keyboard: Keyboard | None) -> Iterator[Callable[[], None]]:
  """Gives a function that waits a moment and hands on the keys that were pressed in it."""
  if keyboard is None:
    yield lambda: time.sleep(_LOOK_SECONDS)
    return
  stream = sys.stdin.fileno()

  def look() -> None:
    if select.select([stream], [], [], _LOOK_SECONDS)[0]:
      # Not by way of sys.stdin: what that has buffered, `select` does not see.
      if not (keys := os.read(stream, _KEYS)):
        raise UserError("the keyboard is gone; run this in a terminal.")
      for key in keys:
        keyboard.press(chr(key))

  before = termios.tcgetattr(stream)
  try:
    tty.setcbreak(stream)
    yield look
  finally:
    termios.tcsetattr(stream, termios.TCSADRAIN, before)


def _close(recorder: Recorder | None, say: Say) -> None:
  if recorder is None:
    return
  recorder.close()
  if recorder.ended:
    say(f"log      {recorder.path} ended early: {recorder.ended}")
  else:
    say(f"log      {recorder.path}, {recorder.frames} frames")
