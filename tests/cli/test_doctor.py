"""Tests of `jaxskills doctor`."""

import pytest

from jaxskills.cli import doctor
from jaxskills.cli.main import main

GOOD = {
  "jax": "0.10.2",
  "jaxlib": "0.10.2",
  "flax": "0.12.8",
  "orbax-checkpoint": "0.12.8",
  "mujoco": "3.17.0",
  "mujoco-mjx": "3.17.1",
  "brax": "0.14.2",
}


def test_the_pinned_versions_are_healthy():
  assert list(doctor.known_problems(GOOD)) == []


@pytest.mark.parametrize(
  ("change", "words"),
  [
    ({"jaxlib": "0.10.1"}, "pip install jaxlib==0.10.2"),
    ({"flax": "0.12.6"}, "pip install -U flax"),
    ({"orbax-checkpoint": "0.11.36"}, "cannot load typed PRNG keys; run"),
    ({"orbax-checkpoint": "0.11.36", "jax2onnx": "0.17.1"}, "keep jax2onnx elsewhere"),
    ({"mujoco": "4.0.0"}, "mujoco 4.0.0 and mujoco-mjx 3.17.1 are not of one release"),
  ],
)
def test_a_known_bad_pair_is_named_with_its_remedy(change, words):
  (problem,) = doctor.known_problems(GOOD | change)
  assert words in problem


def test_brax_s_trainers_are_a_note_until_they_work():
  (note,) = doctor.known_notes(GOOD)
  assert "brax 0.14.2's own PPO and SAC crash" in note
  assert list(doctor.known_notes(GOOD | {"jax": "0.9.2"})) == []
  assert list(doctor.known_notes(GOOD | {"brax": "0.14.3"})) == []


def test_a_requirement_that_is_not_met_is_named(monkeypatch):
  wanted = ["numpy>=999", "absent-package", "numpy>=1", 'absent; extra == "bench"']
  monkeypatch.setattr(doctor.metadata, "requires", lambda name: wanted)
  unmet = doctor.unmet_requirements()
  assert len(unmet) == 2
  assert unmet[0].startswith("numpy>=999 is asked for, found ")
  assert unmet[1] == (
    "absent-package is asked for, found nothing; run: pip install 'absent-package'"
  )


def test_the_cache_s_size_and_mode_are_told(tmp_path):
  folder = tmp_path / "cache"
  assert doctor.describe_cache(str(folder)).endswith("(not made yet)")
  assert doctor.describe_cache(None) == "compilation cache off"
  folder.mkdir(mode=0o700)
  (folder / "program").write_bytes(bytes(3 * 2**20))
  assert doctor.describe_cache(str(folder)).endswith("3 MiB, mode 700")


def test_doctor_tells_of_every_part(capsys, monkeypatch):
  monkeypatch.setattr(doctor, "unmet_requirements", list)
  code = main(["doctor"])
  shown = capsys.readouterr().out
  assert code == ("problems\n           none" not in shown)
  for part in ("versions", "jax", "backend", "precision", "cache", "rendering", "notes"):
    assert part in shown


def test_doctor_fails_where_something_needs_mending(capsys, monkeypatch):
  monkeypatch.setattr(doctor, "unmet_requirements", lambda: ["x is asked for, found nothing"])
  monkeypatch.setattr(doctor, "describe_rendering", lambda: "not tried")
  assert main(["doctor"]) == 1
  assert "x is asked for, found nothing" in capsys.readouterr().out
