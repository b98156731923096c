"""Tests of typed overrides, their messages, and the JSON form of a configuration."""

import json

import hypothesis
import pytest
from hypothesis import strategies
from ml_collections import ConfigDict, config_dict

from jaxskills.config import apply_overrides, flatten, is_override, nearest, restore, to_plain
from jaxskills.errors import UserError


def example() -> ConfigDict:
  return ConfigDict(
    {
      "seed": 0,
      "name": "maze",
      "on": True,
      "sizes": (32, 64),
      "rates": (0.5,),
      "methods": ("spirl", "sac"),
      "nothing": None,
      "limit": config_dict.placeholder(float),
      "learner": {"alpha": 0.1, "inner": {"steps": 3}},
    }
  )


def overridden(*overrides: str) -> dict:
  """What the overrides change."""
  before = flatten(example())
  after = flatten(apply_overrides(example(), overrides))
  return {key: value for key, value in after.items() if value != before[key]}


@pytest.mark.parametrize(
  ("override", "changes"),
  [
    ("--config.seed=3", {"seed": 3}),
    ("--config.seed=-1_000", {"seed": -1000}),
    ("--config.name=a b=c", {"name": "a b=c"}),
    ("--config.name=", {"name": ""}),
    ("--config.name=3", {"name": "3"}),
    ("--config.on=false", {"on": False}),
    ("--noconfig.on", {"on": False}),
    ("--config.learner.alpha=1e-4", {"learner.alpha": 1e-4}),
    ("--config.learner.inner.steps=5", {"learner.inner.steps": 5}),
    ("--config.sizes=(8, 16)", {"sizes": (8, 16)}),
    ("--config.sizes=8,16,32", {"sizes": (8, 16, 32)}),
    ("--config.sizes=8", {"sizes": (8,)}),
    ("--config.sizes=", {"sizes": ()}),
    ("--config.rates=1,2", {"rates": (1.0, 2.0)}),
    ("--config.rates=(1, 2)", {"rates": (1.0, 2.0)}),
    ("--config.methods=ssp", {"methods": ("ssp",)}),
    ("--config.limit=2", {"limit": 2.0}),
  ],
)
def test_a_value_is_read_with_the_type_of_its_key(override, changes):
  found = overridden(override)
  assert found == changes
  assert [type(value) for value in found.values()] == [type(value) for value in changes.values()]


def test_a_whole_number_for_a_float_stays_a_float():
  assert isinstance(apply_overrides(example(), ["--config.learner.alpha=2"]).learner.alpha, float)
  rates = apply_overrides(example(), ["--config.rates=(1, 2)"]).rates
  assert all(isinstance(rate, float) for rate in rates)


def test_the_bare_form_turns_a_boolean_on():
  off = apply_overrides(example(), ["--noconfig.on"])
  assert apply_overrides(off, ["--config.on"]).on is True


def test_a_placeholder_takes_none_back():
  config = apply_overrides(example(), ["--config.limit=2"])
  assert config.limit == 2.0
  assert apply_overrides(example(), ["--config.limit=none"]).limit is None


def test_the_last_of_two_overrides_counts():
  assert overridden("--config.seed=1", "--config.seed=2") == {"seed": 2}


def test_the_given_configuration_stays_as_it_was():
  config = example()
  apply_overrides(config, ["--config.learner.inner.steps=9"])
  assert flatten(config) == flatten(example())


def test_a_reference_follows_the_value_it_refers_to():
  config = ConfigDict({"a": 1})
  config.b = config.get_ref("a") * 2
  assert apply_overrides(config, ["--config.a=5"]).b == 10


def test_the_result_is_locked():
  with pytest.raises((AttributeError, KeyError)):
    apply_overrides(example(), []).new_key = 1


@pytest.mark.parametrize(
  ("override", "message"),
  [
    ("--config.aplha=1", "unknown key config.aplha; did you mean config.learner.alpha?"),
    ("--config.learner.aplha=1", "unknown key config.learner.aplha; did you mean config.learner."),
    ("--config.alpha=1", "unknown key config.alpha; did you mean config.learner.alpha?"),
    ("--config.lerner.alpha=1", "unknown key config.lerner.alpha; did you mean config.learner."),
    ("--config.xyzzy=1", "unknown key config.xyzzy; there are: config."),
    ("--config.seed=3.5", "config.seed must be an integer, got '3.5'"),
    ("--config.seed=", "config.seed must be an integer, got ''"),
    ("--config.learner.alpha=low", "config.learner.alpha must be a number, got 'low'"),
    ("--config.learner.alpha=nan", "config.learner.alpha must be a number, got 'nan'"),
    ("--config.on=maybe", "config.on must be true or false, got 'maybe'"),
    ("--config.sizes=8,x", "config.sizes must be a sequence such as 1,2, got '8,x'"),
    ("--config.sizes=(8", "config.sizes must be a sequence such as 1,2, got '(8'"),
    ("--config.sizes=(8, True)", "config.sizes must be a sequence such as 1,2"),
    ("--config.sizes=(8, 1.5)", "config.sizes must be a sequence such as 1,2"),
    ("--config.seed", "config.seed needs a value: --config.seed=VALUE (an integer)"),
    ("--config.seed.deep=1", "config.seed is a value and has no key deep"),
    ("--config.learner=1", "config.learner is a group; set one of its keys: config.learner.al"),
    ("--config.nothing=1", "config.nothing is None and has no type"),
    ("--noconfig.seed", "config.seed must be an integer, got 'false'"),
    ("--noconfig.on=1", "--noconfig.on takes no value; write --config.on=1"),
  ],
)  # fmt: skip
def test_a_wrong_key_or_value_is_one_helpful_line(override, message):
  with pytest.raises(UserError) as caught:
    apply_overrides(example(), [override])
  assert str(caught.value).startswith(message)
  assert "\n" not in str(caught.value)


@hypothesis.given(strategies.floats(allow_nan=False))
def test_every_float_survives_the_command_line(value):
  assert apply_overrides(example(), [f"--config.learner.alpha={value!r}"]).learner.alpha == value


@hypothesis.given(strategies.lists(strategies.integers(), min_size=1))
def test_every_tuple_survives_the_command_line(values):
  assert apply_overrides(example(), [f"--config.sizes={tuple(values)}"]).sizes == tuple(values)


@hypothesis.given(strategies.text())
def test_any_text_is_a_value_or_a_user_error(text):
  for key in flatten(example()):
    try:
      config = apply_overrides(example(), [f"--config.{key}={text}"])
    except UserError:
      continue
    assert flatten(config).keys() == flatten(example()).keys()


@hypothesis.given(strategies.text(min_size=1).filter(lambda key: "=" not in key))
def test_no_key_can_be_invented(key):
  hypothesis.assume(key not in flatten(example()))
  with pytest.raises(UserError):
    apply_overrides(example(), [f"--config.{key}=1"])


@pytest.mark.parametrize(
  ("argument", "expected"),
  [("--config.a=1", True), ("--noconfig.a", True), ("--config=a", False), ("config.a", False)],
)
def test_an_override_is_told_from_other_arguments(argument, expected):
  assert is_override(argument) is expected


def test_the_plain_form_survives_json():
  plain = to_plain(example())
  assert json.loads(json.dumps(plain)) == plain
  assert plain["sizes"] == [32, 64] and plain["learner"]["inner"] == {"steps": 3}
  assert plain["limit"] is None


def test_a_leaf_that_json_cannot_hold_is_named():
  with pytest.raises(UserError, match="config key function holds a builtin"):
    to_plain(ConfigDict({"learner": {"function": print}}))


def test_nearest_is_silent_about_strangers():
  assert nearest("aplha", ["alpha", "beta"]) == "; did you mean alpha?"
  assert nearest("xyzzy", ["alpha", "beta"]) == ""


FIRST_SIX = "learner.alpha, learner.inner.steps, limit, methods, name, nothing"


def written(**changes) -> dict:
  """What `config.json` of the example holds, with other keys."""
  return {**json.loads(json.dumps(to_plain(example()))), **changes}


def test_a_run_of_this_version_has_its_configuration_back():
  assert to_plain(restore(written(seed=7), example(), "run")) == {**to_plain(example()), "seed": 7}


@pytest.mark.parametrize(
  ("plain", "said"),
  [
    (
      written(learner={"alpha": 0.1, "beta": 1}),
      "lacks learner.inner.steps and has learner.beta, which this one does not know",
    ),
    (written(old=1, older=2), "has old, older, which this one does not know"),
    ({"seed": 0}, f"lacks {FIRST_SIX}, 3 more"),
    (None, f"lacks {FIRST_SIX}, 4 more"),
  ],
)
def test_a_run_of_another_version_is_refused_by_its_keys_and_told_what_to_do(plain, said):
  with pytest.raises(UserError) as refusal:
    restore(plain, example(), "runs/it")
  line = str(refusal.value)
  assert line.startswith(
    f"runs/it is a run of another version of jaxskills: its config.json {said}"
  )
  assert "use the version that made it" in line and "\n" not in line
