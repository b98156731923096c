"""Tests of exporting a robot's policy: what its bundle says and holds."""

import json

import jax
import numpy as np
import onnxruntime
import pytest
import yaml

import jaxskills
from jaxskills.assets.h1 import H1
from jaxskills.assets.panda import PANDA
from jaxskills.deploy import bundle, ppo, robots, runtime, safety_limits
from jaxskills.deploy.export import code_sha256, describe, make_bundle
from jaxskills.experiments import on_policy
from tests.deploy.conftest import PPO_RUNS, small_robot_config, untrained

TRACK = 160  # steps of each of 32 recorded robots


@pytest.fixture(scope="module")
def walking(h1_bundle):
  """The H1's bundle, read."""
  return runtime.load(h1_bundle)


@pytest.fixture(scope="module")
def reaching(panda_bundle):
  """The Panda's bundle, read."""
  return runtime.load(panda_bundle)


def golden(read) -> dict[str, np.ndarray]:
  return runtime.read_arrays(read.files[bundle.GOLDEN])


def test_the_h1s_manifest_says_what_a_controller_must_know(walking, h1_run):
  manifest = walking.manifest
  assert (manifest["robot"], manifest["experiment"]) == ("h1", "h1/velocity")
  assert (manifest["run"], manifest["method"]) == (h1_run.name, "ppo")
  assert manifest["config"] == json.loads((h1_run / "config.json").read_text())["config"]
  assert manifest["control"] == {
    "rate_hz": 50.0,
    "step_seconds": 0.02,
    "skill_horizon": 1,
    "mode": "joint_position",
    "latency_seconds": {"least": 0.0, "greatest": 0.02},
  }
  action = manifest["action"]
  assert action["names"] == list(H1.joints[:10])
  assert (action["scale"], action["scaled_unit"]) == ([0.25] * 10, "rad")
  assert action["offset"] == list(H1.default_pose[:10])
  assert (action["low"], action["high"]) == ([-4.0] * 10, [4.0] * 10)
  assert manifest["decision"]["deterministic"] == "clip(action, -limit, limit)"
  assert manifest["decision"]["limit"] == 4.0 and "sampled" not in manifest["decision"]
  assert manifest["graphs"]["policy"]["state"] == []
  assert manifest["opset"] == 17 and len(manifest["code_sha256"]) == 64
  assert manifest["parts"]["task"] == {
    "kind": "h1/velocity",
    "command_low": [0.0, 0.0, -0.5],
    "command_high": [1.0, 0.0, 0.5],
    "command_unit": "m/s, m/s, rad/s",
    "clock_seconds": 0.64,
    "action_scale": 0.25,
  }


def test_observation_terms_stand_in_unitrees_order_with_slices_units_and_scales(walking):
  (state,) = walking.manifest["observation"]
  found = {term["name"]: (term["slice"], term["unit"], term["scale"]) for term in state["terms"]}
  assert list(found.items()) == [
    ("gyro", ([0, 3], "rad/s", [0.25] * 3)),
    ("projected_gravity", ([3, 6], "1", [1.0] * 3)),
    ("command", ([6, 9], "m/s, m/s, rad/s", [2.0, 2.0, 0.25])),
    ("joint_position", ([9, 19], "rad", [1.0] * 10)),
    ("joint_velocity", ([19, 29], "rad/s", [0.05] * 10)),
    ("last_action", ([29, 39], "1", [1.0] * 10)),
    ("clock", ([39, 41], "1", [1.0] * 2)),
  ]
  assert state["shape"] == [41] and all(term["measurable"] for term in state["terms"])
  assert [term["frame"] for term in state["terms"][:2]] == ["pelvis", "pelvis"]
  assert state["history"] == {
    "length": 1,
    "order": "newest first",
    "start": "the first measurement repeated",
  }


def test_the_robots_record_travels_whole(walking, reaching):
  for read, record in ((walking, H1), (reaching, PANDA)):
    told = read.manifest["parts"]["robot"]
    assert set(told) == {*record._fields, "controlled"}
    for name in ("joints", "motors", "stiffness", "damping", "torque_limit", "default_pose"):
      assert told[name] == list(getattr(record, name))
  robot = walking.manifest["parts"]["robot"]
  assert robot["controlled"] == list(range(10)) and robot["motor_modes"][:5] == [10] * 4 + [1]
  assert robot["imu"]["waist_joint"] == "torso" and robot["jerk_limit"] is None
  assert robot["imu"]["quaternion"].startswith("w x y z")
  assert reaching.manifest["parts"]["robot"]["controlled"] == list(range(7))


def test_the_pandas_manifest_says_how_actions_move_its_joints(reaching):
  manifest = reaching.manifest
  assert (manifest["robot"], manifest["parts"]["robot"]["name"]) == ("franka", "panda")
  assert manifest["control"]["rate_hz"] == 20.0
  action, task = manifest["action"], manifest["parts"]["task"]
  np.testing.assert_allclose(action["scale"], 0.5 * np.array(PANDA.velocity_limit))
  assert (action["scaled_unit"], action["offset"]) == ("rad/s", [0.0] * 7)
  assert task["kind"] == "panda/reach" and task["tolerance"] == 0.02
  assert (task["target_low"], task["target_high"]) == ([0.35, -0.3, 0.1], [0.6, 0.3, 0.5])
  assert (task["control"]["mode"], task["control"]["leash"]) == ("joint_position", 0.2)
  assert np.shape(task["chain"]["rotations"]) == (8, 3, 3)


def test_safety_limits_and_sources_are_in_both(walking, reaching):
  for read, robot, brakes in ((walking, "h1", False), (reaching, "panda", True)):
    limits = safety_limits.from_json(read.manifest["parts"]["safety"])
    assert (limits.robot, limits.brakes) == (robot, brakes)
    assert limits.command_seconds == pytest.approx(3 * read.manifest["control"]["step_seconds"])
    assert {"safety.c", "safety.h", "safety_limits.h", "policy.c", "policy.h"} <= set(read.files)
  walks = safety_limits.from_json(walking.manifest["parts"]["safety"])
  np.testing.assert_array_equal(walks.action_scale, 0.25)
  np.testing.assert_array_equal(walks.action_offset, H1.default_pose[:10])
  assert "franka_constants.h" in reaching.files and "h1.yaml" in walking.files


@pytest.mark.parametrize("experiment", ["h1/velocity", "panda/reach"])
def test_the_exported_graph_is_the_trained_policy_on_ten_thousand_observations(
  experiment, walking, reaching
):
  read = walking if experiment == "h1/velocity" else reaching
  config, run = small_robot_config(experiment), PPO_RUNS[experiment]
  params, plan = untrained(run, config), on_policy.make_policy(config, run.make_env(config, 1))
  pairs = golden(read)
  seen = pairs["observation.state"]
  trained = jax.jit(jax.vmap(lambda state: plan(params, {"state": state}, None)[0]))(seen)
  session = onnxruntime.InferenceSession(read.files["policy.onnx"])
  (action,) = session.run(["action"], {"state": seen})
  assert len(seen) == 10240 and np.isfinite(seen).all()
  np.testing.assert_allclose(action, trained, rtol=0, atol=1e-5)
  np.testing.assert_allclose(pairs["expected.action"], trained, rtol=0, atol=1e-5)


def test_half_of_the_pairs_were_seen_in_closed_loop(walking):
  pairs, span = golden(walking), slice(29, 39)
  acted = np.clip(pairs["expected.action"], -4.0, 4.0)
  deterministic, sampled = (slice(track * TRACK, (track + 1) * TRACK) for track in (0, 31))
  for rows, follows in ((deterministic, True), (sampled, False)):
    last = pairs["observation.state"][rows, span][1:]
    same = np.all(np.abs(last - acted[rows][:-1]) < 1e-5, axis=1)
    began = np.all(last == 0.0, axis=1)
    assert np.all(same | began) == follows and began.sum() < TRACK / 4


def test_the_other_half_reaches_where_the_normaliser_cuts(walking):
  config, run = small_robot_config("h1/velocity"), PPO_RUNS["h1/velocity"]
  moments = untrained(run, config).observation["state"]
  pairs = golden(walking)["observation.state"]
  away = np.abs(pairs - moments.mean) / np.sqrt(moments.variance)
  assert np.all(away[5120:].max(axis=0) > 11.0) and np.median(away[:5120]) < 5.0


def test_files_of_a_robot_are_small(walking, reaching):
  for read in (walking, reaching):
    assert sum(len(content) for content in read.files.values()) < 4_000_000


def test_the_yaml_has_the_keys_and_values_of_unitrees_own(walking):
  text = walking.files["h1.yaml"].decode()
  read = yaml.safe_load(text)
  assert (read["control_dt"], read["msg_type"], read["imu_type"]) == (0.02, "go", "torso")
  assert (read["lowcmd_topic"], read["lowstate_topic"]) == ("rt/lowcmd", "rt/lowstate")
  assert read["weak_motor"] == list(range(10, 20))
  assert read["leg_joint2motor_idx"] == [7, 3, 4, 5, 10, 8, 0, 1, 2, 11]
  assert read["kps"] == [150, 150, 150, 200, 40] * 2 and read["kds"] == [2, 2, 2, 4, 2] * 2
  assert read["default_angles"] == [0, 0, -0.1, 0.3, -0.2] * 2
  assert read["arm_waist_joint2motor_idx"] == [6, 16, 17, 18, 19, 12, 13, 14, 15]
  assert read["arm_waist_kps"] == [300, *[100, 100, 50, 50] * 2]
  assert read["arm_waist_kds"] == [3, *[2] * 8] and read["arm_waist_target"] == [0] * 9
  scales = [read[f"{name}_scale"] for name in ("ang_vel", "dof_pos", "dof_vel", "action", "cmd")]
  assert scales == [0.25, 1.0, 0.05, 0.25, [2.0, 2.0, 0.25]]
  assert (read["num_actions"], read["num_obs"]) == (10, 41)
  assert read["max_cmd"] == [1.0, 0.0, 0.5] and read["policy_path"] == "policy.pt"
  assert "turns in 0.64 s, not in the 0.8 s of the scripts" in text


def test_the_same_run_gives_the_same_bytes(panda_run, reaching):
  policy = ppo.read_run(panda_run, None, 0)
  made = make_bundle(policy, robots.ROBOTS["franka"], metrics={}, path=panda_run)
  assert made.files == reaching.files
  assert made.manifest["parity"] == reaching.manifest["parity"]


def test_a_history_is_measurements_one_after_another():
  config = small_robot_config("h1/velocity")
  config.task.history = 3
  term = ppo.observation_term(PPO_RUNS["h1/velocity"].make_env(config, 1), None)
  assert (term.history, term.shape, len(term.low)) == (3, (123,), 123)
  assert sum(len(quantity.scale) for quantity in term.quantities) == 41


def test_what_is_printed_names_falls_and_the_rule_that_they_are_of(walking):
  assert describe(walking.manifest)[:4] == [
    "policy   ppo, seed 0",
    "decides  deterministic",
    "falls    0.5 deterministic",
    "robot    h1: 50 Hz; 'jaxskills verify' comes before 'run'",
  ]


def test_the_code_hash_follows_every_source_and_nothing_else(tmp_path, monkeypatch):
  (tmp_path / "linked").mkdir()
  (tmp_path / "package").mkdir()
  (tmp_path / "package" / "linked").symlink_to(tmp_path / "linked")
  monkeypatch.setattr(jaxskills, "__file__", str(tmp_path / "package" / "__init__.py"))
  hashes = [code_sha256()]
  for name in ("a.py", "b.c", "c.h", "d.xml", "linked/e.py", "a.py"):
    place = tmp_path / "package" / name
    place.write_text(f"{name} {len(hashes)}")
    hashes.append(code_sha256())
  assert len(set(hashes)) == 7
  (tmp_path / "package" / "notes.txt").write_text("no source")
  assert code_sha256() == hashes[-1]
