"""Tests of what the robots' benchmark notes beside its rates."""

import importlib.util
import time
import types
from pathlib import Path

import mujoco
import numpy as np
import pytest

from jaxskills.benchmarks import robot_facts
from jaxskills.benchmarks.robot_facts import Meter, PeakMemory, contacts_per_world
from tests.physics.conftest import SMALL


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


@pytest.mark.skipif(importlib.util.find_spec("warp") is None, reason="needs the extra warp")
def test_graphs_that_warp_captures_are_counted(monkeypatch):
  from mujoco.mjx.warp import ffi

  assert robot_facts.captured_graphs() == set()  # on a CPU
  calls = getattr(ffi, robot_facts._WARP_CALLS)
  monkeypatch.setitem(calls, "one", types.SimpleNamespace(captures={3: "graph", 5: "graph"}))
  monkeypatch.setitem(calls, "two", types.SimpleNamespace(captures={7: "graph"}))
  assert robot_facts.captured_graphs() == {3, 5, 7}


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


def test_warp_says_how_it_runs():
  pytest.importorskip("warp", reason="needs the extra warp")
  facts = robot_facts.warp_facts(mujoco.MjModel.from_xml_string(SMALL))
  assert facts["graph_mode"] in ("JAX", "WARP", "WARP_STAGED", "WARP_STAGED_EX")
