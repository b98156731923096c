"""Whether so many worlds fit into memory, told before anything is compiled.

An estimate of what physics needs, from the sizes that engines declare; what a learner keeps of its
rollouts comes on top. It is there to turn an hour's wait for an out-of-memory error into one line.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import mujoco

from jaxskills.errors import UserError
from jaxskills.physics.capacity import capacity_of

MJX_COPIES = 2.0
"""A world's MJX record and XLA's temporaries, in sizes of that record. Measured for a control step
of the H1: 1.1 on a CPU (jax 0.10.2); more is left for other backends."""

WARP_COPIES = 2.0
"""Warp's buffers come in and go out of its calls, and XLA may keep both."""

_STATE_COPIES = 4  # neutral state: in, out, and both once more while a batch is reset


def check_worlds(worlds: int, bytes_per_world: int, available_bytes: int) -> None:
  """Refuses more worlds than fit.

  Args:
    worlds: that are asked for.
    bytes_per_world: from `bytes_per_world`, and whatever else a world needs.
    available_bytes: from `available_memory`.

  Raises:
    UserError: with what is needed, what is free, and the number that fits.
  """
  if worlds * bytes_per_world <= available_bytes:
    return
  fit = max(0, available_bytes // bytes_per_world)
  need, free = _in_words(worlds * bytes_per_world), _in_words(available_bytes)
  raise UserError(f"{worlds} worlds need {need}, {free} are free; {fit or 'not one'} fit")


def bytes_per_world(model: mujoco.MjModel, engine: str, fields: Sequence[str] = ()) -> int:
  """What one more world costs, of a device's memory or, for "native", of the host's.

  - "native": the state in C and in JAX, and the world's own fields in both. The rest is shared by
    the worlds that a thread steps.
  - "mjx": the record of `mjx.make_data`, times `MJX_COPIES`.
  - "warp": its record with room for a world's contacts and constraints (`capacity_of`), times
    `WARP_COPIES`.

  Args:
    model: that is simulated.
    engine: "native", "mjx" or "warp"; the latter has to be installed.
    fields: of the model, that every world has of its own (see `physics.randomization`).
  """
  own = sum(int(getattr(model, field).size) for field in fields)
  neutral = model.nq + 2 * model.nv + model.na + model.nsensordata + 2
  in_jax = 4 * (_STATE_COPIES * neutral + 2 * own)
  if engine == "native":
    row = mujoco.mj_stateSize(model, int(mujoco.mjtState.mjSTATE_INTEGRATION))
    in_c = 8 * (row + model.nsensordata + own) + 4 * own  # the last: fields as they were given
    return in_c + in_jax
  from mujoco import mjx

  if engine == "mjx":
    record = bytes_of(jax.eval_shape(lambda: mjx.make_data(model, impl="jax")))
    return int(MJX_COPIES * record) + in_jax
  room = capacity_of(model)
  contacts, rows = room.contacts, room.constraints
  make = lambda: mjx.make_data(model, impl="warp", naconmax=contacts, njmax=rows)  # noqa: E731
  return int(WARP_COPIES * bytes_of(jax.eval_shape(make))) + in_jax


def bytes_of(tree: Any) -> int:
  """What all arrays of a tree hold; shapes without arrays (`jax.eval_shape`) do as well."""
  return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def available_memory(device: Any = None, *, root: Path = Path("/")) -> int:
  """Free memory in bytes.

  Args:
    device: a JAX device with memory of its own; the host's memory if it has none, or is not given.
    root: where `proc` and `sys` are.

  Returns:
    Of a device, what is left of JAX's share. Of the host, what can be had without swapping, or less
    where a control group allows less (containers, batch systems).
  """
  stats = device.memory_stats() if device is not None and device.platform != "cpu" else None
  if stats and "bytes_limit" in stats:
    return max(0, stats["bytes_limit"] - stats.get("bytes_in_use", 0))
  return min([_free_on_host(root), *_free_in_groups(root)])


def _free_on_host(root: Path) -> int:
  """Linux's own estimate; elsewhere, all there is."""
  for line in _text(root / "proc/meminfo").splitlines():
    if line.startswith("MemAvailable:"):
      return int(line.split()[1]) << 10
  return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _free_in_groups(root: Path) -> list[int]:
  """What the control group of this process, and those around it, leave free (version 2 and 1)."""
  free = []
  for line in _text(root / "proc/self/cgroup").splitlines():
    number, controllers, path = line.split(":", 2)
    if number == "0":
      mount, files = "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")
    elif "memory" in controllers.split(","):
      mount = "sys/fs/cgroup/memory"
      files = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    else:
      continue
    inside = Path(path.lstrip("/"))
    # A container may see its own group at the top and not under its full name.
    for group in {inside, *inside.parents}:
      room = _room(root / mount / group, *files)
      free += [] if room is None else [room]
  return free


def _room(folder: Path, limit: str, usage: str, cache: str) -> int | None:
  """Limit minus usage of one group; file cache that may be dropped counts as free."""
  most, used = _text(folder / limit).strip(), _text(folder / usage).strip()
  if not (most.isdigit() and used.isdigit()):
    return None  # "max", or no such group
  stats = dict(line.split(" ", 1) for line in _text(folder / "memory.stat").splitlines())
  return max(0, int(most) - int(used) + int(stats.get(cache, 0)))


def _text(path: Path) -> str:
  """A file's text; empty where it cannot be read."""
  try:
    return path.read_text()
  except OSError:
    return ""


def _in_words(size: int) -> str:
  return f"{size / 2**30:.1f} GiB" if size >= 0.1 * 2**30 else f"{size / 2**20:.1f} MiB"
