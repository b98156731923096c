"""Tests of exporting a run, from its checkpoints to a bundle that agrees with its networks."""

import json

import jax
import numpy as np
import onnx
import onnxruntime
import pytest

from jaxskills.deploy import bundle, export, layers, parity, robots, runtime, spirl
from jaxskills.deploy.export import export_run, make_bundle
from jaxskills.deploy.robots import Parts, Robot
from jaxskills.errors import UserError
from tests.deploy.conftest import small_config, write_run


@pytest.fixture(scope="module")
def policy(finished_run) -> spirl.Deployable:
  """The run's main method: SPiRL."""
  return spirl.read_run(finished_run, None, 0)


@pytest.fixture(scope="module")
def exported(finished_run, policy, tmp_path_factory):
  """Its bundle, as the command line makes it."""
  out = tmp_path_factory.mktemp("bundles") / "spirl"
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(spirl, "read_run", lambda *choice: policy)  # what it reads, read once
    export_run(finished_run, robot="none", out=out)
  return out


COUNT = 1280


def observations() -> dict[str, np.ndarray]:
  """Uniform noise, black, white, and each after the other."""
  generator = np.random.default_rng(7)
  view = generator.integers(0, 256, (COUNT, 32, 32, 2), dtype=np.uint8)
  view[0], view[1] = 0, 255
  view[2, ..., 0], view[2, ..., 1] = 255, 0
  state = generator.uniform(-5.0, 20.0, (COUNT, 4)).astype(np.float32)
  return {"view": view, "state": state}


def expected_of(policy, seen) -> dict[str, np.ndarray]:
  """The reference on a few rows, asked for as many as elsewhere so that it compiles once."""
  count = len(seen["view"])
  padded = {name: np.resize(value, (COUNT, *value.shape[1:])) for name, value in seen.items()}
  return {name: np.asarray(value)[:count] for name, value in policy.reference(padded).items()}


def test_the_exported_files_agree_with_the_trained_policy_on_1280_observations(exported, policy):
  seen = observations()
  chosen = onnxruntime.InferenceSession(exported / "high_level_policy.onnx")
  decoder = onnxruntime.InferenceSession(exported / "skill_decoder.onnx")
  mean, log_std, skill = chosen.run(["mean", "log_std", "skill"], {"view": seen["view"]})
  (actions,) = decoder.run(["actions"], {"skill": skill})
  found = {"mean": mean, "log_std": log_std, "skill": skill, "actions": actions}
  expected = policy.reference(seen)
  assert set(expected) == set(found)
  assert actions.shape == (COUNT, 5, 2)
  for name, value in found.items():
    np.testing.assert_allclose(value, expected[name], rtol=0, atol=1e-5, err_msg=name)


def test_the_manifest_says_what_a_robot_must_know(exported, finished_run):
  manifest = json.loads((exported / "manifest.json").read_text())
  assert manifest["schema"] == "jaxskills-bundle/1"
  assert (manifest["robot"], manifest["experiment"]) == ("none", "spirl/maze")
  assert manifest["config"] == json.loads((finished_run / "config.json").read_text())["config"]
  assert manifest["metrics"] == {"success_rate": 0.5}
  assert manifest["control"] == {"rate_hz": 100.0, "step_seconds": 0.01, "skill_horizon": 5}
  assert {"jax", "onnx", "onnxruntime", "jaxskills"} <= set(manifest["versions"])
  (view,) = manifest["observation"]
  assert (view["name"], view["dtype"], view["shape"]) == ("view", "uint8", [32, 32, 2])
  assert view["scale"]["difference_gain"] == 4.0 and "4.142 m across" in view["frame"]
  assert manifest["action"]["names"] == ["row_force", "column_force"]
  assert (manifest["action"]["low"], manifest["action"]["high"]) == ([-1.0] * 2, [1.0] * 2)
  assert manifest["decision"]["limit"] == 2.0
  assert manifest["parity"]["observations"] >= 1000
  assert (
    set(manifest["files"])
    == {
      "high_level_policy.onnx",
      "skill_decoder.onnx",
      "golden.npz",
    }
    == {path.name for path in exported.iterdir()} - {"manifest.json"}
  )


def test_the_manifest_names_the_parameters_as_the_run_does(exported, finished_run):
  manifest = bundle.read(exported).manifest
  for stage, digest in manifest["stage_parameters_sha256"].items():
    record = json.loads((finished_run / "checkpoints" / stage / "result/record.json").read_text())
    assert record["record"]["parameters_sha256"] == digest
  main = manifest["stage_parameters_sha256"]["rl/spirl"]
  assert manifest["parameters_sha256"] == main
  model = onnx.load(exported / "high_level_policy.onnx")
  assert {entry.key: entry.value for entry in model.metadata_props}["parameters_sha256"] == main


def test_golden_pairs_are_the_trained_policys(exported, policy):
  arrays = runtime.read_arrays((exported / "golden.npz").read_bytes())
  seen = {name: arrays[f"observation.{name}"] for name in ("view", "state")}
  assert len(seen["view"]) >= 256
  for name, value in expected_of(policy, seen).items():
    np.testing.assert_allclose(arrays[f"expected.{name}"], value, rtol=0, atol=1e-5)


def test_the_runtime_plays_the_plans_that_the_experiment_evaluates(exported, policy):
  seen = policy.samples(3, np.random.default_rng(0))
  expected = np.clip(expected_of(policy, seen)["actions"], -1.0, 1.0)
  player = runtime.Policy(runtime.load(exported))
  for index in range(3):
    look = {"view": seen["view"][index]}
    plan = [player.step(look if player.needs_observation else None) for _ in range(5)]
    np.testing.assert_allclose(plan, expected[index], rtol=0, atol=1e-5)


def test_the_same_run_gives_the_same_bytes(exported, policy):
  made = make_bundle(policy, robots.ROBOTS["none"], metrics={"success_rate": 0.5}, path=exported)
  before = bundle.read(exported)
  assert made.files == before.files
  assert {**made.manifest, "git": None} == {**before.manifest, "git": None}


def test_a_flat_method_is_one_graph_that_acts_at_every_step(finished_run, tmp_path):
  manifest = export_run(finished_run, robot="none", out=tmp_path / "sac", method="sac")
  assert set(manifest["files"]) == {"policy.onnx", "golden.npz"}
  assert manifest["metrics"] == {"success_rate": 0.0}
  flat = spirl.read_run(finished_run, "sac", 0)
  seen = flat.samples(3, np.random.default_rng(0))
  player = runtime.Policy(runtime.load(tmp_path / "sac"))
  actions = [player.step({"view": view}) for view in seen["view"]]
  np.testing.assert_allclose(actions, expected_of(flat, seen)["action"], rtol=0, atol=1e-5)


def test_graphs_that_disagree_are_not_published(finished_run, policy, tmp_path, monkeypatch):
  monkeypatch.setattr(export, "_reader", lambda run: lambda *choice: policy)
  monkeypatch.setattr(layers, "LEAK", 0.21)
  with pytest.raises(UserError, match="differ from the trained policy: .*nothing was written"):
    export_run(finished_run, robot="none", out=tmp_path / "out")
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("robot", ["h1", "franka"])
def test_robots_of_a_later_version_are_refused_by_name(robot, finished_run, tmp_path):
  with pytest.raises(UserError, match=f"robot {robot} comes in a later version; .*--robot=none"):
    export_run(finished_run, robot=robot, out=tmp_path / "out")
  assert not list(tmp_path.iterdir())


def test_an_unknown_robot_is_refused():
  with pytest.raises(UserError, match="unknown robot 'frank'; did you mean franka.*--robot=none"):
    robots.find_robot("frank")


def test_a_robot_adds_parts_that_are_hashed_like_the_rest(policy, tmp_path):
  def parts(exported: spirl.Deployable) -> Parts:
    return Parts({"joints": {"count": len(exported.action.names)}}, {"filter.c": b"int main;"})

  made = make_bundle(policy, Robot("toy", parts), metrics={}, path=tmp_path)
  content = bundle.encode_manifest(made.manifest)
  bundle.write(tmp_path / "toy", {**made.files, "manifest.json": content})
  read = bundle.read(tmp_path / "toy")
  assert read.manifest["robot"] == "toy" and read.manifest["parts"] == {"joints": {"count": 2}}
  assert read.files["filter.c"] == b"int main;"


def test_an_output_folder_in_use_is_left_alone(finished_run, tmp_path):
  (tmp_path / "thesis.tex").write_text("years of work")
  with pytest.raises(UserError, match="exists and is not an empty folder"):
    export_run(finished_run, robot="none", out=tmp_path)
  assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_run_that_is_not_finished_is_refused_by_stage(finished_run, tmp_path):
  run = tmp_path / "run"
  run.mkdir()
  (run / "config.json").write_text((finished_run / "config.json").read_text())
  with pytest.raises(UserError, match="no whole result of pretrain/skill_prior"):
    export_run(run, robot="none", out=tmp_path / "out")
  assert not (tmp_path / "out").exists()


def test_a_run_of_another_experiment_is_refused(tmp_path):
  (tmp_path / "config.json").write_text('{"experiment": "ase/h1"}')
  with pytest.raises(UserError, match="runs of ase/h1 cannot be exported yet"):
    export_run(tmp_path, robot="none", out=tmp_path / "out")


def test_an_unknown_method_or_seed_is_refused(finished_run):
  with pytest.raises(UserError, match="has no method 'ssp'; it has: spirl, sac"):
    spirl.read_run(finished_run, "ssp", 0)
  with pytest.raises(UserError, match="has no seed 1"):
    spirl.read_run(finished_run, None, 1)


def test_of_several_seeds_the_chosen_one_is_exported(tmp_path):
  run = write_run(tmp_path / "run", small_config(seeds=2))
  first, second = (spirl.read_run(run, None, index) for index in range(2))
  bias = [x.variables["params"]["head"]["dense"]["bias"] for x in (first, second)]
  assert bias[0].shape == (8,)
  assert np.abs(bias[0] - bias[1]).max() > 0
  assert second.provenance["seed_index"] == 1


def test_stress_reaches_both_ends_of_every_entry():
  term = spirl.Term("x", (2,), "float32", "m", "world", low=(-1.0, 2.0), high=(0.0, 5.0))
  value = parity.stress(term, 64, np.random.default_rng(0))
  np.testing.assert_array_equal(value.min(axis=0), [-1.0, 2.0])
  np.testing.assert_array_equal(value.max(axis=0), [0.0, 5.0])
  assert np.unique(value).size > 40 and value.dtype == np.float32
  view = parity.stress(
    spirl.Term("v", (3,), "uint8", "", "", (0.0,), (255.0,)), 64, np.random.default_rng(0)
  )
  assert view.dtype == np.uint8 and set(np.unique(view[1::2])) == {0, 255}


def test_samples_are_drawn_in_free_cells(policy):
  seen = policy.samples(64, np.random.default_rng(1))
  walls = np.asarray(spirl.methods.make_world(small_config()).task.walls)
  cells = np.floor(seen["state"][:, :2]).astype(int)
  assert not walls[cells[:, 0], cells[:, 1]].any()
  assert len(jax.tree.leaves(seen)) == 2 and seen["view"].std() > 0
