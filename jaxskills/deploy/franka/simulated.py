"""A simulated Panda on the network: the arm of `arm.py`, a thousand times a second, for one client.

Like Franka's controller it admits one client at a time, streams its state at every tick, expects a
command in the same tick, and ends the motion with a reflex where a limit is broken. What is lost or
comes too late is extrapolated. In real time a command that comes after its tick is lost; in lock
step the robot waits for each command, so that a busy machine cannot break the motion, and still
takes no less than a millisecond a tick unless told so.
"""

import select
import socket
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jaxskills.deploy.franka import wire
from jaxskills.deploy.franka.arm import Arm
from jaxskills.deploy.franka.motion import TICK_SECONDS
from jaxskills.deploy.franka.wire import Answer, Command, Mode, Request, State
from jaxskills.errors import UserError

_BEHIND = 0.05  # s; later than this, real time begins anew instead of catching up
_WINDOW = 100  # commands of which the success rate is told


class Network(NamedTuple):
  """What happens to packets, in either direction, and how time passes.

  Attributes:
    loss: share of packets that are lost while a motion is under way.
    jitter_seconds: packets are delayed evenly from 0 to this; over a tick is too late.
    freeze_at: s of a motion at which the state that is sent stays what it was, or None.
    is_lock_step: wait for each command.
    patience_seconds: how long lock step waits for one command.
    pace_seconds: least time between two ticks.
    seed: of losses and delays.
  """

  loss: float = 0.0
  jitter_seconds: float = 0.0
  freeze_at: float | None = None
  is_lock_step: bool = False
  patience_seconds: float = 0.5
  pace_seconds: float = TICK_SECONDS
  seed: int = 0


class Goals(NamedTuple):
  """Where the gripper shall be, one place after the other, from the beginning of a motion.

  Attributes:
    places: `[places, 3]`, world frame, m; again from the first after the last.
    dwell_seconds: for each.
    tolerance: that counts as reached, m.
  """

  places: np.ndarray
  dwell_seconds: float = 4.0
  tolerance: float = 0.02


class Server:
  """One robot at one address.

  Attributes:
    arm: the robot.
    address: host and port that it is bound to.
    motions: reports of motions that are over.
  """

  def __init__(
    self,
    host: str = "127.0.0.1",
    port: int = wire.PORT,
    *,
    network: Network = Network(),  # noqa: B008 - immutable
    goals: Goals | None = None,
    arm: Arm | None = None,
  ) -> None:
    """Binds the address.

    Raises:
      UserError: if it is taken.
    """
    self.arm, self._network, self._goals = Arm() if arm is None else arm, network, goals
    self._random = np.random.default_rng(network.seed)
    self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
      self._socket.bind((host, port))
    except OSError as error:
      self._socket.close()
      raise UserError(
        f"cannot listen on {host}:{port}: {error.strerror}; give another --port."
      ) from error
    self._socket.setblocking(False)
    self.address = self._socket.getsockname()
    self._client: Any = None
    self._frozen: State | None = None
    self._results = np.ones(_WINDOW)
    self._begun, self._refused, self._is_starting = 0, 0, False
    self._distances: list[float] = []
    self.motions: list[dict[str, Any]] = []

  @property
  def has_client(self) -> bool:
    """Whether somebody is connected."""
    return self._client is not None

  def run(self, is_over: Callable[["Server"], bool]) -> None:
    """Ticks until `is_over` says so; it is asked at every tick."""
    due = time.monotonic()
    try:
      while not is_over(self):
        due = max(due + self._network.pace_seconds, time.monotonic() - _BEHIND)
        self._tick(due)
    finally:
      if self.arm.moving:
        self._report("the simulation ended")
      self._socket.close()

  def report(self) -> dict[str, Any]:
    """What happened so far, as JSON values."""
    return {"ticks": self.arm.ticks, "refused_clients": self._refused, "motions": self.motions}

  def _tick(self, due: float) -> None:
    """Tells the state, waits for the command, moves, and waits for the next tick."""
    arm, was_moving = self.arm, self.arm.moving
    heard = not (was_moving and self._is_lost())
    if heard:
      self._send_state()
    command = self._listen(due, waits=was_moving and heard)
    if was_moving:
      if command is not None and self._is_lost():
        command = None
      self._results[arm.ticks % _WINDOW] = command is not None
      self._distances.append(self._distance())
    arm.tick(None if command is None else command.position)
    if was_moving and arm.reflex:
      self._report(arm.reflex)
    elif command is not None and command.kind == Request.FINISH:
      self._report("finished")
      arm.stop()
    if self._is_starting:
      self._start()
    if (rest := due - time.monotonic()) > 0:
      time.sleep(rest)

  def _listen(self, due: float, *, waits: bool) -> Command | None:
    """The command of this tick, if it comes in time; answers whatever else comes."""
    until = due
    if self._network.is_lock_step:
      until = time.monotonic() + self._network.patience_seconds
    while True:
      left = until - time.monotonic() if waits else 0.0
      if not select.select([self._socket], [], [], max(left, 0.0))[0]:
        return None
      content, sender = self._socket.recvfrom(4096)
      command = wire.unpack_command(content)
      if command is None:
        continue
      if sender != self._client:
        self._admit(command, sender)
      elif command.kind not in (Request.MOVE, Request.FINISH):
        self._obey(command)
        waits = waits and self.arm.moving
      elif self.arm.moving and command.tick == self.arm.ticks:
        return command

  def _admit(self, command: Command, sender: Any) -> None:
    if command.kind != Request.HELLO:
      return
    is_free = self._client is None
    if is_free:
      self._client = sender
    else:
      self._refused += 1
    answer = Answer.WELCOME if is_free else Answer.REFUSED
    self._send(self._state()._replace(kind=answer), sender)

  def _obey(self, command: Command) -> None:
    if command.kind == Request.START:
      self._is_starting = self.arm.reflex is None and not self.arm.moving
    elif command.kind == Request.RECOVER:
      self.arm.recover()
    elif command.kind == Request.BYE:
      if self.arm.moving:
        self._report("the client left")
        self.arm.stop()
      self._client = None

  def _start(self) -> None:
    self.arm.start()
    self._begun, self._frozen, self._distances = self.arm.ticks, None, []
    self._results[:] = 1.0
    self._is_starting = False

  def _send_state(self) -> None:
    state, freeze = self._state(), self._network.freeze_at
    if self.arm.moving and freeze is not None and self._seconds >= freeze:
      self._frozen = state if self._frozen is None else self._frozen
      state = self._frozen._replace(tick=state.tick)
    if self._client is not None:
      self._send(state, self._client)

  def _send(self, state: State, receiver: Any) -> None:
    try:
      self._socket.sendto(wire.pack_state(state), receiver)
    except OSError:  # the client's socket is gone; it will be missed soon enough
      return

  def _state(self) -> State:
    arm = self.arm
    mode = Mode.REFLEX if arm.reflex else Mode.MOVE if arm.moving else Mode.IDLE
    joints = np.stack([arm.position, arm.velocity, *arm.desired])
    rate = float(self._results.mean()) if arm.moving else 0.0
    return State(Answer.STATE, arm.ticks, arm.ticks, mode, rate, joints, arm.reflex or "")

  def _is_lost(self) -> bool:
    late = self._random.uniform(0.0, self._network.jitter_seconds) > TICK_SECONDS
    return bool(late or self._random.random() < self._network.loss)

  @property
  def _seconds(self) -> float:
    return (self.arm.ticks - self._begun) * TICK_SECONDS

  def _distance(self) -> float:
    if self._goals is None:
      return 0.0
    index = int(self._seconds / self._goals.dwell_seconds + 1e-9) % len(self._goals.places)
    return float(np.linalg.norm(self.arm.gripper - self._goals.places[index]))

  def _report(self, end: str) -> None:
    arm = self.arm
    found = [] if self._goals is None else visits(np.array(self._distances), self._goals)
    self.motions.append(
      {
        "reflex": arm.reflex,
        "end": end,
        "ticks": arm.ticks - self._begun,
        "missed": arm.missed_in_all,
        "worst_missed_in_a_row": arm.worst_missed,
        "limits": arm.use._asdict(),
        "reached": _share(found, "reached"),
        "settled": _share(found, "settled"),
        "targets": found,
      }
    )


def visits(distances: np.ndarray, goals: Goals) -> list[dict[str, Any]]:
  """How the gripper came to each place, and how it stayed in the second half of its time.

  Args:
    distances: to the place of the moment, at every tick, m.
    goals: the places; one that was cut short is left out.

  Returns:
    For each place: whether and after how many seconds it was `reached`, as training counts success
    (once within the tolerance); whether the gripper `settled` there, which is stricter (within it
    on average in the second half of the time); and distances at the end, and on average and at most
    in the second half.
  """
  length, found = round(goals.dwell_seconds / TICK_SECONDS), []
  for index in range(len(distances) // length):
    own = distances[index * length : (index + 1) * length]
    within, late = own <= goals.tolerance, own[length // 2 :]
    found.append(
      {
        "target": goals.places[index % len(goals.places)].tolist(),
        "reached": bool(within.any()),
        "seconds": float(within.argmax() * TICK_SECONDS) if within.any() else None,
        "distance": float(own[-1]),
        "settled": bool(late.mean() <= goals.tolerance),
        "mean_distance": float(late.mean()),
        "greatest_distance": float(late.max()),
      }
    )
  return found


def _share(found: list[dict[str, Any]], name: str) -> float | None:
  """Share of visits of which something is true; None where there are none."""
  return float(np.mean([visit[name] for visit in found])) if found else None
