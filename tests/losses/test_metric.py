"""Each metric loss against loops written from the papers, and where each must be silent."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.losses.metric import (
  asn_lifted,
  contrastive,
  lifted,
  npairs,
  positive_bound,
  semi_hard,
  single_view_triplet,
  triplet,
)
from jaxskills.losses.pairs import near_in_time, same_instant
from tests.losses.embedded import DIM, TIMES, VIEWS, assert_slope, drawn, labelled

ALL = {
  "triplet": triplet,
  "npairs": npairs,
  "lifted": lifted,
  "contrastive": contrastive,
  "hinge": asn_lifted,
  "paper": lambda e: asn_lifted(e, bound="paper"),
  "released_code": lambda e: asn_lifted(e, bound="released_code"),
  "none": lambda e: asn_lifted(e, bound="none"),
}
COMPILED = {name: jax.jit(jax.value_and_grad(loss)) for name, loss in ALL.items()}
bound_of = jax.jit(positive_bound, static_argnames="form")
semi_hard_of = jax.jit(semi_hard)
lifted_of = jax.jit(lifted)
npairs_of = jax.jit(npairs)
single_view = jax.jit(lambda e, seconds: (single_view_triplet(e, seconds), near_in_time(seconds)))


def value_of(name, embeddings):
  """A loss by name, compiled once."""
  return COMPILED[name](embeddings)[0]


def numpy_semi_hard(rows, is_positive, is_negative, margin):
  """TCN's batch form: for each anchor and positive the nearest negative beyond the positive."""
  terms = []
  for a, p in itertools.product(range(len(rows)), repeat=2):
    if not is_positive(a, p) or a == p:
      continue
    to_positive = np.sum((rows[a] - rows[p]) ** 2)
    negatives = [np.sum((rows[a] - rows[n]) ** 2) for n in range(len(rows)) if is_negative(a, n)]
    if not negatives:
      continue
    beyond = [d for d in negatives if d > to_positive]
    to_negative = min(beyond) if beyond else max(negatives)
    terms.append(max(0.0, to_positive - to_negative + margin))
  return sum(terms) / len(terms) if terms else 0.0


def numpy_lifted(rows, labels, margin, floor=0.0):
  """Lifted structure: half the mean over positive pairs of the squared positive part of J."""
  n = len(rows)
  distance = [
    [math.sqrt(max(np.sum((rows[i] - rows[j]) ** 2), floor)) for j in range(n)] for i in range(n)
  ]
  total, pairs = 0.0, 0
  for i in range(n):
    for j in range(i + 1, n):
      if labels[i] != labels[j]:
        continue
      pairs += 1
      repelled = sum(math.exp(margin - distance[i][k]) for k in range(n) if labels[k] != labels[i])
      repelled += sum(math.exp(margin - distance[j][k]) for k in range(n) if labels[k] != labels[j])
      total += max(0.0, math.log(repelled) + distance[i][j]) ** 2
  return total / (2 * pairs)


def numpy_bound(rows, labels, form, threshold=1.2):
  """What ASN charges for positive pairs further apart than the threshold."""
  n, total, pairs = len(rows), 0.0, 0
  for i in range(n):
    for j in range(i + 1, n):
      if labels[i] != labels[j]:
        continue
      pairs += 1
      squared = max(np.sum((rows[i] - rows[j]) ** 2), 1e-4)
      distance = math.sqrt(squared)
      if form == "released_code":
        total += distance if distance > threshold else 0.0
      elif form == "hinge":
        total += max(0.0, distance - threshold)
      else:
        total += max(0.0, squared - threshold)
  return total * (2 / (n - 3)) if form == "released_code" else total / pairs


# A spread of .5 makes the semi-hard case and its absence, both sides of every threshold, occur.
@pytest.mark.parametrize("scale", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("views", [2, 3])
def test_triplet_takes_the_nearest_negative_beyond_the_positive_else_the_furthest(scale, views):
  embeddings = drawn(0, views=views, scale=scale)
  rows, labels = labelled(embeddings)
  expected = numpy_semi_hard(
    rows, lambda a, p: labels[a] == labels[p], lambda a, n: labels[a] != labels[n], 0.2
  )
  np.testing.assert_allclose(value_of("triplet", embeddings), expected, rtol=1e-5)


def test_semi_hard_by_hand_on_a_line():
  # anchor 0, positive at 1, negatives at .5 and 1.2: only the second lies beyond the positive
  rows = jnp.array([[0.0], [1.0], [0.5], [1.2]])
  positive = np.zeros((4, 4), bool)
  positive[0, 1] = True
  negative = np.zeros((4, 4), bool)
  negative[0, 2:] = True
  value = semi_hard_of(rows, jnp.asarray(positive), jnp.asarray(negative), margin=0.5)
  assert float(value) == pytest.approx(1.0 - 1.44 + 0.5)
  nearer = rows.at[3].set(0.8)  # none beyond: the furthest of the two
  value = semi_hard_of(nearer, jnp.asarray(positive), jnp.asarray(negative), margin=0.5)
  assert float(value) == pytest.approx(1.0 - 0.64 + 0.5)


def test_anchors_without_a_negative_do_not_count():
  rows = jnp.array([[0.0], [1.0], [1.2]])
  positive = ~jnp.eye(3, dtype=bool)
  negative = jnp.zeros((3, 3), bool).at[0, 2].set(True)
  positive = positive.at[0, 2].set(False)
  value = semi_hard_of(rows, positive, negative, margin=0.5)
  assert float(value) == pytest.approx(1.0 - 1.44 + 0.5)


@pytest.mark.parametrize("rate", [29.0, 24.0, 12.0, 10.0])
def test_single_view_triplet_ignores_the_gap_between_the_two_radii(rate):
  rows = np.asarray(drawn(1, times=14, views=1, scale=0.4))[:, 0]
  frames = np.arange(14) + 90  # late in a video, where float32 seconds are coarse
  near, far = round(0.2 * rate + 1e-6 - 0.5), round(0.4 * rate + 1e-6 - 0.5)  # floors, in frames

  def is_positive(a, p):
    return a != p and abs(a - p) <= near

  def is_negative(a, n):
    return abs(a - n) > far

  seconds = jnp.asarray(frames / rate, jnp.float32)
  value, masks = single_view(jnp.asarray(rows), seconds)
  is_told_positive, is_told_negative = np.asarray(masks.is_positive), np.asarray(masks.is_negative)
  for a, b in itertools.product(range(14), repeat=2):
    assert is_told_positive[a, b] == is_positive(a, b)
    assert is_told_negative[a, b] == is_negative(a, b)
  expected = numpy_semi_hard(rows, is_positive, is_negative, 0.2)
  np.testing.assert_allclose(value, expected, rtol=1e-5)
  assert (expected > 0) == (far < 13)


def test_npairs_classifies_the_other_view_and_keeps_embeddings_short():
  embeddings = drawn(2)
  anchors, positives = np.asarray(embeddings[:, 0]), np.asarray(embeddings[:, 1])
  terms = []
  for i in range(TIMES):
    scores = [float(anchors[i] @ positives[j]) for j in range(TIMES)]
    terms.append(math.log(sum(math.exp(s) for s in scores)) - scores[i])
  length = np.mean([a @ a for a in anchors]) + np.mean([p @ p for p in positives])
  expected = np.mean(terms) + 0.25 * 0.002 * length
  np.testing.assert_allclose(npairs_of(embeddings, regularization=0.002), expected, rtol=1e-5)
  assert float(value_of("npairs", embeddings)) != pytest.approx(
    float(value_of("npairs", embeddings[:, ::-1])), rel=1e-4
  )


def test_npairs_of_three_views_is_the_mean_over_pairs_of_views():
  embeddings = drawn(3, views=3)
  each = np.asarray(embeddings)
  pairs = [value_of("npairs", each[:, list(pair)]) for pair in ((0, 1), (0, 2), (1, 2))]
  np.testing.assert_allclose(value_of("npairs", embeddings), np.mean(pairs), rtol=1e-5)


@pytest.mark.parametrize("views", [2, 3])
@pytest.mark.parametrize("margin", [1.0, 0.3])
def test_lifted_is_the_squared_soft_hinge_of_unsquared_distances(views, margin):
  embeddings = drawn(4, views=views)
  expected = numpy_lifted(*labelled(embeddings), margin)
  np.testing.assert_allclose(lifted_of(embeddings, margin=margin), expected, rtol=1e-5)


def test_lifted_does_not_overflow_where_its_exponentials_would():
  embeddings = drawn(5, scale=0.1)
  expected = numpy_lifted(*labelled(embeddings), 200.0)  # e^200 is no float32
  np.testing.assert_allclose(lifted_of(embeddings, margin=200.0), expected, rtol=1e-5)


def test_contrastive_averages_over_all_pairs():
  embeddings = drawn(6, scale=0.4)
  rows, labels = labelled(embeddings)
  terms = []
  for i, j in itertools.combinations(range(len(rows)), 2):
    distance = math.sqrt(np.sum((rows[i] - rows[j]) ** 2))
    terms.append(distance**2 if labels[i] == labels[j] else max(0.0, 0.9 - distance) ** 2)
  assert 0 < sum(t == 0 for t in terms) < len(terms)
  np.testing.assert_allclose(
    jax.jit(contrastive)(embeddings, margin=0.9), np.mean(terms), rtol=1e-5
  )


@pytest.mark.parametrize("form", ["hinge", "released_code", "paper"])
def test_asns_lifted_adds_a_bound_on_positive_pairs(form):
  embeddings = drawn(7, times=4, views=2, scale=0.6)
  rows, labels = labelled(embeddings)
  bound = numpy_bound(rows, labels, form)
  assert bound > 0
  np.testing.assert_allclose(bound_of(embeddings, form=form), bound, rtol=1e-5)
  expected = numpy_lifted(rows, labels, 1.0, floor=1e-4) + bound
  np.testing.assert_allclose(value_of(form, embeddings), expected, rtol=1e-5)


def test_asns_lifted_without_bound_is_lifted_with_a_floor_under_distances():
  embeddings = np.array(drawn(8))
  embeddings[0, 1] = embeddings[0, 0]
  rows, labels = labelled(embeddings)
  expected = numpy_lifted(rows, labels, 1.0, floor=1e-4)
  np.testing.assert_allclose(value_of("none", embeddings), expected, rtol=1e-5)
  assert float(value_of("lifted", embeddings)) < expected  # the coincident pair counts as .01 apart


def test_only_the_released_bound_jumps_at_its_threshold():
  def at(form, distance):
    one_pair = np.zeros((2, 2, 1), np.float32)
    one_pair[0, 1, 0] = distance
    return float(bound_of(one_pair, form=form))

  below, above = 1.2 - 1e-3, 1.2 + 1e-3
  assert at("released_code", below) == 0.0
  assert at("released_code", above) == pytest.approx(2 / (4 - 3) * 1.2, rel=1e-2)
  assert at("hinge", below) == 0.0
  assert at("hinge", above) == pytest.approx(1e-3 / 2, rel=1e-2)
  root = math.sqrt(1.2)
  assert at("paper", root - 1e-3) == 0.0
  assert at("paper", root + 1e-3) == pytest.approx(2e-3 * root / 2, rel=1e-2)


def test_the_released_bound_is_two_fifths_of_a_distance_for_four_pairs():
  embeddings = np.zeros((4, 2, 1), np.float32)
  embeddings[2, 1] = 3.0
  assert float(bound_of(embeddings, form="released_code")) == pytest.approx(0.4 * 3.0)
  with pytest.raises(ValueError, match="more than 3 embeddings, not 2"):
    bound_of(embeddings[:1], form="released_code")


@pytest.mark.parametrize("name", ["triplet", "lifted", "hinge"])
def test_gradients_are_the_slopes_of_the_values(name):
  assert_slope(ALL[name], drawn(9, scale=0.6))


@pytest.mark.parametrize("name", sorted(ALL))
def test_equal_embeddings_and_single_instants_give_finite_values_and_gradients(name):
  for embeddings in (np.zeros((TIMES, VIEWS, DIM)), np.full((TIMES, VIEWS, DIM), 1e3)):
    value, gradient = COMPILED[name](np.asarray(embeddings, np.float32))
    assert np.all(np.isfinite(value)) and np.all(np.isfinite(gradient))


@pytest.mark.parametrize("name", ["triplet", "lifted", "none"])
@pytest.mark.parametrize("shape", [(1, 2, DIM), (5, 1, DIM)])
def test_without_positives_or_without_negatives_nothing_is_learned(name, shape):
  embeddings = jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)
  value, gradient = COMPILED[name](np.asarray(embeddings, np.float32))
  assert float(value) == 0.0
  np.testing.assert_array_equal(gradient, 0.0)


@pytest.mark.parametrize("name", sorted(ALL))
def test_the_order_of_instants_does_not_matter(name):
  embeddings = np.asarray(drawn(10, scale=0.6))
  shuffled = embeddings[np.random.default_rng(1).permutation(TIMES)]
  np.testing.assert_allclose(COMPILED[name](shuffled)[0], COMPILED[name](embeddings)[0], rtol=1e-5)


@pytest.mark.parametrize("name", sorted(set(ALL) - {"npairs"}))
def test_all_but_npairs_treat_the_views_alike(name):
  embeddings = np.asarray(drawn(11, scale=0.6))
  swapped = embeddings[:, ::-1]
  np.testing.assert_allclose(COMPILED[name](swapped)[0], COMPILED[name](embeddings)[0], rtol=1e-5)


def test_instants_are_positive_across_views_and_negative_across_time():
  masks = same_instant(2, 2)
  by_hand = np.array([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]], bool)
  np.testing.assert_array_equal(masks.is_positive, by_hand)
  apart = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [1, 1, 0, 0], [1, 1, 0, 0]], bool)
  np.testing.assert_array_equal(masks.is_negative, apart)


def test_an_unknown_bound_is_refused():
  with pytest.raises(Exception, match="soft"):
    positive_bound(drawn(0), form="soft")
