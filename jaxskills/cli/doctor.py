"""Check this machine: versions, devices, precision, cache folder, rendering, known-bad pairs."""

import argparse
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.version import Version

import jaxskills

_SHOWN = (
  "jax", "jaxlib", "flax", "optax", "chex", "orbax-checkpoint", "mujoco", "mujoco-mjx", "brax",
  "numpy", "grain", "flashbax", "tensorflow-datasets", "ml-collections", "onnx", "onnxruntime",
  "warp-lang", "jax2onnx", "torch",
)  # fmt: skip
_RENDER_SECONDS = 60
_RENDER = """
import mujoco
model = mujoco.MjModel.from_xml_string('<mujoco><worldbody><geom size="1"/></worldbody></mujoco>')
with mujoco.Renderer(model, 16, 16) as renderer:
  renderer.update_scene(mujoco.MjData(model))
  print(renderer.render().shape)
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Declares the arguments of `jaxskills doctor`."""
  parser.add_argument(
    "--model", type=Path, metavar="FILE", help="check this MJCF, and which engines take it, instead"
  )


def run(args: argparse.Namespace) -> int:
  """Prints what was found; 1 if anything of this machine needs mending."""
  if args.model:
    from jaxskills.cli import model

    print(*model.describe(args.model), sep="\n")
    return 0
  versions = installed_versions()
  print(
    f"jaxskills  {jaxskills.__version__}  (python {platform.python_version()}, "
    f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores)"
  )
  _print_all("versions", [f"{name} {versions[name]}" for name in _SHOWN if name in versions])
  _print_all("jax", describe_jax())
  _print_all("rendering", [describe_rendering()])
  notes, problems = list(known_notes(versions)), list(known_problems(versions))
  problems += unmet_requirements()
  _print_all("notes", notes or ["none"])
  _print_all("problems", problems or ["none"])
  return 1 if problems else 0


def installed_versions() -> dict[str, str]:
  """Version of every installed distribution, by its normalised name."""
  return {
    distribution.name.lower().replace("_", "-"): distribution.version
    for distribution in metadata.distributions()
    if distribution.name
  }


def known_notes(versions: Mapping[str, str]) -> Iterator[str]:
  """Pairs that are known to disagree in parts that jaxskills does not use."""
  if _at_least(versions, "jax", "0.10") and _below(versions, "brax", "0.14.3"):
    yield (
      f"brax {versions['brax']}'s own PPO and SAC crash with jax {versions['jax']} "
      "(jax.device_put_replicated is gone); jaxskills uses only brax's environment protocol"
    )
  if _at_least(versions, "warp-lang", "1.19"):
    yield f"MJX 3.17 was released for warp-lang 1.18.0, found {versions['warp-lang']}"


def known_problems(versions: Mapping[str, str]) -> Iterator[str]:
  """Pairs of versions that are known not to work, each with what to do."""
  if "jax" in versions and versions["jax"] != versions.get("jaxlib"):
    yield (
      f"jax {versions['jax']} needs jaxlib {versions['jax']}, found {versions.get('jaxlib')}; "
      f"run: pip install jaxlib=={versions['jax']}"
    )
  if _below(versions, "flax", "0.12.7") and _at_least(versions, "jax", "0.10"):
    yield f"flax {versions['flax']} is older than jax 0.10 asks for; run: pip install -U flax"
  if _below(versions, "orbax-checkpoint", "0.12.8"):
    cause = " (jax2onnx holds it back: keep jax2onnx elsewhere)" if "jax2onnx" in versions else ""
    yield (
      f"orbax-checkpoint {versions['orbax-checkpoint']} cannot load typed PRNG keys{cause}; "
      "run: pip install 'orbax-checkpoint>=0.12.8'"
    )
  mujoco, mjx = versions.get("mujoco"), versions.get("mujoco-mjx")
  if mujoco and mjx and _minor(mujoco) != _minor(mjx):
    yield (
      f"mujoco {mujoco} and mujoco-mjx {mjx} are not of one release; "
      "run: pip install 'mujoco==3.17.*' 'mujoco-mjx==3.17.*'"
    )


def unmet_requirements() -> list[str]:
  """What an installed jaxskills asks for and does not find; extras are left out."""
  try:
    wanted = metadata.requires("jaxskills") or []
  except metadata.PackageNotFoundError:
    return ["jaxskills itself is not installed, only importable; run: pip install -e ."]
  unmet = []
  for requirement in map(Requirement, wanted):
    if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
      continue
    try:
      found = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
      found = "nothing"
    if found == "nothing" or not requirement.specifier.contains(found, prereleases=True):
      unmet.append(f"{requirement} is asked for, found {found}; run: pip install '{requirement}'")
  return unmet


def describe_jax() -> list[str]:
  """Devices, and the precision and cache that runs use; or why JAX does not start."""
  try:
    import jax

    from jaxskills.training.runtime import configure_jax

    configure_jax()
    devices = ", ".join(f"{device.id}: {device.device_kind}" for device in jax.devices())
  except Exception as error:  # whatever a broken driver raises is the finding
    return [f"does not start: {error}"]
  settings: Any = jax.config  # its options are attributes that no type declares
  return [
    f"backend {jax.default_backend()}, devices {devices}",
    f"matmul precision {settings.jax_default_matmul_precision or 'default of the device'}, "
    f"64-bit {'on' if settings.jax_enable_x64 else 'off'}",
    describe_cache(settings.jax_compilation_cache_dir),
  ]


def describe_cache(folder: str | None) -> str:
  """Where compiled programs are kept, how much of it there is and who may read it."""
  if not folder:
    return "compilation cache off"
  path = Path(folder)
  if not path.is_dir():
    return f"compilation cache {path} (not made yet)"
  size = sum(entry.stat().st_size for entry in path.rglob("*") if entry.is_file())
  return f"compilation cache {path}, {size / 2**20:.0f} MiB, mode {path.stat().st_mode & 0o777:o}"


def describe_rendering() -> str:
  """Which off-screen MuJoCo backend draws; tried in other processes, since one may abort."""
  chosen = os.environ.get("MUJOCO_GL")
  for backend in [chosen] if chosen else ["egl", "osmesa"]:
    environment = {**os.environ, "MUJOCO_GL": backend}
    try:
      drawn = subprocess.run(
        [sys.executable, "-c", _RENDER],
        env=environment, capture_output=True, timeout=_RENDER_SECONDS, check=False,
      )  # fmt: skip
    except subprocess.TimeoutExpired:
      continue
    if drawn.returncode == 0:
      return f"MUJOCO_GL={backend} works off screen"
  tried = chosen or "egl, osmesa"
  return f"no off-screen MuJoCo backend ({tried}); needed for films of robots and rendered data"


def _print_all(title: str, lines: list[str]) -> None:
  """Prints lines under a title, short ones side by side."""
  indent, width = " " * 11, shutil.get_terminal_size().columns
  print(title)
  row = ""
  for line in lines:
    joined = f"{row}, {line}" if row else line
    if title == "versions" and len(indent + joined) < width:
      row = joined
      continue
    if row:
      print(indent + row)
    row = line
  print(indent + row)


def _minor(version: str) -> tuple[int, ...]:
  return Version(version).release[:2]


def _below(versions: Mapping[str, str], name: str, bound: str) -> bool:
  return name in versions and Version(versions[name]) < Version(bound)


def _at_least(versions: Mapping[str, str], name: str, bound: str) -> bool:
  return name in versions and Version(versions[name]) >= Version(bound)
