"""The comparison of engines in an environment, on a robot that compiles in a moment."""

import importlib.util

import pytest

from jaxskills.benchmarks import agreement
from jaxskills.cli import catalog, figures
from jaxskills.cli.main import main
from jaxskills.physics import agreement as physics
from jaxskills.physics.agreement import HORIZONS
from tests.benchmarks import tiny_robot


@pytest.fixture
def target():
  target = tiny_robot.make_target()
  target.config.task = {"substeps": tiny_robot.SUBSTEPS}
  return target


def test_every_engine_has_a_row_for_every_horizon(target):
  engines = ("native", "warp" if importlib.util.find_spec("warp") else "mjx")
  found = agreement.compare_environment(target, engines, worlds=3)
  assert list(found) == ["as trained", "run out", "as trained to run out"]
  expected = [(engine, steps) for engine in engines for steps in HORIZONS]
  for solver in ("as trained", "run out"):
    tolerances, rows = found[solver]
    assert tolerances is physics.SHAKEN  # this solver is not stopped early
    assert [(row.engine, row.steps) for row in rows] == expected
    same = [row for row in rows if row.engine == "native"]
    assert all(row.qpos_worst == 0.0 and row.within() for row in same)  # the same engine again
  tolerances, rows = found["as trained to run out"]
  assert not tolerances
  assert [(row.engine, row.steps) for row in rows] == [("native", steps) for steps in HORIZONS]


def test_only_a_solver_that_is_stopped_early_may_leave_something_over(target):
  make_env = target.make_env

  def hasty(config, worlds, engine):
    env = make_env(config, worlds, engine=engine)
    env.engine.model.opt.iterations = 2
    return env

  target = target._replace(make_env=hasty)
  found = agreement.compare_environment(target, ["native"], worlds=2)
  assert found["as trained"][0] is physics.STOPPED_EARLY
  assert found["run out"][0] is physics.SHAKEN


def test_a_solver_that_is_run_out_is_another(target):
  model = target.make_env(target.config, 1, engine="native").engine.model
  model.opt.iterations, model.opt.ls_iterations = 2, 5
  out = physics.with_solver_run_out(model)
  assert (out.opt.iterations, out.opt.ls_iterations) == (50, 50)
  assert (model.opt.iterations, model.opt.ls_iterations) == (2, 5)


def test_what_is_out_of_tolerance_fails_the_benchmark(target, monkeypatch, capsys):
  monkeypatch.setattr(agreement, "_target", lambda name: target)
  result = agreement.measure(["tiny/robot"], ["native"], worlds=2)
  assert not result["faults"] and len(result["rows"]) == 3 * len(HORIZONS)
  assert set(agreement.COLUMNS.values()) <= set(result["rows"][0])
  tight = {steps: limit._replace(qpos=-1.0) for steps, limit in physics.SHAKEN.items()}
  monkeypatch.setattr(agreement, "SHAKEN", tight)
  failed = agreement.measure(["tiny/robot"], ["native"], worlds=2)
  assert len(failed["faults"]) == 2 * len(HORIZONS) and "out of tolerance" in failed["faults"][0]
  monkeypatch.setattr(agreement, "measure", lambda: failed)
  monkeypatch.setattr(catalog, "load_benchmark", lambda name: agreement)
  assert main(["bench", "agreement"]) == 1
  captured = capsys.readouterr()
  heading = captured.out.splitlines()[1]
  assert heading.split() == " ".join(agreement.COLUMNS).split()
  assert "out of tolerance" in captured.err


def test_it_covers_every_environment_that_the_robots_benchmark_measures():
  robots = [name for name, entry in catalog.benchmarks().items() if entry.module == "robots"]
  assert sorted(agreement.ENVIRONMENTS) == robots
  assert figures.table([{"within": True}], {"within": "within"}) == ["within", "True"]
