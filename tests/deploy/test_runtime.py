"""Tests of stepping a bundle, on one whose policy and decoder are plain sums."""

import json
import subprocess
import sys

import numpy as np
import onnx
import pytest

from jaxskills.deploy import bundle, runtime
from jaxskills.deploy.graph import Graph
from jaxskills.deploy.runtime import Policy, difference, load
from jaxskills.errors import UserError
from tests.deploy.conftest import sums_files, sums_manifest


def seen(*state: float) -> dict[str, np.ndarray]:
  return {"state": np.array(state, np.float32)}


def test_a_skill_is_chosen_once_and_then_played_to_its_end(sums):
  policy = Policy(load(sums))
  skill = 2.0 * np.tanh([0.015, -0.01])
  np.testing.assert_allclose(policy.step(seen(0.03, -0.02)), skill, rtol=1e-6)
  np.testing.assert_allclose(policy.step(seen(5.0, 5.0)), 10.0 * skill, rtol=1e-6)
  np.testing.assert_allclose(policy.step(), -skill, rtol=1e-6)
  np.testing.assert_allclose(policy.step(seen(0.1, 0.2)), 2.0 * np.tanh([0.05, 0.1]), rtol=1e-6)


def test_it_says_when_it_looks(sums):
  policy = Policy(load(sums))
  due = []
  for _ in range(7):
    due.append(policy.needs_observation)
    policy.step(seen(0.0, 0.0))
  assert due == [True, False, False, True, False, False, True]


def test_reset_decides_anew(sums):
  policy = Policy(load(sums))
  policy.step(seen(0.1, 0.1))
  policy.reset()
  assert policy.needs_observation
  np.testing.assert_allclose(policy.step(seen(0.2, 0.0)), 2.0 * np.tanh([0.1, 0.0]), rtol=1e-6)


def test_actions_are_clipped_to_the_contract(sums):
  policy = Policy(load(sums))
  policy.step(seen(3.0, -3.0))
  np.testing.assert_array_equal(policy.step(), [1.0, -1.0])


def test_with_a_seed_skills_are_drawn_from_the_gaussian(sums):
  drawn = Policy(load(sums), seed=0)
  skills = []
  for _ in range(2000):
    drawn.reset()
    skills.append(drawn.step(seen(0.0, 0.05)) / 2.0)
  before = 2.0 * np.arctanh(np.clip(skills, -0.4999, 0.4999))  # clipped actions are at 0.5
  inside = np.abs(np.array(skills)) < 0.499
  assert np.median(before[:, 1]) == pytest.approx(0.05, abs=0.03)
  assert np.std(before[:, 0]) == pytest.approx(np.exp(-1.0), abs=0.06)
  assert inside.mean() > 0.8
  again = Policy(load(sums), seed=0)
  np.testing.assert_array_equal(again.step(seen(0.0, 0.05)), 2.0 * skills[0])


@pytest.mark.parametrize(
  ("observation", "message"),
  [
    (None, "due at this step and missing"),
    ({"view": np.zeros(2)}, "due at this step and missing"),
    ({"state": np.zeros(2)}, r"is float64 \[2\], not float32 \[2\]"),
    (seen(0.0, 0.0, 0.0), r"is float32 \[3\], not float32 \[2\]"),
    (seen(0.0, np.nan), "is not finite"),
  ],
)
def test_an_observation_that_breaks_the_contract_is_refused(sums, observation, message):
  with pytest.raises(ValueError, match=message):
    Policy(load(sums)).step(observation)


def test_golden_pairs_are_met(sums):
  assert Policy(load(sums)).verify_golden() < 1e-6


def write(folder, files, manifest):
  manifest["files"] = bundle.describe_files(files)
  content = bundle.encode_manifest(manifest)
  bundle.write(folder, {**files, "manifest.json": content})
  return folder


def test_a_machine_that_computes_something_else_is_noticed(tmp_path):
  files = sums_files()
  manifest = sums_manifest(files)
  arrays = runtime.read_arrays(files["golden.npz"])
  arrays["expected.actions"][3, 1, 0] += 1e-3
  np.savez(tmp_path / "other.npz", **arrays)
  files["golden.npz"] = (tmp_path / "other.npz").read_bytes()
  folder = write(tmp_path / "other", files, manifest)
  with pytest.raises(UserError, match="actions are not here what they were"):
    Policy(load(folder)).verify_golden()


def test_a_graph_that_differs_from_the_contract_is_refused(tmp_path):
  files = sums_files()
  manifest = sums_manifest(files)
  manifest["graphs"]["decoder"]["outputs"][0]["shape"] = ["batch", 4, 2]
  with pytest.raises(UserError, match="the outputs of graph decoder are"):
    Policy(load(write(tmp_path / "other", files, manifest)))


def test_a_graph_that_cannot_be_opened_is_one_line(tmp_path):
  files = {**sums_files(), "decoder.onnx": b"not a graph"}
  folder = write(tmp_path / "other", files, sums_manifest(files))
  with pytest.raises(UserError, match="cannot open .*decoder.onnx"):
    Policy(load(folder))


def test_weights_outside_the_bundle_are_not_read(tmp_path, monkeypatch):
  files = sums_files()
  model = onnx.load_from_string(files["policy.onnx"])
  weights = model.graph.initializer[0]
  (tmp_path / "elsewhere").write_bytes(weights.raw_data)
  weights.data_location = onnx.TensorProto.EXTERNAL
  weights.external_data.add(key="location", value="elsewhere")
  weights.ClearField("raw_data")
  files["policy.onnx"] = model.SerializeToString()
  folder = write(tmp_path / "other", files, sums_manifest(files))
  monkeypatch.chdir(tmp_path)
  with pytest.raises(UserError, match="cannot open .*policy.onnx"):
    Policy(load(folder))


def test_pickled_arrays_are_refused(tmp_path):
  np.savez(tmp_path / "pickled.npz", evil=np.array([{}], object))
  with pytest.raises(ValueError, match="allow_pickle"):
    runtime.read_arrays((tmp_path / "pickled.npz").read_bytes())


def test_differences_are_measured_against_the_range_of_the_output():
  expected = np.array([[0.0, 0.5], [0.0, -8.0]], np.float32)
  value = expected + np.array([[0.1, 0.0], [0.4, 0.0]], np.float32)
  assert difference(value, expected) == pytest.approx(0.1)
  assert difference(value, expected, 2.0) == pytest.approx(0.05)
  assert difference(value * np.nan, expected) == np.inf
  assert difference(value[:, :1], expected) == np.inf


def test_a_robot_needs_neither_jax_nor_onnx(sums):
  program = (
    "import json, sys, numpy as np\n"
    "from jaxskills.deploy.runtime import Policy, load\n"
    "policy = Policy(load(sys.argv[1]))\n"
    "policy.verify_golden()\n"
    "action = policy.step({'state': np.zeros(2, np.float32)})\n"
    "loaded = {name.partition('.')[0] for name in sys.modules}\n"
    "unwanted = loaded & {'jax', 'jaxlib', 'flax', 'onnx', 'orbax', 'jaxtyping'}\n"
    "print(json.dumps([action.tolist(), sorted(unwanted)]))\n"
  )
  done = subprocess.run(
    [sys.executable, "-c", program, str(sums)], capture_output=True, text=True, check=True
  )
  assert json.loads(done.stdout) == [[0.0, 0.0], []]


@pytest.fixture
def remembering(tmp_path):
  """A recurrent policy of sums: its action and its memory are the sum of all that it has seen."""
  graph = Graph("policy")
  state = graph.add_input("state", "float32", [2])
  total = graph.add("Add", state, graph.add_input("state_in", "float32", [2]))
  graph.add_output("action", total, [2])
  graph.add_output("state_out", total, [2])
  seen, before = np.ones((3, 2), np.float32), np.full((3, 2), 0.5, np.float32)
  arrays = {"observation.state": seen, "observation.state_in": before}
  arrays |= {"expected.action": seen + before, "expected.state_out": seen + before}
  np.savez(tmp_path / "golden.npz", **arrays)
  files = {
    "policy.onnx": graph.finish({}).SerializeToString(),
    "golden.npz": (tmp_path / "golden.npz").read_bytes(),
  }

  def tensor(name):
    return {"name": name, "dtype": "float32", "shape": ["batch", 2]}

  manifest = sums_manifest(files)
  manifest["decision"] = {"output": "action", "size": 2, "limit": 9.0}
  manifest["action"] = {"low": [-9.0, -9.0], "high": [9.0, 9.0]}
  manifest["graphs"] = {
    "policy": {
      "file": "policy.onnx",
      "inputs": [tensor("state"), tensor("state_in")],
      "outputs": [tensor("action"), tensor("state_out")],
      "every_steps": 1,
      "state": [{"input": "state_in", "output": "state_out", "size": 2, "start": "zeros"}],
    }
  }
  manifest["parity"] = {"tolerance": {"action": 1e-5, "state_out": 1e-5}, "scale": {}}
  return write(tmp_path / "remembering", files, manifest)


def test_a_recurrent_policy_is_given_back_what_it_remembers_until_reset(remembering):
  policy = Policy(load(remembering))
  steps = [policy.step(seen(1.0, -2.0)).tolist() for _ in range(3)]
  assert steps == [[1.0, -2.0], [2.0, -4.0], [3.0, -6.0]]
  policy.reset()
  assert policy.step(seen(0.5, 0.5)).tolist() == [0.5, 0.5]


def test_golden_pairs_of_a_recurrent_policy_hold_its_memory(remembering):
  assert Policy(load(remembering)).verify_golden() == 0.0


def test_a_policy_that_gives_no_distribution_takes_no_seed(remembering):
  with pytest.raises(UserError, match="is deterministic; leave out the seed"):
    Policy(load(remembering), seed=0)
