"""What this process may use of the machine's processor."""

import os


def cores() -> int:
  """Processor cores that this process may use; all of them on macOS, which has no affinity."""
  if hasattr(os, "sched_getaffinity"):
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1
