"""Tests of exporting a run, from its checkpoints to a bundle that agrees with its networks."""

import json

import jax
import numpy as np
import onnx
import onnxruntime
import pytest

from jaxskills.deploy import bundle, layers, parity, robots, runtime, spirl
from jaxskills.deploy.export import describe, export_run, make_bundle, own_metrics
from jaxskills.deploy.robot_parts import Parts
from jaxskills.deploy.robots import Target
from jaxskills.errors import UserError
from jaxskills.experiments.spirl import maze
from tests.deploy.conftest import small_config

NONE = robots.ROBOTS["none"]


@pytest.fixture(scope="module")
def policy(finished_run) -> spirl.Deployable:
  """The run's main method: SPiRL."""
  return spirl.read_run(finished_run, None, 0)


@pytest.fixture(scope="module")
def answers(policy) -> parity.Answers:
  """What its networks make of 1024 observations of the maze and 256 of stress."""
  return parity.ask(policy)


@pytest.fixture
def asked_before(policy, answers, monkeypatch) -> None:
  """Lets an export reuse them."""
  monkeypatch.setattr(spirl, "read_run", lambda *choice: policy)
  monkeypatch.setattr(parity, "ask", lambda policy: answers)


@pytest.fixture(scope="module")
def exported(finished_run, tmp_path_factory):
  """Its bundle."""
  out = tmp_path_factory.mktemp("bundles") / "spirl"
  export_run(finished_run, robot="none", out=out)
  return out


def test_the_exported_files_agree_with_the_trained_policy_on_1280_observations(exported, answers):
  seen, trained = answers.observation["view"], answers.trained
  chosen = onnxruntime.InferenceSession(exported / "high_level_policy.onnx")
  decoder = onnxruntime.InferenceSession(exported / "skill_decoder.onnx")
  mean, log_std, skill = chosen.run(["mean", "log_std", "skill"], {"view": seen})
  (actions,) = decoder.run(["actions"], {"skill": skill})
  found = {"mean": mean, "log_std": log_std, "skill": skill, "actions": actions}
  assert len(seen) == 1280 and actions.shape == (1280, 5, 2)
  for name, value in found.items():
    np.testing.assert_allclose(value, trained[name], rtol=0, atol=1e-5, err_msg=name)
  np.testing.assert_allclose(actions, answers.plan, rtol=0, atol=1e-5)


def test_the_exact_reference_is_what_was_trained_without_its_rounding(answers):
  assert set(answers.exact) == {"mean", "log_std", "skill", "actions"}
  for name, value in answers.exact.items():
    assert value.dtype == np.float64 and answers.trained[name].dtype == np.float32
    gap = np.abs(value - answers.trained[name]).max()
    assert 0.0 < gap < 1e-5, name


def test_the_manifest_says_what_a_robot_must_know(exported, finished_run):
  manifest = json.loads((exported / "manifest.json").read_text())
  assert manifest["schema"] == "jaxskills-bundle/2"
  assert (manifest["robot"], manifest["experiment"]) == ("none", "spirl/maze")
  assert manifest["config"] == json.loads((finished_run / "config.json").read_text())["config"]
  assert manifest["run"] == finished_run.name
  assert manifest["metrics"] == {"success_rate": 0.5, "decisions": {"success_rate": "sampled"}}
  assert manifest["control"] == {"rate_hz": 100.0, "step_seconds": 0.01, "skill_horizon": 5}
  assert {"jax", "onnx", "onnxruntime", "jaxskills"} <= set(manifest["versions"])
  (view,) = manifest["observation"]
  assert (view["name"], view["dtype"], view["shape"]) == ("view", "uint8", [32, 32, 2])
  assert view["scale"]["difference_gain"] == 4.0 and "4.142 m across" in view["frame"]
  assert manifest["action"]["names"] == ["row_force", "column_force"]
  assert (manifest["action"]["low"], manifest["action"]["high"]) == ([-1.0] * 2, [1.0] * 2)
  decision = manifest["decision"]
  assert decision["limit"] == 2.0 and {"deterministic", "sampled"} <= set(decision)
  assert decision["runtime"].startswith("deterministic; sampled where")
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


def test_golden_pairs_are_the_trained_policys(exported, policy, answers):
  arrays = runtime.read_arrays((exported / "golden.npz").read_bytes())
  view = arrays["observation.view"]
  assert len(view) >= 256
  world = list(answers.observation["view"][: policy.counts.world])
  rows = [next(i for i, seen in enumerate(world) if (seen == one).all()) for one in view[::50]]
  for name in ("mean", "log_std", "skill", "actions"):
    golden, trained = arrays[f"expected.{name}"][::50], answers.trained[name][rows]
    np.testing.assert_allclose(golden, trained, rtol=0, atol=1e-5)


def test_the_runtime_plays_the_plans_that_the_experiment_evaluates(exported, answers):
  player = runtime.Policy(runtime.load(exported))
  for view, plan in list(zip(answers.observation["view"], answers.plan, strict=True))[:3]:
    played = [player.step({"view": view} if player.needs_observation else None) for _ in range(5)]
    np.testing.assert_allclose(played, np.clip(plan, -1.0, 1.0), rtol=0, atol=1e-5)


def test_the_same_run_gives_the_same_bytes(exported, policy):
  figures = own_metrics({"success_rate": 0.5}, 0, spirl.DECIDED)
  made = make_bundle(policy, NONE, metrics=figures, path=exported)
  before = bundle.read(exported)
  assert made.files == before.files
  source = {"git": None, "code_sha256": None}  # which somebody may be editing
  assert {**made.manifest, **source} == {**before.manifest, **source}


def test_a_flat_method_is_one_graph_that_acts_at_every_step(finished_run, tmp_path):
  manifest = export_run(finished_run, robot="none", out=tmp_path / "sac", method="sac")
  assert set(manifest["files"]) == {"policy.onnx", "golden.npz"}
  assert manifest["metrics"] == {"success_rate": 0.0, "decisions": {"success_rate": "sampled"}}
  player = runtime.Policy(runtime.load(tmp_path / "sac"))
  arrays = runtime.read_arrays((tmp_path / "sac" / "golden.npz").read_bytes())
  actions = [player.step({"view": view}) for view in arrays["observation.view"][:3]]
  np.testing.assert_allclose(actions, arrays["expected.action"][:3], rtol=0, atol=1e-5)


@pytest.mark.usefixtures("asked_before")
def test_graphs_that_disagree_are_not_published(finished_run, tmp_path, monkeypatch):
  monkeypatch.setattr(layers, "LEAK", 0.21)
  with pytest.raises(UserError, match="differ from the trained policy: .*nothing was written"):
    export_run(finished_run, robot="none", out=tmp_path / "out")
  assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("asked_before")
def test_plans_that_disagree_are_not_published(finished_run, answers, tmp_path, monkeypatch):
  other = answers._replace(plan=answers.plan[:, ::-1])
  monkeypatch.setattr(parity, "ask", lambda policy: other)
  with pytest.raises(UserError, match="differ from the trained policy: plan by"):
    export_run(finished_run, robot="none", out=tmp_path / "out")
  assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("asked_before")
def test_a_graph_may_be_off_by_twice_what_the_trained_networks_are(policy, answers, tmp_path):
  def moved(off: float) -> parity.Answers:
    skill = answers.trained["skill"] + np.float32(off)
    return answers._replace(trained={**answers.trained, "skill": skill})

  graphs = runtime.Graphs(make_bundle(policy, NONE, metrics={}, path=tmp_path))
  kept = parity.compare(policy, graphs, moved(0.0))
  assert kept["tolerance"]["skill"] == 1e-5 > kept["difference"]["skill"]
  assert kept["loosened"] == {}
  loose = parity.compare(policy, graphs, moved(8e-5))
  assert loose["tolerance"]["skill"] == pytest.approx(8e-5, rel=0.1)  # of a range of 2, twice
  assert set(loose["loosened"]) == {"skill"}
  said = loose["loosened"]["skill"]
  assert (said["from"], said["to"]) == (1e-5, loose["tolerance"]["skill"])
  assert "float32 are themselves" in said["because"]
  assert parity.compare(policy, graphs, moved(1e-2))["tolerance"]["skill"] == parity.LOOSEST


@pytest.mark.usefixtures("asked_before")
def test_what_is_printed_says_whether_the_tolerance_was_loosened_and_why(policy, tmp_path):
  manifest = dict(make_bundle(policy, NONE, metrics={}, path=tmp_path).manifest)
  assert describe(manifest)[-1].endswith("off the trained networks, 1e-05 allowed")
  because = "the sky is high"
  manifest["parity"]["loosened"] = {"skill": {"from": 1e-5, "to": 3.4e-5, "because": because}}
  *_, parity_line, loosened = describe(manifest)
  assert parity_line.endswith("1e-05 allowed, but:")
  assert loosened.strip() == f"skill: loosened from 1e-05 to 3.4e-05: {because}"


@pytest.mark.usefixtures("asked_before")
@pytest.mark.parametrize(("robot", "named"), [("h1", "h1"), ("franka", "panda")])
def test_a_policy_of_a_simulated_world_is_not_written_for_a_robot(
  robot, named, finished_run, tmp_path
):
  with pytest.raises(UserError, match=f"acts on a simulated world, not on {named}"):
    export_run(finished_run, robot=robot, out=tmp_path / "out")
  assert not list(tmp_path.iterdir())


def test_an_unknown_robot_is_refused():
  with pytest.raises(UserError, match="unknown robot 'frank'; did you mean franka.*--robot=h1"):
    robots.find_robot("frank")


@pytest.mark.usefixtures("asked_before")
def test_a_robot_adds_parts_that_are_hashed_like_the_rest(policy, tmp_path):
  def parts(exported: spirl.Deployable) -> Parts:
    return Parts({"joints": {"count": len(exported.action.names)}}, {"filter.c": b"int main;"})

  made = make_bundle(policy, Target("none", parts), metrics={}, path=tmp_path)
  content = bundle.encode_manifest(made.manifest)
  bundle.write(tmp_path / "toy", {**made.files, "manifest.json": content})
  read = bundle.read(tmp_path / "toy")
  assert read.manifest["parts"] == {"joints": {"count": 2}}
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


def test_a_run_of_another_version_is_refused_alike_by_eval_and_export(finished_run, tmp_path):
  run = json.loads((finished_run / "config.json").read_text())
  run["config"]["task"]["gravity"] = run["config"]["task"].pop("goal_radius")
  (tmp_path / "config.json").write_text(json.dumps(run))
  said = "another version .* lacks task.goal_radius and has task.gravity, which this one does not"
  with pytest.raises(UserError, match=said):
    export_run(tmp_path, robot="none", out=tmp_path / "out")
  with pytest.raises(UserError, match=said):
    maze.evaluate(tmp_path, episodes=1, video=False)


def test_a_run_of_another_experiment_is_refused(tmp_path):
  (tmp_path / "config.json").write_text('{"experiment": "ase/h1"}')
  with pytest.raises(UserError, match="runs of ase/h1 cannot be exported yet"):
    export_run(tmp_path, robot="none", out=tmp_path / "out")


def test_an_unknown_method_or_seed_is_refused(finished_run):
  with pytest.raises(UserError, match="has no method 'ssp'; it has: spirl, sac"):
    spirl.read_run(finished_run, "ssp", 0)
  with pytest.raises(UserError, match="has no seed 1"):
    spirl.read_run(finished_run, None, 1)


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
