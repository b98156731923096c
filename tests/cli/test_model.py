"""Tests of `jaxskills doctor --model=FILE`: a user's MJCF, sound or not, from the command line."""

import time
from pathlib import Path

import pytest

from jaxskills.cli.main import main
from jaxskills.physics.capacity import capacity_of
from jaxskills.physics.model_file import load_model

BALL = """<mujoco>
  <worldbody>
    <geom type="plane" size="1 1 1"/>
    <body pos="0 0 1"><freejoint/><geom size=".1" mass="2"/></body>
  </worldbody>
</mujoco>"""


def written(folder: Path, text: str) -> Path:
  """A model file of that text."""
  path = folder / "model.xml"
  path.write_text(text)
  return path


def test_a_sound_model_is_described_for_every_engine(tmp_path, monkeypatch, capsys):
  monkeypatch.chdir(tmp_path)
  path = written(tmp_path, BALL)
  assert main(["doctor", f"--model={path}"]) == 0
  said = capsys.readouterr().out
  assert "1 bodies, 1 joints, 0 actuators, 0 sensors, 2.000 kg" in said
  assert "steps of 2 ms" in said and "native: steps it" in said and "mjx: takes it" in said
  assert list(tmp_path.iterdir()) == [path]


def test_an_engine_that_cannot_take_it_says_why(tmp_path, capsys):
  tendons = BALL.replace(
    "</worldbody>", "</worldbody><option integrator='implicit' cone='elliptic'/>"
  )
  assert main(["doctor", f"--model={written(tmp_path, tendons)}"]) == 0
  assert "mjx: no; " in capsys.readouterr().out


def test_a_model_that_diverges_is_told(tmp_path, monkeypatch, capsys):
  monkeypatch.chdir(tmp_path)
  spring = BALL.replace("<freejoint/>", "<joint type='slide' stiffness='1e12' springref='1'/>")
  path = written(tmp_path, spring)
  assert main(["doctor", f"--model={path}"]) == 0
  assert "native: diverges" in capsys.readouterr().out
  assert list(tmp_path.iterdir()) == [path]  # no log of MuJoCo's


def test_a_model_without_memory_for_its_contacts_is_told(tmp_path, capsys):
  boxes = "".join(  # a tower that falls into itself
    f"<body pos='0 0 {0.11 + 0.21 * number}'><freejoint/><geom type='box' size='.1 .1 .1'/></body>"
    for number in range(6)
  )
  floor = '<geom type="plane" size="1 1 1"/>'
  for memory, said in (
    ("25K", "native: no; "),
    ("18K", "but drops contacts"),
    ("1M", "steps it\n"),
  ):
    tower = f'<mujoco><size memory="{memory}"/><worldbody>{floor}{boxes}</worldbody></mujoco>'
    assert main(["doctor", f"--model={written(tmp_path, tower)}"]) == 0
    assert said in capsys.readouterr().out


def test_five_thousand_geoms_take_no_minutes(tmp_path, capsys):
  balls = "".join(f"<geom pos='{number} 0 0' size='.1'/>" for number in range(2500))
  body = f"<body><freejoint/>{balls}</body>"
  text = f"<mujoco><worldbody>{body}{body}</worldbody></mujoco>"
  began = time.monotonic()
  assert capacity_of(load_model(written(tmp_path, text))).contacts == 128
  assert time.monotonic() - began < 60


@pytest.mark.parametrize(
  ("text", "said"),
  [
    ("<mujoco><worldbody>", "no well-formed XML"),
    ("<mujoco><include file='/etc/passwd'/></mujoco>", "<include> is not supported"),
    ("<mujoco><extension><plugin plugin='a.b'/></extension></mujoco>", "is not supported"),
    (
      "<mujoco><asset><mesh name='a' file='a.stl'/></asset>"
      "<worldbody><geom type='mesh' mesh='a'/></worldbody></mujoco>",
      "file 'a.stl' does not exist",
    ),
    ("<mujoco><asset><mesh name='a' file='/a.stl'/></asset></mujoco>", "'/a.stl'"),
    (BALL.replace('size=".1"', 'size="-1"'), "does not compile"),
  ],
)
def test_what_cannot_be_used_is_one_line(tmp_path, capsys, text, said):
  assert main(["doctor", f"--model={written(tmp_path, text)}"]) == 2
  captured = capsys.readouterr()
  assert said in captured.err and captured.err.count("\n") == 1
  assert not captured.out


def test_a_file_that_is_not_there_is_one_line(tmp_path, capsys):
  assert main(["doctor", f"--model={tmp_path / 'none.xml'}"]) == 2
  assert capsys.readouterr().err == f"jaxskills: {tmp_path / 'none.xml'} does not exist.\n"
