"""Tests of exporting one of a run's seeds: its own networks, and its own figures."""

import json

import numpy as np
import pytest

from jaxskills.deploy import runtime, spirl
from jaxskills.deploy.export import describe, export_run, own_metrics
from tests.deploy.conftest import small_config, write_run


@pytest.fixture(scope="module")
def other_run(tmp_path_factory):
  """A run of two seeds whose actor sees the ball's state and whose decoder begins from it."""
  config = small_config(seeds=2)
  config.networks.actor_inputs = ("view", "state")
  config.methods = ("spirl",)
  config.skill_prior.condition_on = ("state",)
  return write_run(tmp_path_factory.mktemp("runs") / "other", config)


def test_of_several_seeds_the_chosen_one_is_exported(other_run):
  first, second = (spirl.read_run(other_run, None, index) for index in range(2))
  bias = [seed.variables["params"]["head"]["dense"]["bias"] for seed in (first, second)]
  assert bias[0].shape == bias[1].shape == (8,)
  assert np.abs(bias[0] - bias[1]).max() > 0
  assert second.provenance["seed_index"] == 1


OF_TWO_SEEDS = {
  "success_rate": 0.75,
  "success_rate_ci": [0.1, 1.0],
  "success_rate_deterministic": 0.5,
  "return": 30.0,
  "episodes": 128,
  "seeds": 2,
  "success_rate_by_seed": [0.5, 1.0],
  "success_rate_deterministic_by_seed": [0.0, 1.0],
  "env_steps": 320,
}


def test_the_rates_in_a_manifest_are_those_of_the_exported_seed_and_the_means_beside_them():
  own = own_metrics(OF_TWO_SEEDS, 1, spirl.DECIDED)
  assert (own["success_rate"], own["success_rate_deterministic"]) == (1.0, 1.0)
  np.testing.assert_allclose(own["success_rate_ci"], [128 / (128 + 1.96**2), 1.0], atol=1e-4)
  assert (own["seed_index"], own["seeds"], own["env_steps"]) == (1, 2, 320)
  averages = ("success_rate", "success_rate_ci", "success_rate_deterministic", "return")
  lists = ("success_rate_by_seed", "success_rate_deterministic_by_seed")
  assert own["over_seeds"] == {name: OF_TWO_SEEDS[name] for name in (*averages, *lists)}
  assert "return" not in own
  assert own["decisions"] == {
    "success_rate": "sampled",
    "success_rate_deterministic": "deterministic",
  }


def test_a_mean_over_seeds_is_never_given_for_the_rate_of_one():
  unknown = {name: value for name, value in OF_TWO_SEEDS.items() if "by_seed" not in name}
  own = own_metrics(unknown, 0, spirl.DECIDED)
  assert not any(name.startswith(("success_rate", "return")) for name in own)
  assert own["over_seeds"]["success_rate"] == 0.75


def test_an_actor_and_a_decoder_that_read_the_state_are_given_it(other_run, tmp_path):
  (other_run / "summary.json").write_text(json.dumps({"metrics": OF_TWO_SEEDS}))
  manifest = export_run(other_run, robot="none", out=tmp_path / "out", seed_index=1)
  assert manifest["metrics"] == own_metrics(OF_TWO_SEEDS, 1, spirl.DECIDED)
  assert describe(manifest)[:3] == [
    "policy   spirl, seed 0, number 1 (from 0) of 2 trained together",
    "decides  deterministic; sampled where the runtime's Policy gets a seed",
    "success  1 sampled, 1 deterministic (of this one alone)",
  ]
  assert [term["name"] for term in manifest["observation"]] == ["view", "state"]
  player = runtime.Policy(runtime.load(tmp_path / "out"))
  seen = {"view": np.zeros((32, 32, 2), np.uint8), "state": np.zeros(4, np.float32)}
  actions = [player.step(seen)]
  player.reset()
  actions.append(player.step({**seen, "state": np.full(4, 9.0, np.float32)}))
  assert np.abs(actions[0] - actions[1]).max() > 1e-3
  player.reset()
  with pytest.raises(ValueError, match="'state' is due"):
    player.step({"view": seen["view"]})
