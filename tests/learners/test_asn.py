"""The game of ASN: who is differentiated by what, that both ways agree, and that it learns."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxskills.data.clips import AsnBatch, SkillClips
from jaxskills.learners.asn import make_asn
from jaxskills.learners.asn_config import AsnConfig
from jaxskills.learners.asn_game import make_gradients
from jaxskills.learners.frame_encoder import FrameEncoder
from jaxskills.learners.metric_loss import MetricOptions
from jaxskills.learners.task_probe import init_probe, update_probe
from jaxskills.losses.adversarial import conditional_entropy, marginal_entropy
from jaxskills.losses.metric import asn_lifted
from jaxskills.networks.discriminator import Discriminator
from tests.drawn import drawn_state, drawn_variables
from tests.learners.moving_dots import PLAIN, SPEC, TINY, batch, misalignment

CONFIG = AsnConfig(embedder=TINY, augment=PLAIN, learning_rate=3e-3, alpha=0.1, beta=0.7)
SMALL = Discriminator(2, hidden=(16,), latent=4)
SURE = SMALL.clone(dropout=0.0, head_dropout=0.0, bottleneck="fc")
"""Without anything random, so that a test can compute what it must do."""


def embedded(trained, pictures):
  """A stand-in for the network, quick to compile: `[..., rows, columns, 3]` to `[..., dim]`."""
  flat = pictures.astype(jnp.float32).reshape(*pictures.shape[:-3], -1) / 255.0
  return jnp.tanh(flat @ trained["kernel"])


QUICK = FrameEncoder(
  init=lambda key: {"params": {"kernel": 0.1 * jax.random.normal(key, (768, 8))}},
  augmented=lambda frames, key: frames.astype(jnp.float32),
  train=lambda trained, variables, pictures, key: (embedded(trained, pictures), variables),
  embed=lambda variables, frames: embedded(variables["params"], frames),
)
PARAMS = {
  "encoder": {"params": {"kernel": 0.1 * np.random.default_rng(1).normal(size=(768, 8))}},
  "discriminator": jax.tree.map(
    lambda x: 2.0 * x, drawn_variables(SMALL, np.zeros((1, 16), np.float32))
  ),
}
PARAMS = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), PARAMS)
SURE_PARAMS = {**PARAMS, "discriminator": {"params": {**PARAMS["discriminator"]["params"]}}}
del SURE_PARAMS["discriminator"]["params"]["log_var"]


@functools.cache
def one_batch():
  """Drawn once."""
  return jax.jit(batch)(jax.random.key(3))


@functools.cache
def compiled_games(is_sure):
  """`weight -> {name: Gradients}` on the one batch, in one program: all share what is random."""
  discriminator, params = (SURE, SURE_PARAMS) if is_sure else (SMALL, PARAMS)

  def play(weight, params, data):
    return {
      name: make_gradients(config, SPEC, QUICK, discriminator)(params, data, jax.random.key(4))
      for name, config in (sure_games(weight) if is_sure else games(weight)).items()
    }

  play = jax.jit(play)
  return functools.cache(lambda weight: play(weight, params, one_batch()))


def games(beta):
  """Configurations with noise."""
  config = CONFIG._replace(beta=beta)
  averaged = config._replace(reduction="mean", kl_reduction="sum")
  return {
    "alternating": config,
    "gradient_reversal": config._replace(game="gradient_reversal"),
    "averaged": averaged._replace(entropies="discriminator"),
    "silent": averaged._replace(entropies="none"),
  }


def sure_games(strength):
  """Configurations without noise."""
  config = CONFIG._replace(bottleneck="fc")
  reversal = config._replace(game="gradient_reversal", reversal_strength=strength)
  return {
    "both": config,
    "encoder_marginal": config._replace(entropies="encoder_marginal"),
    "discriminator": config._replace(entropies="discriminator"),
    "both, reversed": reversal,
  }


def found(name, beta=0.7):
  """Gradients of a game with noise."""
  return compiled_games(False)(beta)[name]


def found_surely(name, strength=1.0):
  """Gradients of a game without noise."""
  return compiled_games(True)(strength)[name]


def assert_close(one, other):
  """Equal up to rounding, leaf by leaf, and not for being zero."""
  assert max(float(np.max(np.abs(x))) for x in jax.tree.leaves(one)) > 1e-4
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-6), one, other)


@functools.cache
def compiled_by_hand():
  """Gradients of the two losses, written once more without any game."""

  def skills_of(trained, data):
    frames = embedded(trained, data.skills.frames)
    return jnp.stack(
      [jnp.concatenate(list(frames[clip, view])) for clip in range(6) for view in range(2)]
    )

  def encoder_loss(trained, params, data, h_marg_weight, h_cond_weight):
    logits = SURE.apply(params["discriminator"], skills_of(trained, data)).logits
    metric = sum(asn_lifted(of_video) for of_video in embedded(trained, data.pairs.frames))
    game = h_marg_weight * marginal_entropy(logits) + h_cond_weight * conditional_entropy(logits)
    return CONFIG.alpha * metric - game

  def discriminator_loss(variables, params, data):
    logits = SURE.apply(variables, skills_of(params["encoder"]["params"], data)).logits
    return conditional_entropy(logits) - marginal_entropy(logits)

  return jax.jit(
    lambda params, data, *weights: (
      jax.grad(encoder_loss)(params["encoder"]["params"], params, data, *weights),
      jax.grad(discriminator_loss)(params["discriminator"], params, data),
    )
  )


def by_hand(h_marg_weight, h_cond_weight):
  """Of the encoder, with these weights on the entropies that it raises, and the discriminator."""
  return compiled_by_hand()(SURE_PARAMS, one_batch(), h_marg_weight, h_cond_weight)


@pytest.mark.parametrize(
  ("name", "weights"),
  [
    ("both", (1, 1)),
    ("both, reversed", (1, 1)),
    ("encoder_marginal", (1, 0)),
    ("discriminator", (0, 0)),
  ],
)
def test_the_encoder_raises_both_entropies_and_the_discriminator_lowers_one(name, weights):
  gradients = found_surely(name)
  of_encoder, of_discriminator = by_hand(*weights)
  assert_close(gradients.encoder, of_encoder)
  assert_close(gradients.discriminator, of_discriminator)


def test_alternating_and_reversed_gradients_agree_with_the_same_noise():
  one, other = found("alternating"), found("gradient_reversal")
  assert_close(one.encoder, other.encoder)
  assert_close(one.discriminator, other.discriminator)
  for name, value in one.parts.items():
    np.testing.assert_allclose(value, other.parts[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_the_strength_of_the_reversal_weighs_the_contested_entropy_alone():
  none, twice = (found_surely("both, reversed", strength) for strength in (0.0, 2.0))
  assert_close(none.encoder, by_hand(1, 0)[0])
  assert_close(twice.encoder, by_hand(1, 2)[0])
  assert_close(twice.discriminator, none.discriminator)


@pytest.mark.parametrize("game", ["alternating", "gradient_reversal"])
def test_the_divergence_reaches_the_discriminator_and_never_the_encoder(game):
  without, strong = found(game, beta=0.0), found(game, beta=100.0)
  assert_close(without.encoder, strong.encoder)
  part = strong.discriminator["params"]["mean"]["kernel"]
  assert not np.allclose(part, without.discriminator["params"]["mean"]["kernel"], rtol=0.1)


def test_without_entropies_the_discriminator_has_the_divergence_alone():
  gradients = found("silent")
  assert np.all(np.asarray(gradients.discriminator["params"]["logits"]["kernel"]) == 0)
  assert np.any(np.asarray(gradients.discriminator["params"]["mean"]["kernel"]) != 0)
  weighted = 0.7 * 12 * gradients.parts["kl_per_skill"]  # summed over 6 clips of 2 views
  np.testing.assert_allclose(gradients.parts["discriminator_loss"], weighted, rtol=1e-5)


def test_the_two_ablations_without_encoder_entropy_train_the_same_encoder():
  one, other = found("averaged"), found("silent")
  assert_close(one.encoder, other.encoder)
  assert not np.allclose(one.parts["discriminator_loss"], other.parts["discriminator_loss"])


def test_all_pictures_go_through_the_network_at_once():
  passes = []

  def counted(trained, variables, pictures, key):
    passes.append(pictures.shape)
    return QUICK.train(trained, variables, pictures, key)

  for game in ("alternating", "gradient_reversal"):
    passes.clear()
    gradients = make_gradients(
      CONFIG._replace(game=game), SPEC, QUICK._replace(train=counted), SMALL
    )
    jax.eval_shape(gradients, PARAMS, one_batch(), jax.random.key(0))
    assert passes == [(3 * 4 * 2 + 6 * 2 * 2, 16, 16, 3)]


def test_alpha_beta_and_both_reductions_reach_the_losses():
  parts, averaged = found("alternating").parts, found("averaged").parts
  game = parts["marginal_entropy"] + parts["conditional_entropy"]
  np.testing.assert_allclose(parts["encoder_loss"], 0.1 * parts["metric_loss"] - game, rtol=1e-5)
  np.testing.assert_allclose(3 * averaged["metric_loss"], parts["metric_loss"], rtol=1e-5)
  rest = parts["conditional_entropy"] - parts["marginal_entropy"]
  kl = parts["kl_per_skill"]
  np.testing.assert_allclose(parts["discriminator_loss"], rest + 0.7 * kl / 4, rtol=1e-4)
  np.testing.assert_allclose(averaged["discriminator_loss"], rest + 0.7 * 12 * kl, rtol=1e-4)


@functools.cache
def quick_learner():
  """A learner whose networks are the small ones, compiled, and a first state."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr("jaxskills.learners.asn.make_frame_encoder", lambda *_, **__: QUICK)
    patch.setattr("jaxskills.learners.asn.Discriminator", lambda *_: SMALL)
    learner = make_asn(CONFIG, SPEC)
  compiled = learner._replace(update=jax.jit(learner.update), act=jax.jit(learner.act))
  return compiled, drawn_state(learner)._replace(params=PARAMS)


def test_each_player_moves_by_its_own_gradient_at_the_old_parameters_and_its_own_rate():
  learner, state = quick_learner()
  after, _ = learner.update(state, one_batch(), jax.random.key(4))
  gradients = found("alternating")

  def assert_step(before, gradient, now, rate):
    """Adam's first step is the rate, against the sign of the gradient."""
    clear = np.abs(gradient) > 1e-5
    expected = np.where(clear, -rate * np.sign(gradient), 0.0)
    np.testing.assert_allclose((np.asarray(now) - before)[clear], expected[clear], rtol=1e-2)
    assert np.any(clear)

  trained = state.params["encoder"]["params"]
  moved = after.params["encoder"]["params"]
  assert_step(trained["kernel"], gradients.encoder["kernel"], moved["kernel"], 3e-3)
  for name in ("dense_0", "mean", "logits"):
    layers = [
      x["params"][name]["kernel"]
      for x in (
        state.params["discriminator"],
        gradients.discriminator,
        after.params["discriminator"],
      )
    ]
    assert_step(*layers, 1e-3)
  assert int(after.step) == 1


def test_labels_reach_the_probe_and_nothing_else():
  learner, state = quick_learner()
  data, key = one_batch(), jax.random.key(4)
  other = data._replace(skills=data.skills._replace(task=1 - data.skills.task))
  one, metrics = learner.update(state, data, key)
  two, other_metrics = learner.update(state, other, key)
  jax.tree.map(np.testing.assert_array_equal, one.params, two.params)
  np.testing.assert_allclose(one.probe.probe.kernel, -two.probe.probe.kernel, atol=1e-6)
  assert np.any(np.asarray(one.probe.probe.kernel) != 0)
  skills = np.asarray(found("alternating").skills)
  label = np.repeat(np.asarray(data.skills.task), 2)  # both views of a clip are of its task
  pull = ((label == 0) - 0.5) @ (skills - skills.mean(axis=0)) / skills.std(axis=0)
  np.testing.assert_allclose(one.probe.probe.kernel[:, 0], 1e-2 * np.sign(pull), rtol=1e-3)
  for name in set(metrics) - {"task_probe_accuracy"}:
    assert float(metrics[name]) == float(other_metrics[name]), name


def test_the_published_discriminator_judges_two_frames_at_a_time():
  for config, classes in ((AsnConfig(), 2), (AsnConfig(classes=5), 5)):
    state = jax.eval_shape(make_asn(config, SPEC).init, jax.random.key(0))
    layers = state.params["discriminator"]["params"]
    assert layers["dense_0"]["kernel"].shape == (2 * 32, 500)
    assert layers["logits"]["kernel"].shape == (64, classes)


def test_it_learns_to_align_two_views_that_share_no_pixel():
  learner, state = quick_learner()

  def align(state):
    return misalignment(lambda frames: learner.act(state.params, frames))

  drawn = jax.jit(batch)
  losses = []
  for number in range(150):
    key = jax.random.fold_in(jax.random.key(6), number)
    state, metrics = learner.update(state, drawn(key), key)
    losses.append(float(metrics["metric_loss"]))
  assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:10])
  assert align(state) < 0.1  # of 1/3 by chance
  assert set(metrics) == {
    "encoder_loss",
    "discriminator_loss",
    "metric_loss",
    "conditional_entropy",
    "marginal_entropy",
    "kl_per_skill",
    "class_information",
    "task_probe_accuracy",
    "positive_distance",
    "negative_distance",
    "spread",
  }


def test_acting_embeds_frames_of_any_leading_axes_one_by_one():
  learner, state = quick_learner()
  frames = one_batch().pairs.frames
  embeddings = np.asarray(learner.act(state.params, frames))
  assert embeddings.shape == (3, 4, 2, 8)
  alone = learner.act(state.params, frames[1, 2, 1])
  np.testing.assert_allclose(alone, embeddings[1, 2, 1], rtol=1e-4, atol=1e-6)


def test_the_probe_learns_what_can_be_told_and_admits_what_cannot():
  optimizer = optax.adam(1e-2)
  task = jnp.arange(16) % 2

  def step(state, key):
    noise = jax.random.normal(key, (2, 16, 3))
    told = noise[0].at[:, 1].add(100.0 * task)  # the scale of an embedding does not matter
    states, accuracies = zip(
      *(update_probe(s, x, task, optimizer) for s, x in zip(state, (told, noise[1]), strict=True)),
      strict=True,
    )
    return tuple(states), jnp.stack(accuracies)

  first = init_probe(3, 2, optimizer)
  keys = jax.random.split(jax.random.key(0), 200)
  _, accuracy = jax.jit(lambda s: jax.lax.scan(step, s, keys))((first, first))
  told, untold = np.asarray(accuracy[100:]).mean(axis=0)
  assert told > 0.99
  assert 0.4 < untold < 0.6


def stepped_kernel(skills):
  """The probe's weights after one step of plain descent, weighed unevenly."""
  optimizer = optax.sgd(0.1)
  task = jnp.array([0, 1, 1])
  state, _ = update_probe(init_probe(2, 2, optimizer), skills, task, optimizer)
  return jnp.sum(state.probe.kernel * jnp.array([[1.0, 2.0], [3.0, 5.0]]))


PROBED = np.array([[1.0, 2.0], [0.5, -1.0], [3.0, 0.0]], np.float32)


def test_no_gradient_leaves_the_probe():
  np.testing.assert_array_equal(jax.jit(jax.grad(stepped_kernel))(PROBED), 0.0)


def test_the_probe_does_not_mind_where_embeddings_lie_or_how_far_apart():
  kernel = jax.jit(stepped_kernel)
  assert float(kernel(PROBED)) != 0
  np.testing.assert_allclose(kernel(1000.0 * PROBED + 50.0), kernel(PROBED), rtol=1e-4)


@pytest.mark.parametrize(
  ("config", "spec", "message"),
  [
    (CONFIG._replace(game="wgan"), SPEC, "game.*wgan"),
    (CONFIG._replace(entropies="all"), SPEC, "entropies.*all"),
    (CONFIG._replace(skill_frames=0), SPEC, "skill_frames must be at least 1, not 0"),
    (CONFIG._replace(classes=1), SPEC, "classes is 1"),
    (CONFIG._replace(metric=MetricOptions("quadruplet")), SPEC, "quadruplet"),
    (CONFIG, SPEC._replace(tasks=1), "there are 1 tasks"),
    (CONFIG, SPEC._replace(views=1), "views must be at least 2, not 1"),
  ],
)
def test_impossible_games_are_refused_before_tracing(config, spec, message):
  with pytest.raises(Exception, match=message):
    make_asn(config, spec)


def test_skills_of_another_length_are_refused():
  learner = make_asn(CONFIG, SPEC)
  state = jax.eval_shape(learner.init, jax.random.key(0))
  frames = jax.ShapeDtypeStruct((6, 2, 4, 16, 16, 3), jnp.uint8)
  wrong = AsnBatch(one_batch().pairs, SkillClips(frames, one_batch().skills.task))
  with pytest.raises(ValueError, match="skills have 2 frames, those of the batch 4"):
    jax.eval_shape(learner.update, state, wrong, jax.random.key(0))
