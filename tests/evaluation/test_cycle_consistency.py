"""Ways home counted by hand."""

import numpy as np
import pytest

from jaxskills.evaluation import cycle_consistency


def curve(*values) -> np.ndarray:
  return np.array(values, float)[:, None]


def test_equal_videos_lead_home_and_so_do_copies_of_another_speed():
  slow, fast = curve(0, 1, 2, 3, 4, 5, 6), curve(0, 2, 4, 6)
  assert cycle_consistency.two_way(slow, slow, tolerance=0) == 1.0
  assert cycle_consistency.two_way(slow, fast) == 1.0  # misses by one frame at most
  assert cycle_consistency.two_way(fast, slow, tolerance=0) == 1.0


def test_frames_that_share_a_neighbour_do_not_all_come_home():
  # 0, 1, 2 all find 1.1, which finds 1.
  share = cycle_consistency.two_way(curve(0, 1, 2, 9), curve(1.1, 9), tolerance=0)
  assert share == pytest.approx(2 / 4)


def test_the_way_home_may_miss_by_the_tolerance():
  share = cycle_consistency.two_way(curve(0, 1, 2, 9), curve(1.1, 9), tolerance=1)
  assert share == 1.0


def test_three_way_cycles_must_lead_home_in_both_orders():
  # The frame 0 is lost in c, which has nothing near it: either way it comes home at 1.
  a, b, c = curve(0, 1, 5), curve(0, 1, 5), curve(1, 5)
  assert cycle_consistency.three_way(a, b, c, tolerance=0) == pytest.approx(2 / 3)
  assert cycle_consistency.three_way(a, a, a, tolerance=0) == 1.0


def test_one_way_round_is_not_enough():
  # 10 comes home by 4, 6, and 0 by 6, 4: each in one order alone.
  share = cycle_consistency.three_way(curve(0, 10), curve(4), curve(6), tolerance=0)
  assert share == 0.0


def test_points_without_meaning_come_home_often():
  # Why cycles are shown beside random features: chance is not near zero.
  rng = np.random.default_rng(0)
  shares = [
    cycle_consistency.two_way(*rng.standard_normal((2, 140, 1)), tolerance=0) for _ in range(20)
  ]
  assert 0.45 < np.mean(shares) < 0.55
