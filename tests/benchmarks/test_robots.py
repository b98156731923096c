"""Tests of the robots' benchmark on a tiny robot, at sizes that measure nothing."""

import json
import stat
import time
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from PIL import Image

from jaxskills.benchmarks import measuring, robot_facts, robot_peers, robots
from jaxskills.benchmarks.robot_facts import Meter, PeakMemory, contacts_per_world
from jaxskills.benchmarks.robot_peer_brax import JoinedCritic
from jaxskills.benchmarks.robot_peer_playground import StepLoop, stepped
from jaxskills.benchmarks.robot_stages import STAGES, Bench, NativeAlone, engine_program
from jaxskills.benchmarks.robot_worlds import begin
from jaxskills.cli import catalog
from jaxskills.envs import playground
from jaxskills.errors import UserError
from tests.benchmarks import tiny_robot
from tests.physics.conftest import SMALL

WORLDS, STEPS = 4, 12
ROW_KEYS = {
  "engine", "envs", "stage", "control_steps_per_second", "physics_steps_per_second",
  "fraction_of_ceiling", "compile_seconds", "overflow", "name", "value", "unit", "peer", "ratio",
}  # fmt: skip


@pytest.fixture(scope="module")
def target():
  return tiny_robot.make_target()


@pytest.fixture(scope="module")
def start(target):
  """Long enough for every ball to fall and begin anew."""
  return begin(target, WORLDS, warmup=10, steps=STEPS)


@pytest.fixture(autouse=True)
def cache_setting():
  """A benchmark turns the compilation cache off."""
  before = jax.config.jax_compilation_cache_dir
  yield
  jax.config.update("jax_compilation_cache_dir", before)


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
    alone.run(number + 1)
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
  state, figures = jax.jit(program.run)(program.carry, program.held, 1)
  kept = going_on(tape, 0)
  np.testing.assert_allclose(state.qpos[kept], tape.states.qpos[1, kept], atol=1e-3)
  assert figures["overflow"] == 0


def test_a_world_that_begins_anew_on_tape_does_so_in_the_engine_alone(start):
  alone = NativeAlone(mujoco.MjModel.from_xml_string(SMALL), start.tape)
  number, world = map(int, np.argwhere(start.tape.begins[1:])[0] + (1, 0))
  alone.run(number)
  fallen = alone.qpos()[world, 2]
  alone.run(number + 1)
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
  result = robots.measure(target, ("native",), (WORLDS,), settings=settings)
  assert result["rows"][0]["overflow"] > 0
  assert result["rows"][0]["fraction_of_ceiling"] is None
  (fault,) = result["faults"]
  assert fault.startswith(f"native environment, {WORLDS} worlds: overflow ")


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


def test_a_meter_adds_faults_up_and_lets_no_figure_end_a_race():
  figures = iter(
    [
      {"overflow": 2.0, "quarantined": 1.0, "sum": 0.0},
      {"overflow": 1.0, "quarantined": 3.0, "sum": float("nan")},
      {"sum": 1.0},
    ]
  )
  meter = Meter(lambda: next(figures))
  assert [meter(), meter()] == [{}, {}]
  assert meter.faults == {"overflow": 3, "quarantined": 3, "nonfinite": 1}
  meter()
  assert meter.faults["nonfinite"] == 1


def test_a_meter_sees_whether_processors_work_or_wait():
  busy = Meter(lambda: {"sum": float(sum(range(3_000_000)))})
  idle = Meter(lambda: time.sleep(0.2) or {})
  assert busy.cpu_utilisation == 0.0
  busy(), idle()
  assert idle.cpu_utilisation < 0.05 < busy.cpu_utilisation
  busy.forget()
  assert busy.cpu_utilisation == 0.0


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's account")
def test_memory_that_was_given_back_counts_too():
  with PeakMemory(None) as memory:
    block = np.ones(64 << 17)  # 64 MiB
    del block
  assert 60 < memory.mib < 200
  with PeakMemory(None) as memory:
    pass
  assert memory.mib < 30


def test_contacts_are_those_that_push():
  model = mujoco.MjModel.from_xml_string(SMALL)
  poses = np.zeros((3, model.nq))
  poses[:, 2], poses[:, 3] = (0.5, 0.099, 0.099), 1.0  # in the air, on the floor, on the floor
  assert contacts_per_world(model, poses) == pytest.approx(2 / 3)
  assert contacts_per_world(model, np.repeat(poses[1:2], 1000, 0)) == 1.0


def fake_python(folder: Path, *lines: str) -> Path:
  """A program that answers the first request as Brax's process does, and then as given."""
  path = folder / "python"
  path.write_text("\n".join(["#!/bin/sh", "read request", *lines]) + "\n")
  path.chmod(path.stat().st_mode | stat.S_IXUSR)
  return path


def ready(parameters: int) -> str:
  versions = {"brax": "0.14.2", "jax": "0.9.2"}
  answer = {"versions": versions, "parameters": parameters, "seconds_before": 1.0}
  return f"echo '{json.dumps(answer)}'"


def test_brax_is_asked_for_an_iteration_at_a_time(target, start, tmp_path):
  # 15 numbers of state, 3 masses; 8 hidden; actor with a deviation, critic of both
  parameters = (15 * 8 + 8 + 8 + 1 + 1) + ((15 + 3) * 8 + 8 + 8 + 1)
  python = fake_python(
    tmp_path, ready(parameters), "while read line; do echo '{\"loss\": 0.5}'; done"
  )
  bench = Bench(target, "native", start, seconds=0.0)
  with robot_peers.open_peer("brax", python, target, bench, start) as peer:
    assert peer.stage == "training" and peer.floor == 1.2
    assert peer.contender.units == WORLDS * 4
    assert peer.contender.run() == {"loss": 0.5} == peer.contender.run()
    assert "0.14.2" in peer.contender.name and "native" in peer.contender.name


def test_brax_with_networks_of_another_size_is_no_comparison(target, start, tmp_path):
  bench = Bench(target, "native", start, seconds=0.0)
  python = fake_python(tmp_path, ready(7))
  with pytest.raises(AssertionError, match="7 in Brax's networks"):
    with robot_peers.open_peer("brax", python, target, bench, start):
      pass


def test_brax_sees_what_our_actor_and_critic_see_and_nothing_else(target):
  env = tiny_robot.make_env(target.config, WORLDS)
  joined = JoinedCritic(env, ("state",), ("privileged", "state"))
  begun = joined.reset(jax.random.key(0))
  for state in (begun, joined.step(begun, jnp.zeros(1))):
    assert set(state.obs) == {"state", "critic"}
    np.testing.assert_array_equal(state.obs["critic"][3:], state.obs["state"])
  assert joined.action_size == 1


def test_a_peer_that_dies_is_quoted(target, start, tmp_path):
  bench = Bench(target, "native", start, seconds=0.0)
  python = fake_python(tmp_path, "echo 'no module named brax' >&2")
  with pytest.raises(UserError, match="it said: no module named brax; .*pip install brax"):
    with robot_peers.open_peer("brax", python, target, bench, start):
      pass


@pytest.fixture(scope="module")
def loop(start):
  """Playground's loop on the tiny robot."""
  starts = start.states.info["pool"].data.physics.qpos
  model = mujoco.MjModel.from_xml_string(SMALL)
  return StepLoop(model, "jax", tiny_robot.SUBSTEPS, starts, WORLDS), starts


def test_playgrounds_loop_holds_a_control_for_all_physics_steps(loop):
  env, starts = loop
  state = jax.jit(env.reset)(jax.random.key(0))
  assert any(np.allclose(state.pipeline_state.qpos, pose) for pose in starts)
  after = jax.jit(env.step)(state, jnp.array([0.5]))
  model = mujoco.MjModel.from_xml_string(SMALL)
  data = mujoco.MjData(model)
  data.qpos[:], data.ctrl[:] = state.pipeline_state.qpos, 0.5
  for _ in range(tiny_robot.SUBSTEPS):
    mujoco.mj_step(model, data)
  np.testing.assert_allclose(after.pipeline_state.qpos, data.qpos, atol=1e-5)
  assert after.done == 0.0 and after.obs.shape == (env.observation_size,)


@pytest.mark.parametrize(("degrees", "fell"), [(0, False), (25, False), (40, True), (180, True)])
def test_playgrounds_loop_ends_where_the_base_tilts(loop, degrees, fell):
  half = np.deg2rad(degrees) / 2
  qpos = jnp.array([0, 0, 0.3, np.cos(half), np.sin(half), 0, 0, 0.2])
  assert bool(loop[0]._fell(qpos)) == fell


def test_a_robot_that_playground_does_not_have_is_refused(target, start):
  engine = tiny_robot.make_env(target.config, WORLDS).engine
  with pytest.raises(UserError, match="no likeness of tiny/robot"):
    stepped("tiny/robot", "jax", engine, start)


def test_playgrounds_loop_races_with_its_own_solver_settings(target, start, monkeypatch):
  likeness = robot_peers.robot_peer_playground.Likeness(None, 1, 5, 8)
  monkeypatch.setitem(robot_peers.robot_peer_playground.LIKENESSES, "tiny/robot", likeness)
  bench = Bench(target, "native", start, seconds=0.0)
  with robot_peers.open_peer("playground", None, target, bench, start) as peer:
    rates = measuring.race((peer.contender,), rounds=1, seconds=0.0)
    assert peer.stage == "environment" and peer.floor == 2.5
    assert "iterations 1" in peer.facts["peer_does"]
    assert peer.facts["peer_note"].endswith("Playground has no environment of tiny/robot")
  assert rates[peer.contender.name][0] > 0
  assert bench.physics.model.opt.iterations == 5  # ours is as it was


@pytest.mark.parametrize(
  ("experiment", "impl", "defaults", "room"),
  [
    ("h1/velocity", "warp", ("naconmax",), {"naconmax": 8 * 64}),
    ("panda/lift_cube", "warp", ("naconmax", "naccdmax"), {"naconmax": 1536, "naccdmax": 1536}),
    ("panda/lift_cube", "jax", ("naconmax", "naccdmax"), {}),
  ],
)
def test_playgrounds_own_robots_have_room_for_their_contacts(
  monkeypatch, experiment, impl, defaults, room
):
  registry = SimpleNamespace(get_default_config=lambda name: dict.fromkeys(defaults, 0))
  monkeypatch.setattr(playground, "package", lambda: SimpleNamespace(registry=registry))
  asked = []

  def load(name, *, overrides):
    asked.append(overrides)
    raise UserError("it is a stand-in")

  monkeypatch.setattr(playground, "load", load)
  with pytest.raises(UserError, match="stand-in"):
    robot_peers.robot_peer_playground.real(experiment, impl, worlds=64)
  assert asked == [{"impl": impl, **room}]


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


def test_warp_says_how_it_runs():
  pytest.importorskip("warp", reason="needs the extra warp")
  facts = robot_facts.warp_facts(mujoco.MjModel.from_xml_string(SMALL))
  assert facts["graph_mode"] in ("JAX", "WARP", "WARP_STAGED", "WARP_STAGED_EX")
