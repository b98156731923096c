"""Compiles a model where it can do no harm: a program of its own, run by `model_file.py`.

MuJoCo may abort the process that it compiles in, or want all of the machine. So this is tried first
in a child with limits on memory and time, which reports only whether it works and how large the
result is. The request comes on standard input: one line of JSON, then the bytes of all files. The
answer is one line of JSON on standard output. Imports nothing of jaxskills, to start fast.
"""

import json
import os
import resource
import sys
from typing import Any, BinaryIO


def main() -> None:
  """Reads a request, answers it."""
  answer = os.fdopen(os.dup(1), "w")
  nowhere = os.open(os.devnull, os.O_WRONLY)
  os.dup2(nowhere, 1)  # whatever else is printed is no answer
  source = sys.stdin.buffer
  request = json.loads(source.readline())
  _limit(request["bytes"], request["cpu_seconds"])
  try:
    report = _compile(request, source)
  except BaseException as error:  # the answer says what it was
    report = {"error": f"{error}"[:2000] or type(error).__name__}
  answer.write(json.dumps(report) + "\n")
  answer.flush()
  os._exit(0)  # no destructor of a strange model has to run


def _limit(size: int, seconds: int) -> None:
  """Sets what this process may use, where the system knows such limits."""
  wanted = {"RLIMIT_AS": size, "RLIMIT_CPU": seconds, "RLIMIT_FSIZE": 1 << 20, "RLIMIT_CORE": 0}
  for name, value in wanted.items():
    kind = getattr(resource, name)
    _, hard = resource.getrlimit(kind)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    try:
      resource.setrlimit(kind, (value, hard))
    except (ValueError, OSError):
      continue  # macOS has no limit of address space


def _compile(request: dict[str, Any], source: BinaryIO) -> dict[str, Any]:
  """Compiles, looks at the numbers, and runs the model's physics once."""
  import mujoco
  import numpy as np

  xml = source.read(request["xml"]).decode()
  files = {key: source.read(size) for key, size in request["files"]}
  model = mujoco.MjModel.from_xml_string(xml, files)
  for name in dir(model):
    try:
      value = getattr(model, name)
    except Exception:  # a field that this model does not have
      continue
    if isinstance(value, np.ndarray) and value.dtype.kind == "f" and not np.isfinite(value).all():
      return {"error": f"{name} is not finite"}
  if not 0 < model.opt.timestep < np.inf:
    return {"error": f"timestep of <option> is {model.opt.timestep:g}; it has to be above 0"}
  if model.narena > request["arena"]:
    return {"error": f"its simulation needs {model.narena / 2**30:.1f} GiB for contacts alone"}
  data = mujoco.MjData(model)
  if data.nbuffer > request["data"]:
    need, most = (f"{size / 2**20:.0f} MiB" for size in (data.nbuffer, request["data"]))
    return {"error": f"each world of its simulation needs {need} for its state; {most} is the most"}
  mujoco.mj_forward(model, data)
  return {"bytes": int(mujoco.mj_sizeModel(model))}


if __name__ == "__main__":
  main()
