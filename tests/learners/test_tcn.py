"""Time-contrastive networks: which loss each kind has, what trains, and that it aligns."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.data.clips import Triples, ViewPairs, Windows
from jaxskills.learners.frame_encoder import make_frame_encoder
from jaxskills.learners.frame_spec import FrameSpec
from jaxskills.learners.metric_loss import (
  MetricOptions,
  distances,
  make_metric_loss,
  normalizes,
  over_videos,
)
from jaxskills.learners.tcn import TcnConfig, make_tcn, order_loss
from jaxskills.losses import metric, sequence_contrast
from jaxskills.losses.metric import single_view_triplet
from jaxskills.networks.embedder import Embedder, SmallTrunk
from jaxskills.networks.embedding_head import HeadOptions
from tests.drawn import drawn_state, drawn_variables
from tests.learners.moving_dots import PLAIN, SPEC, TINY, misalignment, pairs
from tests.losses.embedded import drawn

CONFIG = TcnConfig(embedder=TINY, augment=PLAIN, metric=MetricOptions("lifted"), learning_rate=3e-3)
FLAT = TINY._replace(head=HeadOptions(hidden=8, dropout=0.0))


@functools.cache
def one_batch():
  """Three videos, four instants, two views."""
  return jax.jit(pairs)(jax.random.key(3))


@functools.cache
def fresh(config=CONFIG):
  """A learner, compiled, and its first state."""
  learner = make_tcn(config, SPEC)
  compiled = learner._replace(update=jax.jit(learner.update), act=jax.jit(learner.act))
  return compiled, drawn_state(learner)


def plain(**changes):
  """A learner that sees pictures as they are (nothing random to compile) and a drawn state."""
  made = make_frame_encoder

  def unchanged(options, augmentation, *rest, **named):
    encoder = made(options, augmentation, *rest, **named)
    return encoder._replace(augmented=lambda frames, key: frames.astype(jnp.float32) / 255.0)

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr("jaxskills.learners.tcn.make_frame_encoder", unchanged)
    learner = make_tcn(CONFIG._replace(**changes), SPEC)
  compiled = learner._replace(update=jax.jit(learner.update), act=jax.jit(learner.act))
  return compiled, drawn_state(learner)


def moved(before, after):
  """Names of the layers of the encoder whose parameters are not what they were."""
  both = (x.params["encoder"]["params"] for x in (before, after))
  changed = jax.tree.map(lambda a, b: bool(np.any(np.asarray(a) != np.asarray(b))), *both)
  return {name for name, part in changed.items() if any(jax.tree.leaves(part))}


def test_it_learns_to_align_two_views_that_share_no_pixel():
  learner, state = fresh()
  align = lambda state: misalignment(lambda frames: learner.act(state.params, frames))  # noqa: E731
  before, draw = align(state), jax.jit(pairs)
  losses = []
  for number in range(120):
    key = jax.random.fold_in(jax.random.key(6), number)
    state, metrics = learner.update(state, draw(key), key)
    losses.append(float(metrics["loss"]))
  assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:10])
  assert align(state) < min(0.1, before)  # of 1/3 by chance
  assert int(state.step) == 120


def test_the_loss_is_that_of_each_video_by_itself_on_what_act_embeds():
  learner, state = fresh()
  embeddings = learner.act(state.params, one_batch().frames)
  after, metrics = learner.update(state, one_batch(), jax.random.key(0))
  expected = [float(jax.jit(metric.lifted)(embeddings[video])) for video in range(3)]
  np.testing.assert_allclose(metrics["loss"], np.mean(expected), rtol=1e-4)
  assert moved(state, after) == {"trunk", "head"}
  assert set(metrics) == {"loss", "positive_distance", "negative_distance", "spread"}


def test_acting_embeds_frames_of_any_leading_axes_one_by_one():
  learner, state = fresh()
  frames = one_batch().frames
  embeddings = learner.act(state.params, frames)
  assert embeddings.shape == (3, 4, 2, 8)
  alone = learner.act(state.params, frames[1, 2, 1])
  np.testing.assert_allclose(alone, embeddings[1, 2, 1], rtol=1e-4, atol=1e-6)


def test_a_frozen_trunk_keeps_its_parameters_and_statistics_are_kept_beside_them():
  embedder = FLAT._replace(
    freeze_trunk=True, head=FLAT.head._replace(normalizes_batch=True, dropout=0.2)
  )
  learner, state = plain(embedder=embedder)
  after, _ = learner.update(state, one_batch(), jax.random.key(0))
  assert moved(state, after) == {"head"}
  statistics = [x.params["encoder"]["batch_stats"] for x in (state, after)]
  assert jax.tree.all(jax.tree.map(lambda a, b: bool(jnp.any(a != b)), *statistics))
  assert jax.tree.structure(state) == jax.tree.structure(after)


def test_several_frames_are_one_input():
  learner, state = plain(kind="multi_frame", frames=2, embedder=FLAT)
  frames = one_batch().frames
  stacked = jnp.stack([frames, frames[:, ::-1]], axis=3)  # [video, time, view, frame, ...]
  embeddings = learner.act(state.params, stacked)
  assert embeddings.shape == (3, 4, 2, 8)
  assert np.any(
    np.asarray(learner.act(state.params, stacked[:, :, :, ::-1])) != np.asarray(embeddings)
  )
  after, metrics = learner.update(state, ViewPairs(stacked), jax.random.key(0))
  expected = [float(jax.jit(metric.lifted)(embeddings[video])) for video in range(3)]
  np.testing.assert_allclose(metrics["loss"], np.mean(expected), rtol=1e-4)
  assert moved(state, after) == {"trunk", "head"}


def test_a_single_view_is_told_apart_by_its_seconds_on_the_unit_sphere():
  options = MetricOptions("triplet", margin=0.5)
  learner, state = plain(kind="single_view", metric=options, embedder=FLAT)
  frames = one_batch().frames[:, :, 0]
  frames = jnp.concatenate([frames, frames[::-1]], axis=1)  # [video, time 8, ...]
  seconds = jnp.stack([jnp.arange(8) * step for step in (0.1, 0.15, 0.19)])
  embeddings = learner.act(state.params, frames)
  np.testing.assert_allclose(jnp.sum(embeddings**2, axis=-1), 1.0, rtol=1e-4)
  _, metrics = learner.update(state, Windows(frames, seconds), jax.random.key(0))
  of_video = jax.jit(functools.partial(single_view_triplet, margin=0.5))
  expected = [float(of_video(embeddings[video], seconds[video])) for video in range(3)]
  assert len(set(expected)) == 3
  np.testing.assert_allclose(metrics["loss"], np.mean(expected), rtol=1e-3)


def test_shuffle_and_learn_classifies_three_embeddings_side_by_side():
  learner, state = plain(kind="shuffle_and_learn", embedder=FLAT, classifier=(20, 16))
  shapes = jax.tree.map(jnp.shape, state.params["classifier"]["params"])
  kernels = [shapes[name]["kernel"] for name in ("dense_0", "dense_1", "logits")]
  assert kernels == [(24, 20), (20, 16), (16, 2)]
  frames = one_batch().frames.reshape(8, 3, 16, 16, 3)
  is_ordered = jnp.arange(8) % 3 == 0
  after, metrics = learner.update(state, Triples(frames, is_ordered), jax.random.key(0))
  value = np.asarray(learner.act(state.params, frames)).reshape(8, 24)
  layers = jax.tree.map(np.asarray, state.params["classifier"]["params"])
  for name in ("dense_0", "dense_1"):
    value = np.maximum(value @ layers[name]["kernel"] + layers[name]["bias"], 0)
  logits = (value @ layers["logits"]["kernel"] + layers["logits"]["bias"]).astype(float)
  right = np.exp(logits)[np.arange(8), np.asarray(is_ordered, int)] / np.exp(logits).sum(1)
  np.testing.assert_allclose(metrics["loss"], -np.log(right).mean(), rtol=1e-4)
  np.testing.assert_allclose(metrics["accuracy"], np.mean(right > 0.5), atol=1e-6)
  assert moved(state, after) == {"trunk", "head"}
  before, now = (x.params["classifier"]["params"]["logits"]["bias"] for x in (state, after))
  assert np.all(np.asarray(before) != np.asarray(now))


def test_the_order_loss_of_even_logits_is_one_bit():
  value, accuracy = order_loss(jnp.zeros((4, 2)), jnp.array([True, False, False, False]))
  assert float(value) == pytest.approx(np.log(2), rel=1e-5)
  assert float(accuracy) == 0.75  # ties are called out of order


def test_cached_feature_maps_stand_in_for_pictures_with_the_same_head():
  whole = Embedder(8, small=TINY.small, head=FLAT.head)
  pictures = np.asarray(one_batch().frames[0, 0, :1], np.float32) / 255.0
  variables = drawn_variables(whole, pictures)
  trunk = {"params": variables["params"]["trunk"]}
  features = jax.jit(SmallTrunk(TINY.small).apply)(trunk, pictures)
  spec = SPEC._replace(features=features.shape[1:])
  encoder = make_frame_encoder(FLAT, PLAIN, spec)
  assert set(jax.eval_shape(encoder.init, jax.random.key(0))["params"]) == {"head"}
  expected = jax.jit(whole.apply)(variables, pictures)
  given = np.asarray(features)
  np.testing.assert_allclose(jax.jit(encoder.embed)(variables, given), expected, rtol=1e-4)
  np.testing.assert_array_equal(encoder.augmented(given, jax.random.key(0)), given)


def test_a_learner_of_cached_feature_maps_takes_batches_of_them():
  spec = FrameSpec(64, 64, views=2, tasks=2, features=(3, 3, 5))
  learner = make_tcn(CONFIG._replace(embedder=FLAT._replace(backbone="inception")), spec)
  state = jax.eval_shape(learner.init, jax.random.key(0))
  features = jax.ShapeDtypeStruct((2, 4, 2, 3, 3, 5), jnp.float16)
  after, _ = jax.eval_shape(learner.update, state, ViewPairs(features), jax.random.key(0))
  assert set(after.params["encoder"]["params"]) == {"head"}
  assert jax.eval_shape(learner.act, state.params, features).shape == (2, 4, 2, 8)


def test_every_named_loss_is_the_function_of_that_name_with_its_constants():
  options = MetricOptions(
    margin=0.7, bound="paper", threshold=0.5, regularization=0.1, temperature=0.3,
    symmetric=False, variance_weight=0.2,
  )  # fmt: skip
  expected = lambda embeddings: {  # noqa: E731
    "triplet": metric.triplet(embeddings, margin=0.7),
    "npairs": metric.npairs(embeddings, regularization=0.1),
    "lifted": metric.lifted(embeddings, margin=0.7),
    "contrastive": metric.contrastive(embeddings, margin=0.7),
    "asn_lifted": metric.asn_lifted(embeddings, margin=0.7, bound="paper", threshold=0.5),
    "infonce": sequence_contrast.info_nce(embeddings, temperature=0.3, symmetric=False),
    "tcc": sequence_contrast.cycle_back(embeddings, temperature=0.3, variance_weight=0.2),
  }

  def named(embeddings):
    values = expected(embeddings)
    return values, {n: make_metric_loss(options._replace(name=n))(embeddings) for n in values}

  values, told = jax.jit(named)(drawn(0))
  assert told == values
  assert len({float(value) for value in values.values()}) == 7


def test_triplets_live_on_the_sphere_and_lifted_structure_does_not():
  told = {name: normalizes(MetricOptions(name)) for name in ("triplet", "npairs", "lifted")}
  assert told == {"triplet": True, "npairs": False, "lifted": False}
  assert not normalizes(MetricOptions("triplet", normalize=False))


def test_videos_are_contrasted_apart_and_summed_or_averaged():
  loss = jax.jit(metric.lifted)
  each = [float(loss(drawn(seed))) for seed in (0, 1)]
  videos = np.stack([drawn(0), drawn(1)])
  summed, averaged = (
    jax.jit(lambda e, r=r: over_videos(metric.lifted, e, r))(videos) for r in ("sum", "mean")
  )
  assert float(summed) == pytest.approx(sum(each), rel=1e-5)
  assert float(averaged) == pytest.approx(sum(each) / 2, rel=1e-5)


def test_distances_are_means_within_videos():
  embeddings = np.zeros((2, 2, 2, 1), np.float32)
  embeddings[0, 0, 1], embeddings[1, :] = 3.0, 100.0
  told = jax.jit(distances)(embeddings)
  assert float(told["positive_distance"]) == pytest.approx(3.0 / 4)
  assert float(told["negative_distance"]) == pytest.approx(2 * 3.0 / 8)
  assert float(told["spread"]) == pytest.approx(np.std(embeddings))


@pytest.mark.parametrize(
  ("wrong", "spec", "message"),
  [
    ({"kind": "no_view"}, SPEC, "no_view"),
    ({"metric": MetricOptions("quadruplet")}, SPEC, "quadruplet"),
    ({"metric": MetricOptions(bound="soft")}, SPEC, "soft"),
    ({"kind": "single_view"}, SPEC, "'triplet', not 'lifted'"),
    ({"kind": "multi_frame"}, SPEC, "1 frames an input"),
    ({"frames": 2}, SPEC, "2 frames an input"),
    ({"positive_seconds": 0.5}, SPEC, "0.5 s is not within 0.4 s"),
    ({"reduction": "max"}, SPEC, "max"),
    ({}, SPEC._replace(views=1), "views must be at least 2, not 1"),
    ({}, SPEC._replace(rows=4), "rows must be at least 8, not 4"),
    ({"embedder": TINY._replace(embedding_dim=0)}, SPEC, "embedding_dim must be at least 1"),
  ],
)
def test_impossible_configurations_are_refused_before_tracing(wrong, spec, message):
  with pytest.raises(Exception, match=message):
    make_tcn(CONFIG._replace(**wrong), spec)


def test_pictures_of_another_size_are_refused():
  learner = make_tcn(CONFIG, SPEC)
  state = jax.eval_shape(learner.init, jax.random.key(0))
  wrong = ViewPairs(jax.ShapeDtypeStruct((3, 4, 2, 16, 24, 3), jnp.uint8))
  with pytest.raises(ValueError, match=r"\[video, time, view, 16, 16, 3\], not \[3, 4, 2, 16, 24"):
    jax.eval_shape(learner.update, state, wrong, jax.random.key(0))
