"""Trunk and head together: frames, freezing, statistics, dropout, and what a CPU computes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxskills.networks.embedder import HEADS, Embedder, SmallOptions, SmallTrunk
from jaxskills.networks.embedding_head import EmbeddingHead, HeadOptions, to_unit_length
from jaxskills.networks.spatial_softmax import spatial_softmax

SMALL = SmallOptions(channels=(4, 6), strides=(2, 1))
PLAIN = HeadOptions(hidden=16)


def pictures(*leading: int, rows: int = 12, columns: int = 16) -> jax.Array:
  value = np.random.default_rng(0).normal(size=(*leading, rows, columns, 3))
  return jnp.asarray(value, jnp.float32)


def shapes(network: Embedder, frames: jax.Array):
  return jax.eval_shape(network.init_with_output, jax.random.key(0), frames)


def filled(network, frames: jax.Array):
  """Random variables of the right shapes, without compiling an initialisation."""
  random = np.random.default_rng(1)
  shape = jax.eval_shape(network.init, jax.random.key(0), frames)
  return jax.tree.map(lambda x: jnp.asarray(random.normal(size=x.shape, scale=0.3), x.dtype), shape)


@functools.cache
def small(**options):
  """A small embedder and its variables for one frame, or as many as told."""
  network = Embedder(**{"embedding_dim": 5, "small": SMALL, "head": PLAIN, **options})
  leading = (3,) if network.frames == 1 else (3, network.frames)
  return network, filled(network, pictures(*leading))


def test_the_default_turns_64_pixels_into_a_map_of_16_and_32_numbers():
  frames = jnp.zeros((2, 64, 64, 3))
  features = jax.eval_shape(SmallTrunk().init_with_output, jax.random.key(0), frames)[0]
  assert features.shape == (2, 16, 16, 64)
  embedding, variables = shapes(Embedder(), frames)
  assert embedding.shape == (2, 32)
  assert set(variables) == {"params"} and set(variables["params"]) == {"trunk", "head"}


def test_the_papers_network_has_the_papers_head():
  frames = jnp.zeros((1, 75, 75, 3))
  _, variables = shapes(Embedder(backbone="inception"), frames)
  head = variables["params"]["head"]
  assert head["conv_0"]["kernel"].shape == (3, 3, 288, 512)
  assert head["conv_1"]["kernel"].shape == (3, 3, 512, 512)
  assert head["hidden"]["kernel"].shape == (1024, 2048)
  assert head["embedding"]["kernel"].shape == (2048, 32)
  count = sum(leaf.size for leaf in jax.tree.leaves(head))
  assert count == 5_852_192  # 5.85 M, as counted for the papers' network


def test_the_embedding_is_the_head_of_the_trunk_by_hand():
  network, variables = small()
  frames = pictures(3)
  params = variables["params"]
  features = jax.jit(SmallTrunk(SMALL).apply)({"params": params["trunk"]}, frames)
  positions = spatial_softmax(features.transpose(3, 1, 2, 0))
  hidden = positions @ params["head"]["hidden"]["kernel"] + params["head"]["hidden"]["bias"]
  layer = params["head"]["embedding"]
  expected = np.maximum(hidden, 0) @ layer["kernel"] + layer["bias"]
  np.testing.assert_allclose(jax.jit(network.apply)(variables, frames), expected, atol=1e-5)


def test_each_picture_is_embedded_alone():
  network, variables = small()
  frames = pictures(3)
  together = jax.jit(network.apply)(variables, frames)
  alone = jax.jit(network.apply)(variables, frames[1:2])
  np.testing.assert_allclose(alone[0], together[1], atol=1e-5)
  assert np.abs(together[0] - together[1]).max() > 1e-3


def test_frames_side_by_side_pass_the_trunk_alone_and_keep_their_order():
  network, variables = small(frames=2)
  assert jax.tree.map(jnp.shape, variables["params"]["trunk"]) == jax.tree.map(
    jnp.shape, small()[1]["params"]["trunk"]
  )
  frames, apply = pictures(3, 2), jax.jit(network.apply)
  embedding = apply(variables, frames)
  assert np.abs(embedding - apply(variables, frames[:, ::-1])).max() > 1e-3
  kernel = variables["params"]["head"]["hidden"]["kernel"]
  first_alone = kernel.at[kernel.shape[0] // 2 :].set(0)
  params = {**variables["params"]}
  params["head"] = {**params["head"], "hidden": {**params["head"]["hidden"], "kernel": first_alone}}
  blind = apply({"params": params}, frames)
  np.testing.assert_allclose(blind, apply({"params": params}, frames.at[:, 1].set(9.0)), atol=1e-5)


def test_a_convolution_over_frames_is_the_sum_over_each_frames_share_of_its_kernel():
  options = HeadOptions(convolutions=(4,), hidden=8, fusion="convolution")
  features = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 5, 6, 7)), jnp.float32)
  fused = EmbeddingHead(4, frames=3, options=options)
  variables = filled(fused, features)
  kernel = variables["params"]["conv_0"]["kernel"]
  assert kernel.shape == (3, 3, 21, 4)
  middle = {**variables["params"], "conv_0": {**variables["params"]["conv_0"]}}
  middle["conv_0"]["kernel"] = kernel.at[:, :, :7].set(0).at[:, :, 14:].set(0)
  alone = {**middle, "conv_0": {**middle["conv_0"], "kernel": kernel[:, :, 7:14]}}
  np.testing.assert_allclose(
    jax.jit(fused.apply)({"params": middle}, features),
    jax.jit(EmbeddingHead(4, options=options).apply)({"params": alone}, features[:, 1]),
    atol=1e-5,
  )


def test_normalized_embeddings_have_length_one_and_a_gradient_at_zero():
  network, variables = small(normalize=True)
  embedding = jax.jit(network.apply)(variables, pictures(3))
  np.testing.assert_allclose(np.linalg.norm(embedding, axis=-1), 1.0, atol=1e-5)
  gradient = jax.grad(lambda value: to_unit_length(value).sum())(jnp.zeros((1, 4)))
  assert np.all(np.isfinite(gradient))


def test_dropout_happens_in_training_only_and_by_its_key():
  network, variables = small(head=PLAIN._replace(dropout=0.5))
  frames = pictures(3)
  embed = jax.jit(lambda key: network.apply(variables, frames, train=True, rngs={"dropout": key}))
  first, again, other = (embed(jax.random.key(seed)) for seed in (0, 0, 1))
  np.testing.assert_array_equal(first, again)
  assert np.abs(first - other).max() > 1e-3
  with pytest.raises(Exception, match="dropout"):
    network.apply(variables, frames, train=True)


def test_a_frozen_trunk_has_no_gradient_and_its_head_has():
  frames = pictures(3)
  for freezes in (False, True):
    network, variables = small(freezes_trunk=freezes)
    gradient = jax.jit(jax.grad(lambda v, net=network: jnp.sum(net.apply(v, frames) ** 2)))(
      variables
    )["params"]
    moved = [np.any(leaf != 0) for leaf in jax.tree.leaves(gradient["trunk"])]
    assert not any(moved) if freezes else all(moved)
    assert np.any(gradient["head"]["embedding"]["kernel"] != 0)


def test_batch_normalization_of_a_trunk_moves_only_in_batch_mode():
  frames = pictures(2)
  head = HeadOptions(hidden=8, dropout=0.0)
  frozen, moving = (
    Embedder(5, "resnet18", head=head, resnet_stages=1, bn_mode=mode, form="lax")
    for mode in ("frozen", "batch")
  )
  assert (frozen.updates_statistics, moving.updates_statistics) == (False, True)
  variables = jax.tree.map(
    lambda leaf: jnp.full(leaf.shape, 0.1) if leaf.ndim < 4 else jnp.ones(leaf.shape),
    shapes(frozen, frames)[1],
  )

  @functools.partial(jax.jit, static_argnums=0)
  def run(network: Embedder, frames: jax.Array):
    return network.apply(
      variables, frames, train=True, mutable=["batch_stats"], rngs={"dropout": jax.random.key(0)}
    )

  _, statistics = run(frozen, frames)
  jax.tree.map(np.testing.assert_array_equal, statistics["batch_stats"], variables["batch_stats"])
  _, statistics = run(moving, frames)
  stem = statistics["batch_stats"]["trunk"]["stem"]["bn"]
  assert np.all(stem["var"] != 0.1)


def test_a_head_that_normalizes_batches_does_so_after_every_layer():
  options = HeadOptions(convolutions=(4,), hidden=8, normalizes_batch=True, dropout=0.0)
  features = jnp.asarray(np.random.default_rng(0).normal(size=(6, 5, 5, 3)), jnp.float32)
  head = EmbeddingHead(4, options=options)
  variables = filled(head, features)
  assert set(variables["batch_stats"]) == {"conv_0_norm", "hidden_norm", "embedding_norm"}
  embedding, _ = jax.jit(functools.partial(head.apply, train=True, mutable=["batch_stats"]))(
    variables, features
  )
  last = variables["params"]["embedding_norm"]
  np.testing.assert_allclose(np.mean(embedding, axis=0), last["bias"], atol=1e-5)
  np.testing.assert_allclose(np.std(embedding, axis=0), np.abs(last["scale"]), rtol=1e-2)
  assert Embedder(head=options).updates_statistics
  assert not any(options.normalizes_batch for options in HEADS.values())


def test_a_training_step_in_a_scan_has_no_convolution_on_a_cpu():
  network, variables = small()

  def scanned(form):
    net = network.clone(form=form)
    step = jax.grad(lambda v, x: jnp.sum(net.apply(v, x)))
    return str(
      jax.make_jaxpr(lambda x: jax.lax.map(lambda y: step(variables, y), x))(pictures(2, 3))
    )

  assert "conv_general" in scanned("lax")
  assert "conv_general" not in scanned("slices")
  if jax.default_backend() == "cpu":
    assert "conv_general" not in scanned("auto")


@pytest.mark.parametrize(
  ("options", "leading", "message"),
  [
    ({"backbone": "vgg"}, (2,), "'vgg'"),
    ({"backbone": "resnet18", "bn_mode": "eval"}, (2,), "'eval'"),
    ({"frames": 2}, (2,), "2 frames need"),
    ({"frames": 2}, (2, 3), r"2 frames need \[batch, 2"),
    ({}, (2, 3), "one frame needs"),
    ({"frames": 2, "head": HeadOptions(fusion="convolution")}, (2, 2), "the head has none"),
    ({"small": SmallOptions(strides=(2, 1))}, (2,), "3 convolutions have 2 strides"),
  ],
)
def test_what_makes_no_sense_is_refused(options, leading, message):
  with pytest.raises(Exception, match=message):
    shapes(Embedder(**options), pictures(*leading))
