"""Tests of the robots' benchmark on a tiny robot, at sizes that measure nothing."""

import json
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import jax
import mujoco
import numpy as np
import pytest
from PIL import Image

from jaxskills.benchmarks import measuring, robot_peers, robots
from jaxskills.benchmarks.robot_facts import Meter
from jaxskills.benchmarks.robot_stages import STAGES, Bench, NativeAlone, engine_program
from jaxskills.cli import catalog
from jaxskills.envs import playground
from jaxskills.errors import UserError
from tests.benchmarks import tiny_robot
from tests.benchmarks.tiny_robot import STEPS, WORLDS
from tests.physics.conftest import SMALL

ROW_KEYS = {
  "engine", "envs", "stage", "control_steps_per_second", "physics_steps_per_second",
  "fraction_of_ceiling", "compile_seconds", "overflow", "name", "value", "unit", "peer", "ratio",
}  # fmt: skip


def going_on(tape, number):
  """Worlds that step `number` carried into the next."""
  return ~tape.begins[number + 1]


def test_a_tape_begins_every_world_and_then_only_those_that_begin_anew(start):
  tape = start.tape
  assert tape.begins.shape == (STEPS, WORLDS)
  assert tape.controls.shape == (STEPS, WORLDS, tiny_robot.SUBSTEPS, 1)
  assert tape.begins[0].all() and 0 < tape.begins[1:].sum() < 0.5 * tape.begins[1:].size
  np.testing.assert_array_equal(tape.begins[1:], tape.states.time[1:] == 0.0)
  assert len(np.unique(tape.parameters["body_mass"][:, 2])) > 1
  assert np.ptp(tape.controls[:, :, 0]) > 0.5


def test_worlds_are_in_mid_life_when_a_benchmark_begins(start):
  assert len(np.unique(start.states.data.physics.time)) > 1
  assert len(np.unique(start.tape.states.time[0])) > 1


def test_the_native_engine_alone_does_the_physics_that_the_environment_asked_for(start):
  model = mujoco.MjModel.from_xml_string(SMALL)
  tape = start.tape
  alone = NativeAlone(model, tape)
  for number in range(3):
    alone.run(1)
    kept = going_on(tape, number) & ~tape.begins[1 : number + 2].any(axis=0)
    assert kept.any()
    np.testing.assert_allclose(alone.qpos()[kept], tape.states.qpos[number + 1, kept], atol=1e-4)


def test_the_native_engine_alone_counts_every_control_step_in_which_a_contact_is_dropped(start):
  alone = NativeAlone(mujoco.MjModel.from_xml_string(SMALL), start.tape)
  warning = np.zeros((WORLDS, int(mujoco.mjtWarning.mjNWARNING), 2), int)
  dropping = iter([[0, 2], [], [2]])  # worlds, by control step

  def rollout(*arguments, **options):
    worlds = next(dropping)
    warning[worlds, int(mujoco.mjtWarning.mjWARN_CONTACTFULL), 1] += 5  # of its physics steps
    warning[worlds, int(mujoco.mjtWarning.mjWARN_CNSTRFULL), 1] += 1

  alone._batch = SimpleNamespace(rollout=rollout, warning=warning, bind=alone._batch.bind)
  assert alone.run(3)["overflow"] == 3.0


def test_an_engine_alone_in_jax_does_the_same_physics(target, start):
  tape = start.tape
  engine = tiny_robot.make_env(target.config, WORLDS, engine="mjx").engine
  program = engine_program(engine, tape)
  run = jax.jit(program.run)
  carry, figures = run(program.carry, program.held, 1)
  kept = going_on(tape, 0)
  first = program.physics(carry).qpos
  np.testing.assert_allclose(first[kept], tape.states.qpos[1, kept], atol=1e-3)
  assert figures["overflow"] == 0
  carry, _ = run(carry, program.held, STEPS)  # goes on, and round to where it was
  np.testing.assert_allclose(program.physics(carry).qpos, first, atol=1e-6)


def test_a_world_that_begins_anew_on_tape_does_so_in_the_engine_alone(start):
  alone = NativeAlone(mujoco.MjModel.from_xml_string(SMALL), start.tape)
  number, world = map(int, np.argwhere(start.tape.begins[1:])[0] + (1, 0))
  alone.run(number)
  fallen = alone.qpos()[world, 2]
  alone.run(1)
  begun = start.tape.states.qpos[number, world, 2]
  assert abs(alone.qpos()[world, 2] - begun) < 0.02 < begun - fallen + 0.02


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_counts_its_control_steps_and_moves_its_worlds(target, start, stage):
  cell = Bench(target, "native", start, seconds=0.01).cell(stage)
  assert cell.contender.units == cell.unroll * WORLDS
  before = cell.qpos()
  assert cell.contender.run() == {}  # figures go to the meter
  assert not np.array_equal(cell.qpos(), before) or stage == "engine"
  assert cell.qpos().shape == before.shape == (WORLDS, 8)
  assert set(cell.meter.faults.values()) == {0}
  assert (cell.compile_seconds > 0.0) == (stage != "engine")


@pytest.mark.parametrize("stage", ["environment", "training"])
def test_stages_are_compiled_as_the_engine_wants_them(target, start, stage):
  bench = Bench(target, "native", start, seconds=0.01)
  bench.env.engine = bench.physics._replace(compiler_options={"no_such_option": True})
  with pytest.raises(jax.errors.JaxRuntimeError, match="no_such_option"):
    bench.cell(stage)


def test_training_keeps_the_experiments_rollout_unless_a_call_would_take_far_too_long(
  target, start
):
  bench = Bench(target, "native", start, seconds=1.0)
  assert bench._training_unroll(24, 2) == 24
  bench._rate = WORLDS * 24 / 45.0  # 24 steps would take 45 seconds, 10 take 19
  assert bench._training_unroll(24, 2) == 10 and bench._training_unroll(24, 4) == 8
  bench._rate = WORLDS * 24 / 1e6
  assert bench._training_unroll(24, 4) == 4  # each minibatch needs its own


QUICK = robots.Settings(rounds=1, seconds=0.01, warmup=2, steps=3)


def test_a_measurement_has_a_row_for_every_number_of_worlds_and_stage(target):
  result = robots.measure(target, ("native", "native"), (WORLDS,), settings=QUICK)
  cells = [(row["engine"], row["envs"], row["stage"]) for row in result["rows"]]
  assert cells == [("native", WORLDS, stage) for stage in STAGES]
  for row in result["rows"]:
    assert ROW_KEYS <= row.keys()
    physics = row["physics_steps_per_second"]
    assert physics == pytest.approx(tiny_robot.SUBSTEPS * row["control_steps_per_second"])
    assert ("floor" in row) == (row["stage"] == "environment")
  assert result["rows"][0]["fraction_of_ceiling"] == 1.0
  assert result["faults"] == result["refused"] == result["comparisons"] == []
  assert "jax" in result["machine"]["versions"] and json.dumps(result)


def test_engines_are_compared_stage_by_stage(target):
  stages = QUICK._replace(stages=("environment",))
  result = robots.measure(target, ("native", "mjx"), (WORLDS,), settings=stages)
  assert [row["engine"] for row in result["rows"]] == ["native", "mjx"]
  (row,) = result["comparisons"]
  assert (row["engine"], row["stage"], row["peer"]) == ("native", "environment", "mjx environment")
  assert row["floor"] == 2.5 and row["ratio"] > 0.0


def test_a_dropped_contact_fails_the_benchmark_and_says_where(target, monkeypatch):
  monkeypatch.setattr(tiny_robot.TinyRobot, "overflow_at", 10.0)
  settings = robots.Settings(("environment",), rounds=1, seconds=0.0, warmup=1, steps=2)
  kept: list[int] = []
  sizes = (WORLDS, 2 * WORLDS)
  result = robots.measure(
    target,
    ("native",),
    sizes,
    settings=settings,
    keep=lambda found: kept.append(len(found["rows"])),
  )
  assert kept == [1, 2]  # after every number of worlds
  assert result["rows"][0]["overflow"] > 0
  assert result["rows"][0]["fraction_of_ceiling"] is None
  for fault, worlds in zip(result["faults"], sizes, strict=True):
    assert fault.startswith(f"native environment, {worlds} worlds: overflow ")


def test_what_goes_wrong_on_a_peers_side_fails_the_benchmark_too(target, monkeypatch):
  def open_peer(name, python, target, bench, start, allow_download):
    del name, python, target, bench, start, allow_download
    meter = Meter(lambda: {"overflow": 2.0, "sum": 1.0})
    contender = measuring.Contender("a careless peer", meter, 7.0)
    return nullcontext(robot_peers.OpenPeer("environment", contender, meter, None, {}, lambda: 3.5))

  monkeypatch.setattr(robot_peers, "open_peer", open_peer)
  settings = robots.Settings(("environment",), rounds=1, seconds=0.0, warmup=1, steps=2)
  peer = robots.Peer("playground", worlds=WORLDS)
  result = robots.measure(target, ("native",), (WORLDS,), peer=peer, settings=settings)
  assert result["comparisons"][0]["peer_contacts_per_world"] == 3.5
  assert any(fault.startswith("a careless peer") for fault in result["faults"])


def test_a_peer_that_cannot_be_opened_leaves_what_was_measured(target, monkeypatch):
  def open_peer(*arguments):
    raise UserError("it went away")

  monkeypatch.setattr(robot_peers, "open_peer", open_peer)
  settings = robots.Settings(("environment",), rounds=1, seconds=0.0, warmup=1, steps=2)
  peer = robots.Peer("playground", worlds=WORLDS)
  result = robots.measure(target, ("native",), (WORLDS,), peer=peer, settings=settings)
  assert len(result["rows"]) == 1 and result["faults"] == ["it went away"]


def test_a_download_without_the_package_is_refused_before_anything_is_measured(target, monkeypatch):
  monkeypatch.setattr(playground, "package", Mock(side_effect=UserError("not installed")))
  monkeypatch.setattr(robots, "_measure_worlds", lambda *arguments: pytest.fail("measured"))
  peer = robots.Peer("playground", allow_download=True)
  with pytest.raises(UserError, match="not installed"):
    robots.measure(target, ("native",), (WORLDS,), peer=peer)


def test_worlds_that_do_not_fit_are_refused_with_the_number_that_does(target, monkeypatch):
  monkeypatch.setattr("jaxskills.physics.memory.available_memory", lambda device=None: 100_000)
  result = robots.measure(target, ("native",), (10**6,))
  (refusal,) = result["refused"]
  assert (refusal["engine"], refusal["envs"]) == ("native", 10**6)
  assert "1000000 worlds need" in refusal["reason"] and " fit" in refusal["reason"]


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    ({"engines": ("natve",)}, "unknown engine 'natve'.*native"),
    ({"settings": robots.Settings(("physics",))}, "unknown stage 'physics'; there are engine"),
    ({"peer": robots.Peer("isaac")}, "unknown peer 'isaac'; there are brax, playground"),
    ({"peer": robots.Peer("brax")}, "--peer-python=PATH.*brax==0.14.2"),
    ({"peer": robots.Peer("brax", Path("/nowhere/python"))}, "/nowhere/python is no program"),
  ],
)
def test_what_cannot_be_measured_is_refused_before_anything_is(target, arguments, message):
  with pytest.raises(UserError, match=message):
    robots.measure(target, **arguments)


def test_the_picture_shows_rates_and_ratios(tmp_path):
  rows, comparisons = [], []
  for engine, rate in (("native", 2e4), ("mjx", 4e3)):
    for worlds in (64, 512):
      for stage, share in zip(STAGES, (1.0, 0.8, 0.75, 0.5), strict=True):
        row = {"engine": engine, "envs": worlds, "stage": stage, "fraction_of_ceiling": share}
        value = share * rate
        row |= {"control_steps_per_second": value, "range": [0.9 * value, 1.1 * value]}
        rows.append(row)
  for name, ratio in (("environment, native to mjx", 4.4), ("training, native to brax", 1.3)):
    row = {"name": name, "engine": "native", "envs": 512, "ratio": ratio}
    comparisons.append({**row, "ratio_range": [0.9 * ratio, 1.2 * ratio], "floor": 1.2})
  result = {"target": "tiny/robot:quick", "machine": {"device": "cpu"}, "rows": rows}
  for part in ([], comparisons):
    robots.draw({**result, "comparisons": part}, tmp_path / "picture.png")
    image = np.asarray(Image.open(tmp_path / "picture.png").convert("RGB"))
    assert image.shape[1] >= 2000 and len(np.unique(image.reshape(-1, 3), axis=0)) > 20
  robots.draw({**result, "rows": [], "comparisons": []}, tmp_path / "empty.png")


def test_targets_are_experiments_that_the_catalogue_knows():
  known = catalog.experiments()
  for name in robots.TARGETS:
    experiment = catalog.load_experiment(known[name])
    assert callable(experiment.make_env)
    config = experiment.get_config(next(iter(known[name].presets)))
    assert {"rl", "ppo"} <= set(config.keys())
