"""Tests of `verify`: what each check catches, and what is left behind when it ends early."""

import importlib.util
import json
import shutil
import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from jaxskills.assets.panda import PANDA
from jaxskills.deploy import bundle as bundles
from jaxskills.deploy import (
  latency,
  network,
  runtime,
  safety,
  safety_c,
  verification,
  verify,
)
from jaxskills.deploy.latency import Latency
from jaxskills.deploy.verification import Check
from jaxskills.deploy.verify import Effort
from jaxskills.errors import UserError

from .conftest import sums_manifest
from .verify_cases import dense, forms, npz, tensor

LITTLE = Effort(calls=25, seconds=0.5, ticks=300)
LOOP = "jaxskills.deploy.franka.closed_loop"
NAMES = [
  "integrity", "parity jax", "parity onnxruntime", "parity numpy", "parity c",
  "parity torchscript", "closed loop", "safety limits", "safety filter", "safety filter in c",
  "latency runtime", "latency onnxruntime", "latency c", "latency torchscript",
]  # fmt: skip
COMPARED = NAMES[2:6] if importlib.util.find_spec("torch") else NAMES[2:5]


@pytest.fixture(autouse=True)
def loop(monkeypatch):
  """A closed loop of no time, and calls that took none, whatever else this machine does."""
  calls = []

  def check(bundle, seconds):
    calls.append((bundle.path, seconds))
    return SimpleNamespace(passed=True, figures={"falls": 0}, lines=("stood", "well"))

  module = SimpleNamespace(check=check, calls=calls)
  monkeypatch.setitem(sys.modules, LOOP, module)
  monkeypatch.setattr(latency, "summarize", lambda spent: Latency(len(spent), 1.0, 2.0, 3.0, 4.0))
  return module


ROWS = 100
NEEDED = verify.LEAST_OBSERVATIONS


@pytest.fixture(autouse=True)
def few_observations(monkeypatch):
  """A hundred are enough here."""
  monkeypatch.setattr(verify, "LEAST_OBSERVATIONS", ROWS)


@pytest.fixture(scope="module")
def robots_bundle(tmp_path_factory):
  """A small network for a Franka, with all that is verified of one."""
  small, count = dense(6, 8, 7), len(PANDA.joints)
  seen = np.random.default_rng(1).normal(size=(ROWS, 6)).astype(np.float32)
  action, _ = network.evaluate(small, seen)
  limits = safety.limits_of(
    PANDA._asdict(),
    controlled=range(count),
    scale=[0.0] * count,
    offset=PANDA.default_pose,
    action_limit=1.0,
    policy_seconds=0.05,
  )
  golden = npz({"observation.state": seen, "expected.action": action.astype(np.float32)})
  files = {**forms(small), **safety_c.write(limits), bundles.GOLDEN: golden}
  graph = {"inputs": [tensor("state", 6)], "outputs": [tensor("action", 7)]}
  robot = {**PANDA._asdict(), "controlled": list(range(count))}
  manifest = {
    **sums_manifest(files),
    "robot": "franka",
    "parts": {"robot": robot, "safety": safety.to_json(limits)},
    "control": {"rate_hz": 20.0, "step_seconds": 0.05, "skill_horizon": 1},
    "observation": [{"name": "state", "dtype": "float32", "shape": [6]}],
    "decision": {"output": "action", "size": 7, "limit": 1.0},
    "action": {"low": [-1.0] * 7, "high": [1.0] * 7},
    "graphs": {"policy": {"file": "policy.onnx", "every_steps": 1, "state": [], **graph}},
    "parity": {
      "observations": ROWS,
      "trained_float32_difference": {"action": 1e-7},
      "tolerance": {"action": 1e-5},
      "scale": {"action": 1.0},
    },
  }
  folder = tmp_path_factory.mktemp("bundles") / "panda"
  bundles.write(folder, {**files, bundles.MANIFEST: bundles.encode_manifest(manifest)})
  return folder


@pytest.fixture
def panda(robots_bundle, tmp_path):
  """A copy that may be changed."""
  return shutil.copytree(robots_bundle, tmp_path / "panda")


def remade(source, folder, *, without=(), **files):
  """A whole bundle with other files; `policy_c` is `policy.c`."""
  old = bundles.read(source)
  named = {name.replace("_", ".", 1): content for name, content in files.items()}
  contents = {name: old.files[name] for name in old.files if name not in without} | named
  manifest = {**old.manifest, "files": bundles.describe_files(contents)}
  bundles.write(folder, {**contents, bundles.MANIFEST: bundles.encode_manifest(manifest)})
  return folder


def failed(record) -> list[str]:
  return [check["name"] for check in record["checks"] if check["passed"] is False]


def test_a_whole_bundle_passes_and_controllers_take_it(panda, loop):
  shown = []
  record = verify.verify(str(panda), LITTLE, shown.append)
  assert [check.name for check in shown] == [check["name"] for check in record["checks"]] == NAMES
  assert record["passed"] is True and failed(record) == []
  assert loop.calls == [(panda, 0.5)]
  assert verification.read(panda)["checks"][6]["figures"] == {"falls": 0}
  assert verification.require(panda).path == panda


def test_full_effort_is_what_the_documentation_says():
  assert verify.FULL == Effort(calls=50_000, seconds=20.0, ticks=200_000)


def spoiled_graph(content: bytes) -> bytes:
  """One weight of the last layer is a thousandth of an action's range off."""
  model = onnx.load_model_from_string(content)
  last = [entry for entry in model.graph.initializer if entry.name.endswith("bias")][-1]
  values = numpy_helper.to_array(last).copy()
  values[0] += 1e-3
  last.CopyFrom(numpy_helper.from_array(values, last.name))
  return model.SerializeToString()


def test_a_graph_that_is_another_one_fails_where_it_is_run(panda, tmp_path):
  graph = spoiled_graph((panda / "policy.onnx").read_bytes())
  record = verify.verify(remade(panda, tmp_path / "other", policy_onnx=graph), LITTLE)
  assert failed(record) == ["parity onnxruntime", "parity numpy"] and record["passed"] is False
  with pytest.raises(UserError, match="failed its verification"):
    verification.require(tmp_path / "other")


def test_c_that_computes_something_else_fails_alone(panda, tmp_path):
  source = (panda / "policy.c").read_bytes().replace(b"void policy_step(", b"static void right(", 1)
  source += b"void policy_step(const float *observation, float *action) {\n"
  source += b"  right(observation, action); action[POLICY_ACTION - 1] += 1e-3f;\n}\n"
  record = verify.verify(remade(panda, tmp_path / "other", policy_c=source), LITTLE)
  assert failed(record) == ["parity c"]


def test_c_that_no_compiler_takes_fails_with_what_it_said(panda, tmp_path):
  record = verify.verify(remade(panda, tmp_path / "other", policy_c=b"int x = y;\n"), LITTLE)
  assert failed(record) == ["parity c", "latency c"]
  assert "cannot compile" in record["checks"][4]["text"]


def test_a_robots_bundle_without_c_fails(panda, tmp_path):
  other = remade(panda, tmp_path / "other", without=["policy.c", "safety.c"])
  record = verify.verify(other, LITTLE)
  assert failed(record) == ["parity c", "safety filter in c", "latency c"]
  assert record["checks"][4]["text"] == "the bundle has no policy.c"


def test_torchscript_that_computes_something_else_fails_alone(panda, tmp_path):
  pytest.importorskip("torch")
  script = forms(dense(6, 7))["policy.pt"]
  record = verify.verify(remade(panda, tmp_path / "other", policy_pt=script), LITTLE)
  assert failed(record) == ["parity torchscript"]


@pytest.mark.parametrize("how", ["no file", "no torch"])
def test_torchscript_that_is_not_there_does_not_apply(how, panda, tmp_path, monkeypatch):
  bundle = runtime.load(panda)
  if how == "no file":
    bundle = runtime.load(remade(panda, tmp_path / "other", without=["policy.pt"]))
  else:
    monkeypatch.setattr(verify.importlib.util, "find_spec", lambda name: None)
  missing = verify._missing(bundle, "torchscript")
  assert missing is not None and missing.passed is None


def test_answers_of_another_training_fail_every_implementation(panda, tmp_path):
  arrays = runtime.read_arrays((panda / bundles.GOLDEN).read_bytes())
  arrays["expected.action"] = arrays["expected.action"] + np.float32(2e-5)
  record = verify.verify(remade(panda, tmp_path / "other", golden_npz=npz(arrays)), LITTLE)
  assert failed(record) == COMPARED


def test_ten_thousand_observations_are_needed_for_a_robot(panda, tmp_path, monkeypatch):
  assert NEEDED == 10_000
  monkeypatch.setattr(verify, "LEAST_OBSERVATIONS", ROWS + 1)
  record = verify.verify(panda, LITTLE)
  assert failed(record) == COMPARED
  assert "101 are needed" in record["checks"][2]["text"]


def test_a_robot_gets_no_looser_tolerance_than_ours(panda, tmp_path):
  bundle = runtime.load(panda)
  manifest = {
    **bundle.manifest,
    "parity": {**bundle.manifest["parity"], "tolerance": {"action": 1.0}},
  }
  assert verify._allowed(bundle._replace(manifest=manifest), "action") == 1e-5
  assert verify._allowed(bundle._replace(manifest={**manifest, "robot": "none"}), "action") == 1.0


def test_a_fall_in_closed_loop_fails(panda, loop):
  loop.check = lambda bundle, seconds: SimpleNamespace(
    passed=False, figures={"falls": 1}, lines=("fell after 3 s",)
  )
  record = verify.verify(panda, LITTLE)
  assert failed(record) == ["closed loop"] and record["checks"][6]["text"] == "fell after 3 s"


FAULTS = [
  ValueError("observation 'state' is not finite"),
  FloatingPointError("the policy's action is [nan],\nnot finite"),
  RuntimeError("the simulation diverged"),
  OSError("no space left"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
def test_a_closed_loop_that_raises_fails_with_its_message(fault, panda, loop):
  def check(bundle, seconds):
    raise fault

  loop.check = check
  record = verify.verify(panda, LITTLE)
  said = " ".join(str(fault).split())
  assert failed(record) == ["closed loop"]
  assert record["checks"][6]["text"] == f"{type(fault).__name__}: {said}"


def test_an_implementation_that_raises_while_it_is_timed_fails_alone(panda, monkeypatch):
  def time(self, calls):
    raise FloatingPointError("the policy's action is nan, not finite")

  monkeypatch.setattr(latency.Runtime, "time", time)
  record = verify.verify(panda, LITTLE)
  assert failed(record) == ["latency runtime"] and len(record["checks"]) == len(NAMES)
  assert record["checks"][10]["text"].startswith("FloatingPointError: the policy's action is nan")


def test_slow_decisions_fail_and_slow_torchscript_does_not(panda, monkeypatch):
  bundle = runtime.load(panda)
  quarter = 0.25e6 * bundle.manifest["control"]["step_seconds"]
  just, over = (Latency(9, 1.0, 2.0, quarter + more, 9e9) for more in (0.0, 1.0))
  assert verify.judge_latency(bundle, just, "latency c").passed is True
  late = verify.judge_latency(bundle, over, "latency c")
  assert late.passed is False and "the load here is" in late.text
  assert verify.judge_latency(bundle, over, "latency torchscript").passed is None


def test_a_bundle_for_no_robot_is_verified_as_far_as_it_goes(sums):
  record = verify.verify(sums, LITTLE)
  assert record["passed"] is True
  applied = {check["name"] for check in record["checks"] if check["passed"] is not None}
  assert applied == {
    "integrity", "parity onnxruntime", "parity numpy", "latency runtime", "latency onnxruntime",
  }  # fmt: skip


@pytest.fixture
def passed_before(panda):
  """A bundle that somebody verified before."""
  verification.write(runtime.load(panda), [Check("parity", True, "")])
  return panda


@pytest.mark.parametrize("fault", [KeyboardInterrupt, TypeError])  # somebody's; our own mistake
def test_what_ends_early_leaves_no_verification(fault, passed_before, loop):
  def check(bundle, seconds):
    raise fault

  loop.check = check
  with pytest.raises(fault):
    verify.verify(passed_before, LITTLE)
  assert not (passed_before / verification.NAME).exists()


def test_a_damaged_bundle_keeps_no_older_verification(passed_before):
  content = bytearray((passed_before / "policy.c").read_bytes())
  content[100] ^= 1
  (passed_before / "policy.c").write_bytes(content)
  with pytest.raises(UserError, match=r"policy\.c is damaged or was changed"):
    verify.verify(passed_before, LITTLE)
  assert not (passed_before / verification.NAME).exists()


def test_a_folder_that_is_no_bundle_is_left_alone(tmp_path):
  (tmp_path / verification.NAME).write_text("somebody's")
  with pytest.raises(UserError, match="holds no bundle"):
    verify.verify(tmp_path, LITTLE)
  assert (tmp_path / verification.NAME).read_text() == "somebody's"


def test_a_verification_that_is_killed_leaves_none(passed_before):
  program = (
    "import sys, time, types\n"
    "from jaxskills.deploy import verify\n"
    "def check(bundle, seconds):\n"
    "  print('in the loop', flush=True)\n"
    "  time.sleep(60)\n"
    f"sys.modules[{LOOP!r}] = types.SimpleNamespace(check=check)\n"
    "verify.verify(sys.argv[1], verify.Effort(5, 1.0, 300))\n"
  )
  command = [sys.executable, "-c", program, str(passed_before)]
  with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
    assert process.stdout is not None and process.stdout.readline() == "in the loop\n"
    process.send_signal(signal.SIGKILL)
  assert process.returncode == -signal.SIGKILL
  with pytest.raises(UserError, match="not verified yet"):
    verification.require(passed_before)


def test_verifying_needs_no_jax(sums):
  program = (
    "import json, sys\n"
    "from jaxskills.deploy.verify import Effort, verify\n"
    "assert verify(sys.argv[1], Effort(5, 1.0, 300))['passed']\n"
    "loaded = {name.partition('.')[0] for name in sys.modules}\n"
    "print(json.dumps(sorted(loaded & {'jax', 'jaxlib', 'flax', 'orbax'})))\n"
  )
  done = subprocess.run(
    [sys.executable, "-c", program, str(sums)], capture_output=True, text=True, check=True
  )
  assert json.loads(done.stdout) == []
