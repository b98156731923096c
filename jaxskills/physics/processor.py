"""What this process may use of the machine's processor."""

import os
import platform
from pathlib import Path


def cores() -> int:
  """Processor cores that this process may use; all of them on macOS, which has no affinity."""
  if hasattr(os, "sched_getaffinity"):
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1


def name() -> str:
  """Its model, as the system calls it; "unknown" where that says nothing."""
  try:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
  except OSError:
    lines = []
  models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
  return models[0] if models else platform.processor() or "unknown"
