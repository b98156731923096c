"""Tests of what `verify` asks of a safety filter: does its fuzz see a filter that is wrong?"""

import numpy as np
import pytest

from jaxskills.assets.h1 import H1
from jaxskills.assets.panda import PANDA
from jaxskills.deploy import safety, safety_c, safety_checks, safety_fuzz
from jaxskills.deploy.bundle import Bundle
from jaxskills.deploy.safety import DAMP, IDLE, RUN
from jaxskills.deploy.safety_twin import Twin

FILTERS, TICKS = 300, 24_000


def limits_of(robot, controlled: int, period: float) -> safety.Limits:
  return safety.limits_of(
    robot._asdict(),
    controlled=range(controlled),
    scale=[0.25] * controlled,
    offset=robot.default_pose[:controlled],
    action_limit=4.0,
    policy_seconds=period,
  )


LIMITS = {"h1": limits_of(H1, 10, 0.02), "panda": limits_of(PANDA, 7, 0.05)}
ROBOTS = {"h1": H1, "panda": PANDA}


@pytest.fixture(params=LIMITS)
def limits(request) -> safety.Limits:
  return LIMITS[request.param]


def fuzz(limits, **options) -> safety_fuzz.Report:
  return safety_fuzz.fuzz(limits, TICKS, filters=FILTERS, **options)


def change(monkeypatch, **replace):
  """Makes the filter send something else than it decided; `replace` gets output and state."""
  right = safety.step

  def step(*args, **options):
    state, output = right(*args, **options)
    changed = {name: make(output, state) for name, make in replace.items()}
    return state, output._replace(**changed)

  monkeypatch.setattr(safety, "step", step)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_right_filter_breaks_nothing_lives_through_everything_and_is_the_same_in_c(
  limits, tmp_path
):
  twin = Twin(safety_c.write(limits), limits, FILTERS, tmp_path)
  report = fuzz(limits, twin=twin)
  assert report.different == 0 and safety_checks.check_twin(limits, report, twin).passed
  assert report.violations == {} and report.ticks == TICKS
  assert sum(report.modes) == TICKS and min(report.modes) > 0.02 * TICKS
  legged = {"tilt", "height"} if limits.brakes else set()
  assert {name for name, count in report.reasons.items() if count == 0} == legged


def test_the_same_seed_is_the_same_life():
  one, same, other = (
    safety_fuzz.fuzz(LIMITS["panda"], 2000, filters=FILTERS, seed=seed) for seed in (3, 3, 4)
  )
  assert one == same != other


@pytest.mark.parametrize(
  ("name", "field", "of"),
  [
    ("acceleration", "acceleration", "acceleration"),
    ("jerk", "jerk", "jerk"),
    ("velocity", "velocity", "speed"),  # which the rate of the torque bounds further
    ("torque", "torque", "torque"),
    ("torque rate", "torque_rate", "torque_rate"),
  ],
)
def test_a_filter_whose_limits_are_one_percent_too_wide_is_caught(name, field, of, monkeypatch):
  limits, right = LIMITS["h1"], safety.step
  narrow = limits._replace(**{field: getattr(limits, of) / 1.01})
  monkeypatch.setattr(
    safety, "step", lambda given, *rest, **options: right(limits, *rest, **options)
  )
  assert fuzz(narrow).violations.get(name, 0) > 0


def test_a_set_point_out_of_range_is_caught(monkeypatch):
  limits = LIMITS["panda"]
  change(monkeypatch, position=lambda output, state: output.position + 0.02)
  assert fuzz(limits).violations["position"] > 0


def test_a_number_that_is_none_is_caught(monkeypatch):
  limits = LIMITS["h1"]
  change(monkeypatch, damping=lambda output, state: np.where(state.misses[:, None] > 3, np.nan, 0))
  assert fuzz(limits).violations["finite"] > 0


@pytest.mark.parametrize("mode", [IDLE, DAMP])
def test_gains_where_there_should_be_none_are_caught(mode, monkeypatch):
  limits = LIMITS["h1"]
  change(
    monkeypatch,
    stiffness=lambda output, state: np.where((output.mode == mode)[:, None], 1.0, output.stiffness),
  )
  assert fuzz(limits).violations["gains"] > 0


def test_more_gain_than_the_limits_have_is_caught(monkeypatch):
  change(monkeypatch, damping=lambda output, state: output.damping * 1.001)
  assert fuzz(LIMITS["h1"]).violations["gains"] > 0


def test_an_unknown_mode_is_caught():
  limits = LIMITS["h1"]
  wrong = safety_fuzz._of_gains(limits, np.array([7]), _output(limits, 7))
  assert wrong["mode"].tolist() == [True]


def _output(limits, mode: int) -> safety.Output:
  zeros = np.zeros((1, len(limits.joints)))
  return safety.Output(np.array([mode]), np.array([0]), zeros, zeros, zeros)


def test_a_latch_that_lets_go_by_itself_is_caught(monkeypatch):
  limits = LIMITS["panda"]
  right = safety.step

  def forgetful(*args, **options):
    return right(*args, **{**options, "reset": True})

  monkeypatch.setattr(safety, "step", forgetful)
  assert fuzz(limits).violations["latch"] > 0


def test_c_with_limits_that_differ_in_the_last_bit_is_caught(tmp_path):
  limits = LIMITS["panda"]
  theirs = limits._replace(stretch=limits.stretch * (1.0 + 1e-15))
  twin = Twin(safety_c.write(theirs), limits, FILTERS, tmp_path)
  report = fuzz(limits, twin=twin)
  assert report.different > 0 and report.violations == {}
  assert safety_checks.check_twin(limits, report, twin).passed is False


def test_targets_of_actions_are_compared_too(tmp_path):
  limits = LIMITS["h1"]
  other = limits._replace(action_scale=limits.action_scale * 2.0)
  twin = Twin(safety_c.write(other), limits, FILTERS, tmp_path)
  report = safety_fuzz.Report(10, (0, 5, 5), {}, {}, 0)
  check = safety_checks.check_twin(limits, report, twin)
  assert check.passed is False and check.figures["ticks"] == 0 and check.figures["targets"] > 9000


def test_negative_zero_is_another_bit_pattern():
  limits = LIMITS["h1"]
  mine = _output(limits, RUN)
  theirs = mine._replace(position=-mine.position)
  assert safety_fuzz._differ(mine, mine).tolist() == [False]
  assert safety_fuzz._differ(mine, theirs).tolist() == [True]


def record(robot, controlled: int) -> dict:
  return {**robot._asdict(), "controlled": list(range(controlled))}


@pytest.mark.parametrize(("name", "controlled"), [("h1", 10), ("panda", 7)])
def test_the_limits_of_both_robots_lie_within_the_robots_own(name, controlled):
  check = safety_checks.check_limits(record(ROBOTS[name], controlled), LIMITS[name])
  assert check.passed, check.text


@pytest.mark.parametrize(
  ("field", "said"),
  [
    ("velocity", "velocity"),
    ("torque", "torque"),
    ("stiffness", "stiffness"),
    ("upper", "positions"),
  ],
)
def test_limits_beyond_the_robots_own_are_refused(field, said):
  wide = LIMITS["h1"]._replace(**{field: getattr(LIMITS["h1"], field) + 1.0})
  check = safety_checks.check_limits(record(H1, 10), wide)
  assert check.passed is False and said in check.text


@pytest.mark.parametrize("field", ["acceleration", "jerk"])
def test_an_arms_published_limits_are_kept_too(field):
  wide = LIMITS["panda"]._replace(**{field: getattr(LIMITS["panda"], field) * 1.1})
  check = safety_checks.check_limits(record(PANDA, 7), wide)
  assert check.passed is False and field in check.text


def test_limits_of_other_joints_are_refused():
  check = safety_checks.check_limits(record(H1, 19), LIMITS["h1"])
  assert check.passed is False and "controlled joints" in check.text


def test_a_filter_that_never_ran_has_not_passed():
  report = safety_fuzz.Report(10, (5, 0, 5), {}, {}, 0)
  assert safety_checks.check_fuzz(report).passed is False
  assert safety_checks.check_fuzz(report._replace(modes=(0, 5, 5))).passed is True


def test_one_violation_fails_and_is_named():
  report = safety_fuzz.Report(10, (0, 5, 5), {}, {"jerk": 1}, 0)
  check = safety_checks.check_fuzz(report)
  assert check.passed is False and "jerk 1" in check.text


def bundle_of(limits, robot, files, safety_part=None) -> Bundle:
  part = safety.to_json(limits) if safety_part is None else safety_part
  count = len(limits.controlled)
  return Bundle(None, {"parts": {"robot": record(robot, count), "safety": part}}, files)


def test_a_bundles_own_c_and_limits_are_checked(tmp_path):
  limits = LIMITS["panda"]
  bundle = bundle_of(limits, PANDA, safety_c.write(limits))
  checks = list(safety_checks.run(bundle, 600, tmp_path))
  assert [check.name for check in checks] == [
    "safety limits",
    "safety filter",
    "safety filter in c",
  ]
  assert all(check.passed for check in checks), checks


def test_without_its_c_or_a_compiler_only_that_check_fails(tmp_path, monkeypatch):
  limits = LIMITS["panda"]
  missing = list(safety_checks.run(bundle_of(limits, PANDA, {}), 600, tmp_path))
  assert [check.passed for check in missing] == [True, True, False]
  assert "the bundle has no safety.c" in missing[2].text
  monkeypatch.setenv("CC", "no-such-compiler")
  bundle = bundle_of(limits, PANDA, safety_c.write(limits))
  uncompiled = list(safety_checks.run(bundle, 600, tmp_path))
  assert [check.passed for check in uncompiled] == [True, True, False]
  assert "no-such-compiler" in uncompiled[2].text


def test_a_bundle_without_limits_fails_all_three(tmp_path):
  bundle = bundle_of(LIMITS["h1"], H1, {}, safety_part={})
  checks = list(safety_checks.run(bundle, 600, tmp_path))
  assert [check.passed for check in checks] == [False] * 3
  assert "lack" in checks[0].text
