"""Faults of a network: loss, delay, and jitter with the reordering that it brings."""

import heapq
from typing import Generic, NamedTuple, TypeVar

import numpy as np

Message = TypeVar("Message")


class Faults(NamedTuple):
  """How bad a network is, in one direction.

  Attributes:
    loss: share of messages that never arrive.
    delay_seconds: that every other message takes.
    jitter_seconds: at most that much more, drawn evenly for each message.
  """

  loss: float = 0.0
  delay_seconds: float = 0.0
  jitter_seconds: float = 0.0


class Channel(Generic[Message]):
  """One direction.

  Attributes:
    sent: messages that went in.
    lost: of them, that never come out.
  """

  def __init__(self, faults: Faults, seed: int) -> None:
    """An empty channel with its own random numbers."""
    self._faults, self._random = faults, np.random.default_rng(seed)
    self._waiting: list[tuple[float, int, Message]] = []
    self.sent = self.lost = 0

  def send(self, now: float, message: Message) -> None:
    """Puts a message in."""
    self.sent += 1
    lost, late = self._random.random(2)
    if lost < self._faults.loss:
      self.lost += 1
      return
    arrival = now + self._faults.delay_seconds + late * self._faults.jitter_seconds
    heapq.heappush(self._waiting, (arrival, self.sent, message))

  def arrivals(self, now: float) -> list[Message]:
    """What has arrived by now, in the order of arrival."""
    arrived = []
    while self._waiting and self._waiting[0][0] <= now:
      arrived.append(heapq.heappop(self._waiting)[2])
    return arrived
