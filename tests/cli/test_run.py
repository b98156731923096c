"""Tests of `jaxskills run` and `jaxskills simulate` before any robot is there."""

import subprocess
import sys

import pytest

from jaxskills.cli.main import main


@pytest.mark.parametrize("command", ["run", "simulate"])
def test_a_robot_must_be_named(command, capsys):
  assert main([command]) == 2
  assert "ROBOT" in capsys.readouterr().err
  assert main([command, "atlas"]) == 2
  assert "atlas" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["run", "simulate"])
def test_every_robot_has_its_own_help(command, capsys):
  assert main([command, "h1", "--help"]) == 0
  assert "--interface" in capsys.readouterr().out


def test_a_bundle_that_is_not_there_is_one_line(tmp_path, capsys):
  assert main(["run", "h1", f"--bundle={tmp_path / 'none'}"]) == 2
  said = capsys.readouterr().err.splitlines()
  assert len(said) == 1
  assert "holds no bundle" in said[0]


def test_seconds_that_are_no_seconds_are_refused(tmp_path, capsys):
  assert main(["run", "h1", f"--bundle={tmp_path}", "--seconds=-1"]) == 2
  assert "--seconds" in capsys.readouterr().err


@pytest.mark.parametrize(
  ("argument", "word"),
  [("--loss=1.5", "--loss"), ("--jitter-ms=-1", "--jitter-ms"), ("--harness=rope", "--harness")],
)
def test_a_simulation_that_makes_no_sense_is_refused(argument, word, capsys):
  assert main(["simulate", "h1", argument]) == 2
  assert word in capsys.readouterr().err


def test_the_controller_needs_no_jax():
  program = (
    "import sys\n"
    "from jaxskills.cli.main import main\n"
    "main(['run', 'h1', '--bundle=/nowhere'])\n"
    "from jaxskills.deploy.h1 import session, simulated, replay\n"
    "loaded = {name.partition('.')[0] for name in sys.modules}\n"
    "print(sorted(loaded & {'jax', 'jaxlib', 'flax', 'onnx', 'orbax'}))\n"
  )
  done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
  assert done.stdout.strip() == "[]"
