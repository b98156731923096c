"""Tests of the latency benchmark, at sizes that measure nothing."""

import importlib.util
import json

import numpy as np
import pytest

from jaxskills.benchmarks import deploy as benchmark
from jaxskills.cli import catalog, figures
from jaxskills.deploy import latency, network, safety
from jaxskills.deploy.latency import Latency

SIZES = benchmark.Sizes(networks={"h1": (4, 5, 3)}, calls=10, rounds=2)
HAS_TORCH = importlib.util.find_spec("torch") is not None


@pytest.fixture(scope="module")
def result():
  return benchmark.measure(SIZES)


def test_it_is_found_and_its_table_can_be_printed(result):
  assert catalog.benchmarks()["deploy"].module == "deploy"
  lines = figures.table(result["rows"], benchmark.COLUMNS)
  assert lines[0].split()[0] == "name" and len(lines) == 1 + len(result["rows"])
  json.dumps(result, allow_nan=False)


def test_every_implementation_has_a_row_of_its_own(result):
  names = [row["name"] for row in result["rows"]]
  script = ["h1 TorchScript"] if HAS_TORCH else []
  compiled = ["h1 C -O3 -march=native", "h1 C -O2"]
  filters = ["safety filter C", "safety filter Python"]
  called = ["h1 onnxruntime", "h1 onnxruntime bound"]
  assert names == [*called, *compiled, *script, "onnxruntime no network", *filters]
  assert result["machine"]["versions"]["onnxruntime"]


def test_rows_have_percentiles_and_what_they_are_compared_with(result):
  rows = {row["name"]: row for row in result["rows"]}
  for row in rows.values():
    assert row["value"] == row["p50"] <= row["p99"] <= row["p999"] <= row["greatest"]
    assert row["turns"] == 2 and row["calls"] == 20 and row["unit"] == "us"
  assert rows["h1 C -O2"]["peer"] == "h1 onnxruntime"
  assert rows["safety filter C"]["peer"] == "safety filter Python"
  if HAS_TORCH:
    assert rows["h1 onnxruntime"]["peer"] == "h1 TorchScript"
    assert "peer" not in rows["h1 TorchScript"]
  assert rows["h1 onnxruntime"]["network"] == "4-5-3"


def row_of(name: str, mine: float, theirs: float, p99: float = 15.0) -> dict:
  peer = "peer" if mine != theirs else None
  found = {
    name: [Latency(10, mine, p99, 30.0, 40.0)] * 2,
    "peer": [Latency(10, theirs, 20.0, 30.0, 40.0)] * 2,
  }
  return benchmark._row(benchmark.Timed(name, peer, lambda calls: np.zeros(calls)), found)


@pytest.mark.parametrize(
  ("name", "mine", "theirs", "p99", "reached"),
  [
    ("h1 onnxruntime", 10.0, 20.0, 20.0, True),
    ("h1 onnxruntime", 10.1, 20.0, 20.0, False),
    ("h1 onnxruntime", 10.0, 20.0, 20.1, False),
    ("h1 C -O3 -march=native", 5.0, 10.0, 99.0, True),
    ("h1 C -O3 -march=native", 5.1, 10.0, 99.0, False),
    ("safety filter C", 1.0, 9.0, 5.0, True),
    ("safety filter C", 1.0, 9.0, 5.1, False),
  ],
)
def test_floors_are_those_of_the_issue(name, mine, theirs, p99, reached):
  row = row_of(name, mine, theirs, p99)
  assert row["reached"] is reached and row["ratio"] == pytest.approx(theirs / mine)


def test_a_row_without_a_floor_is_not_judged():
  assert "reached" not in row_of("h1 C -O2", 5.0, 10.0)


def test_floors_read_as_they_are_meant():
  texts = {floor.text for floor in benchmark.FLOORS.values()}
  assert texts == {"p50 <= 10, p99 <= 20", "ratio >= 2", "p99 <= 5"}


def test_the_first_turn_is_not_measured():
  times = iter([9000.0, 1000.0, 3000.0])
  way = benchmark.Timed("a", None, lambda calls: np.full(calls, next(times)))
  found = benchmark.race([way], SIZES)
  assert [turn.p50 for turn in found["a"]] == [1.0, 3.0]


def test_networks_are_those_of_the_h1():
  small, big = (benchmark.make_network(widths) for widths in benchmark.NETWORKS.values())
  shapes = [layer.kernel.shape for layer in small.layers if isinstance(layer, network.Affine)]
  assert shapes == [(41, 256), (256, 128), (128, 64), (64, 10)]
  assert big.observation_size == 204 and big.action_size == 19
  assert isinstance(small.layers[-1], network.Affine)  # an action is not squashed
  action, _ = network.evaluate(small, np.ones((1, 41)))
  again, _ = network.evaluate(benchmark.make_network(benchmark.NETWORKS["h1"]), np.ones((1, 41)))
  np.testing.assert_array_equal(action, again)


def test_the_filter_in_python_is_timed_while_it_runs(monkeypatch):
  modes, right = [], safety.step

  def step(*args, **options):
    state, output = right(*args, **options)
    modes.append(int(output.mode))
    return state, output

  monkeypatch.setattr(safety, "step", step)
  _, in_python = benchmark.filters()
  assert in_python.time(30).shape == (30,) and modes == [safety.RUN] * 30


def test_latencies_are_of_as_many_calls_as_asked_for():
  assert benchmark.SIZES.calls == latency.CALLS == 50_000 and benchmark.SIZES.rounds == 5
