"""How JAX is set up for a run: numerical precision and the cache of compiled programs.

The command line calls `configure_jax` before anything is compiled; importing jaxskills changes no
setting. The cache is under the user's cache folder, for that user alone (a compiled program is
code), in one folder per jaxlib and processor: an entry of another jaxlib may crash, one of another
processor may use instructions that this one lacks.
"""

import hashlib
import os
import platform
import stat
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

MATMUL_PRECISION = "highest"


def configure_jax(*, cache: bool = True, matmul_precision: str = MATMUL_PRECISION) -> None:
  """Sets precision and compilation cache for this process.

  Args:
    cache: whether compiled programs are kept for later processes. Where the folder cannot be made
      or is not safe, they are not.
    matmul_precision: of float32 products; less than "highest" means TF32 on an NVIDIA GPU.
  """
  settings: Any = jax.config
  settings.update("jax_default_matmul_precision", matmul_precision)
  folder = _private_folder(cache_folder()) if cache else None
  settings.update("jax_compilation_cache_dir", None if folder is None else str(folder))
  settings.update("jax_persistent_cache_min_compile_time_secs", 0.1)
  settings.update("jax_persistent_cache_min_entry_size_bytes", -1)


def cache_folder() -> Path:
  """Where compiled programs of this jaxlib on this processor are kept."""
  base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
  processor = hashlib.sha256(_processor().encode()).hexdigest()[:12]
  return Path(base, "jaxskills", f"xla-{metadata.version('jaxlib')}-{processor}")


def _private_folder(folder: Path) -> Path | None:
  """The folder, made for this user alone; None if that cannot be had."""
  try:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    found = folder.stat()
    if found.st_uid != os.getuid():
      return None
    if stat.S_IMODE(found.st_mode) != 0o700:
      folder.chmod(0o700)
  except OSError:
    return None
  return folder if os.access(folder, os.W_OK) else None


def _processor() -> str:
  """Model and instruction sets of the processor."""
  try:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
  except OSError:
    lines = []
  wanted = ("model name", "flags", "Features", "CPU part")
  facts = {line for line in lines if line.startswith(wanted)}
  return "\n".join([platform.machine(), platform.processor(), *sorted(facts)])
