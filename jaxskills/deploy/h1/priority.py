"""Real-time priority for the calling thread, where the system permits it."""

import os

DDS, SIMULATION, POLICY, STREAM, GUARD = 10, 20, 30, 40, 50
"""SCHED_FIFO priorities: what has the shorter deadline goes first."""


def raise_to(priority: int) -> bool:
  """Asks for SCHED_FIFO; threads that are started afterwards inherit it.

  Returns:
    Whether it was granted (root, CAP_SYS_NICE or an `rtprio` limit). Without it all works too, as
    punctually as the load of the machine allows.
  """
  try:
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
  except (AttributeError, OSError):  # not Linux, or not permitted
    return False
  return True


def lower() -> None:
  """Back to the ordinary class, for threads that may wait for a disk."""
  try:
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
  except (AttributeError, OSError):
    pass
