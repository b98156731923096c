"""Tests of how benchmarks measure: turns, ratios, medians, and what is refused."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.benchmarks import measuring
from jaxskills.benchmarks.measuring import Contender


class Clock:
  """Time that passes only where a contender works."""

  def __init__(self):
    self.now = 0.0
    self.turns = []

  def __call__(self) -> float:
    return self.now

  def contender(self, name: str, count: float, seconds: list[float], figure: float = 0.0):
    """One whose calls last as given, the last value for ever."""
    durations = iter(seconds)
    last = seconds[-1]

    def run():
      self.turns.append(name)
      self.now += next(durations, last)
      return {"loss": figure}

    return Contender(name, run, count)


def test_a_rate_is_the_work_of_whole_calls_over_their_time():
  clock = Clock()
  worker = clock.contender("a", 10, [99.0, 0.4, 0.4, 0.4])  # the first call is not measured
  rates = measuring.race((worker,), rounds=1, seconds=1.0, clock=clock)
  assert rates == {"a": [pytest.approx(3 * 10 / 1.2)]}


def test_contenders_take_turns_and_the_order_turns_too():
  clock = Clock()
  pair = (clock.contender("a", 1, [1.0]), clock.contender("b", 1, [1.0]))
  measuring.race(pair, rounds=3, seconds=1.0, clock=clock)
  assert "".join(clock.turns) == "ab" + "ab" + "ba" + "ab"


def test_every_contender_has_one_rate_a_round():
  clock = Clock()
  three = [clock.contender(name, 1, [0.5]) for name in "abc"]
  rates = measuring.race(three, rounds=5, seconds=1.0, clock=clock)
  assert {name: len(values) for name, values in rates.items()} == {"a": 5, "b": 5, "c": 5}


def test_a_ratio_is_the_median_over_pairs_of_neighbours():
  rates = {"ours": [100.0, 40.0, 90.0], "peer": [10.0, 2.0, 30.0]}
  row = measuring.row("race", "steps/s", rates, "ours", "peer", floor=8.0, layout="quick")
  assert row["ratio"] == np.median([10.0, 20.0, 3.0]) == 10.0  # of medians it would be 9
  assert row["ratio_range"] == [3.0, 20.0]
  assert (row["value"], row["peer_value"], row["pairs"]) == (90.0, 10.0, 3)
  assert row["reached"] and row["layout"] == "quick"


def test_a_floor_that_is_missed_is_said_to_be():
  rates = {"ours": [3.0], "peer": [2.0]}
  assert not measuring.row("race", "steps/s", rates, "ours", "peer", floor=1.6)["reached"]
  assert "reached" not in measuring.row("race", "steps/s", rates, "ours", "peer")


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_figure_that_is_not_finite_ends_the_benchmark(bad):
  clock = Clock()
  with pytest.raises(FloatingPointError, match="a: loss is"):
    measuring.race((clock.contender("a", 1, [1.0], bad),), clock=clock)


def test_a_figure_that_goes_bad_in_a_later_turn_is_noticed():
  clock, losses = Clock(), iter([0.1, 0.1, math.nan])

  def run():
    clock.now += 1.0
    return {"loss": next(losses)}

  with pytest.raises(FloatingPointError, match="loss"):
    measuring.race((Contender("a", run, 1),), rounds=2, seconds=1.0, clock=clock)


def test_a_row_of_nan_is_refused():
  rates = {"ours": [math.nan], "peer": [1.0]}
  with pytest.raises(FloatingPointError, match="race"):
    measuring.row("race", "steps/s", rates, "ours", "peer")


def test_contenders_of_one_name_are_refused():
  clock = Clock()
  twins = (clock.contender("a", 1, [1.0]), clock.contender("a", 1, [1.0]))
  with pytest.raises(ValueError, match="different names"):
    measuring.race(twins, clock=clock)


def test_compiling_is_timed_apart_and_gives_the_same_function():
  program, seconds = measuring.compiled(lambda x, y: x + 2 * y, jnp.ones(3), jnp.ones(3))
  np.testing.assert_array_equal(program(jnp.ones(3), jnp.ones(3)), 3.0)
  assert seconds > 0.0


def test_machine_facts_name_processor_load_and_versions():
  facts = measuring.machine("numpy")
  assert facts["cores"] >= 1 and facts["cpu"]
  assert len(facts["load_average"]) == 3
  assert facts["versions"]["numpy"] == np.__version__
  assert {"jax", "jaxlib", "python", "jaxskills"} <= facts["versions"].keys()
