"""Names of data sets as a user types them."""

import subprocess
import sys

import pytest

from jaxskills.data_builders import registry
from jaxskills.errors import UserError
from tests.data_builders.numbered import small_set


@pytest.fixture
def numbers(monkeypatch):
  """A second data set in the registry."""
  known = dict(registry.BUILDERS)
  known["numbers"] = (lambda preset, **changes: small_set(**changes), {"few": None, "none": None})
  monkeypatch.setattr(registry, "BUILDERS", known)


def test_every_name_can_be_described():
  assert "maze_demos:full" in registry.names()
  for name in registry.names():
    assert registry.describe(name).title == name


def test_the_first_preset_is_the_default():
  assert registry.describe("maze_demos").title == "maze_demos:quick"


@pytest.mark.parametrize(
  ("name", "message"),
  [
    ("maze_demo", "no data set maze_demo; did you mean maze_demos?"),
    ("x", "no data set x; there is maze_demos, multiview_blocks, multiview_pouring"),
    ("maze_demos:ful", "no preset ful of data set maze_demos; did you mean full?"),
    ("maze_demos:", None),
  ],
)
def test_a_wrong_name_is_answered_with_the_nearest_right_one(name, message):
  if message is None:
    assert registry.describe(name).preset == "quick"
  else:
    with pytest.raises(UserError) as refusal:
      registry.describe(name)
    assert str(refusal.value) == message


def test_info_tells_of_a_data_set_before_and_after_it_is_built(numbers, tmp_path):
  planned = registry.info("numbers", tmp_path)
  assert not planned["complete"] and planned["recipe"] == {"seed": 0}
  held = registry.build("numbers", tmp_path, seed=1)
  built = registry.info("numbers", tmp_path)
  assert built["complete"] and built["records"] == 8 and built["shards"] == 3
  assert built["recipe"] == {"seed": 1}  # what lies there, not what would be built
  assert built["fingerprint"] == held.fingerprint


def test_verify_refuses_a_folder_of_another_name(numbers, tmp_path):
  held = registry.build("numbers", tmp_path)
  assert registry.verify("numbers:few", tmp_path) == held
  with pytest.raises(UserError, match="holds numbers:few, not maze_demos:full"):
    registry.verify("maze_demos:full", tmp_path)


def test_naming_data_sets_waits_for_no_world():
  program = """
import sys
from jaxskills.data_builders import registry
registry.names()
assert "mink" not in sys.modules and "mujoco" not in sys.modules
"""
  subprocess.run([sys.executable, "-c", program], check=True)
