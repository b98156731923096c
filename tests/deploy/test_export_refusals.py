"""Tests of what no bundle is written for: policies that no robot can run, broken manifests."""

import copy

import pytest

from jaxskills.deploy import bundle, contract, ppo, robots, runtime
from jaxskills.deploy.export import export_run
from jaxskills.errors import UserError
from tests.deploy.conftest import small_robot_config, write_ppo_run


@pytest.fixture(scope="module")
def walking(h1_run) -> ppo.Deployable:
  """The H1's policy."""
  return ppo.read_run(h1_run, None, 0)


@pytest.fixture(scope="module")
def lifting(tmp_path_factory) -> ppo.Deployable:
  """A policy of `panda/lift_cube` that sees a tracked cube."""
  run = write_ppo_run(tmp_path_factory.mktemp("runs") / "lift", "panda/lift_cube")
  return ppo.read_run(run, None, 0)


def parts(robot: str, policy: ppo.Deployable):
  return robots.find_robot(robot).parts(policy)


def with_quantities(policy: ppo.Deployable, **changes) -> ppo.Deployable:
  """The policy with some fields of the term `gyro` or `gripper_position` changed."""
  (term,) = policy.observation
  changed = tuple(
    quantity._replace(**changes) if quantity.name in ("gyro", "gripper_position") else quantity
    for quantity in term.quantities
  )
  return policy._replace(observation=(term._replace(quantities=changed),))


def test_a_term_that_is_declared_not_measurable_is_refused_by_name(walking):
  with pytest.raises(UserError, match=r"reads gyro \(rad/s\), which is declared not measurable"):
    parts("h1", with_quantities(walking, measurable=False))


def test_a_term_that_no_controller_of_the_robot_provides_is_refused_by_name(walking):
  with pytest.raises(UserError, match=r"reads foot_force \(N\), which a h1 alone does not measure"):
    parts("h1", with_quantities(walking, name="foot_force", unit="N"))


def test_a_cube_that_only_a_tracker_sees_is_refused_for_the_arm_alone(lifting):
  with pytest.raises(UserError, match=r"reads cube_position \(m\), which a panda alone does not"):
    parts("franka", lifting)


def test_a_policy_that_moves_the_gripper_is_refused(lifting):
  (term,) = lifting.observation
  blind = tuple(q for q in term.quantities if not q.name.startswith("cube"))
  with pytest.raises(UserError, match="moves the gripper, which the controllers of this version"):
    parts("franka", lifting._replace(observation=(term._replace(quantities=blind),)))


def test_a_policy_of_another_robot_is_refused(walking, lifting):
  with pytest.raises(UserError, match="of h1/velocity acts on h1, not on panda"):
    parts("franka", walking)
  with pytest.raises(UserError, match="of panda/lift_cube acts on panda, not on h1"):
    parts("h1", lifting)


def test_without_a_robot_nothing_is_asked_of_sensors(lifting):
  assert parts("none", lifting).files == {}


def test_an_actor_that_sees_what_only_a_simulator_knows_is_refused_by_term(tmp_path):
  config = small_robot_config("h1/velocity")
  config.ppo.actor_inputs = ("state", "privileged")
  run = write_ppo_run(tmp_path / "run", "h1/velocity", config)
  said = r"reads base_velocity \(m/s\), which no robot can measure: .*are state, privileged"
  with pytest.raises(UserError, match=said):
    export_run(run, robot="h1", out=tmp_path / "out")
  assert not (tmp_path / "out").exists()


def test_another_method_or_seed_than_the_one_there_is_is_refused(h1_run):
  with pytest.raises(UserError, match="has no method 'sac'; it has: ppo"):
    ppo.read_run(h1_run, "sac", 0)
  with pytest.raises(UserError, match="has no seed 1; it has 1"):
    ppo.read_run(h1_run, None, 1)


def test_the_published_schema_and_the_reader_ask_for_the_same_keys():
  published = contract.schema()
  assert set(published["required"]) == set(published["properties"]) == set(bundle.REQUIRED)
  assert published["properties"]["schema"] == {"const": bundle.SCHEMA}


BROKEN = [
  (("control", "rate_hz"), -50.0, "control.rate_hz"),
  (("control", "mode"), "torque", "control.mode"),
  (("observation", 0, "terms", 0, "measurable"), False, "measurable"),
  (("observation", 0, "terms", 0, "slice"), [0], "slice"),
  (("observation", 0, "history", "order"), "oldest first", "history.order"),
  (("parts", "safety"), {}, "safety"),
  (("parts", "robot", "stiffness"), None, "stiffness"),
  (("parts", "robot", "imu", "quaternion"), 4, "imu"),
  (("parts", "task", "command_low"), [0.0], "command_low"),
  (("action", "offset"), "default", "offset"),
  (("graphs", "policy", "state"), [{"input": "state_in"}], "state"),
  (("files", "h1.yaml", "sha256"), "f00", "sha256"),
  (("files", "../secret"), {"sha256": "0" * 64, "bytes": 0}, "secret"),
  (("seed",), "zero", "seed"),
]


@pytest.mark.parametrize(("path", "value", "named"), BROKEN)
def test_a_manifest_out_of_form_is_not_published(path, value, named, h1_bundle):
  manifest = copy.deepcopy(dict(runtime.load(h1_bundle).manifest))
  contract.check(manifest)
  place = manifest
  for key in path[:-1]:
    place = place[key]
  place[path[-1]] = value
  with pytest.raises(ValueError, match=f"breaks its schema at .*{named}"):
    contract.check(manifest)


@pytest.mark.parametrize("name", ["policy.c", "safety_limits.h", "h1.yaml"])
def test_a_robots_bundle_lacks_no_file(name, h1_bundle):
  manifest = copy.deepcopy(dict(runtime.load(h1_bundle).manifest))
  del manifest["files"][name]
  with pytest.raises(ValueError, match=f"'{name}' is a required property"):
    contract.check(manifest)
