"""The child process that compiles a stranger's model: what it may use, and how it may end."""

import subprocess
import sys
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from jaxskills.errors import UserError
from jaxskills.physics import compile_model, model_file
from jaxskills.physics.model_file import load_model
from tests.physics.model_files import BALL, make_robot, picture, refusal, write


@pytest.fixture
def robot(tmp_path):
  return make_robot(tmp_path)


def test_a_simulation_that_would_eat_the_memory_is_refused(tmp_path, monkeypatch):
  monkeypatch.setattr(model_file, "MAX_ARENA", 1000)
  assert "does not compile: its simulation needs" in refusal(write(tmp_path, BALL))


def test_a_world_that_would_eat_the_memory_is_refused(tmp_path, monkeypatch):
  monkeypatch.setattr(model_file, "MAX_DATA", 1 << 20)
  sensors = '<user dim="10000"/>' * 100  # 7.63 MiB
  path = write(tmp_path, BALL.replace("</worldbody>", f"</worldbody><sensor>{sensors}</sensor>"))
  assert refusal(path) == (
    f"{path} does not compile: each world of its simulation needs 8 MiB for its state; 1 MiB is "
    "the most"
  )


@pytest.mark.parametrize("seconds", ["0", "-1"])
def test_time_has_to_go_forward(tmp_path, seconds):
  path = write(tmp_path, BALL.replace("<worldbody>", f'<option timestep="{seconds}"/><worldbody>'))
  assert refusal(path) == (
    f"{path} does not compile: timestep of <option> is {seconds}; it has to be above 0"
  )


def test_a_picture_that_unpacks_to_gigabytes_is_refused(robot, monkeypatch):
  monkeypatch.setattr(model_file, "COMPILE_BYTES", 512 << 20)
  bomb = picture(12_000, 12_000)
  assert len(bomb) < 200_000
  (robot / "wood.png").write_bytes(bomb)
  assert "robot.xml" in refusal(robot / "robot.xml")


def test_a_model_larger_than_the_limit_is_refused(robot, monkeypatch):
  monkeypatch.setattr(model_file, "MAX_MODEL", 1000)
  assert "GiB when compiled" in refusal(robot / "robot.xml")


SLOW = BALL.replace(
  "</worldbody>",
  '</worldbody><actuator><muscle joint="hinge" lengthrange="0 0"/></actuator>',
).replace("<freejoint/>", '<joint name="hinge"/>').replace(
  "<worldbody>",
  '<compiler><lengthrange mode="all" inttotal="1e9" timestep="1e-5"/></compiler><worldbody>', 1
)  # fmt: skip


def test_a_model_that_compiles_for_ever_is_stopped(tmp_path, monkeypatch):
  monkeypatch.setattr(model_file, "COMPILE_CPU_SECONDS", 2)
  path = write(tmp_path, SLOW)
  assert refusal(path) == f"{path} takes more than 2 s to compile."


def test_a_compiler_that_sleeps_is_stopped(tmp_path, monkeypatch):
  path = write(tmp_path, BALL)
  monkeypatch.setattr(
    model_file, "_COMPILER", write(tmp_path, "import time; time.sleep(60)", "x.py")
  )
  monkeypatch.setattr(model_file, "COMPILE_SECONDS", 1)
  assert refusal(path) == f"{path} takes more than 1 s to compile."


@pytest.mark.parametrize(
  ("program", "ending"),
  [
    ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
    ("import os; os.abort()", "SIGABRT"),
    ("raise SystemExit(3)", "exit code 3"),
    ("print('{')", "exit code 0"),
  ],
)
def test_a_compiler_that_crashes_takes_nobody_with_it(tmp_path, monkeypatch, program, ending):
  path = write(tmp_path, BALL)
  monkeypatch.setattr(model_file, "_COMPILER", write(tmp_path, program, "x.py"))
  assert refusal(path) == f"{path} crashes MuJoCo's compiler ({ending})."


@pytest.mark.skipif(sys.platform != "linux", reason="limits of address space are Linux's")
def test_a_child_has_the_limits_that_it_is_given():
  code = (
    f"import sys, resource; sys.path.insert(0, {str(Path(compile_model.__file__).parent)!r})\n"
    "import compile_model; compile_model._limit(1 << 32, 77)\n"
    "print(*(resource.getrlimit(getattr(resource, 'RLIMIT_' + name))[0] for name in\n"
    "  ('AS', 'CPU', 'CORE')))"
  )
  out = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
  assert out.stdout.split() == [str(1 << 32), "77", "0"]


CHANGES = {
  "user": ["-1", "0", "1e-300", "1e300", "x", "", "1 2 3 4 5"],
  "mass": ["-1", "0", "1e300"],
  "pos": ["1e308 1e308 0", "a b c", "1"],
  "type": ["mesh", "hfield", "ellipsoid", "sdf", "no"],
}
JOINTS = ["", "<joint/>", "<freejoint/>", '<joint type="ball" range="0 1"/>']
SECTIONS = ["", '<actuator><motor joint="x"/></actuator>', "<sensor><gyro/></sensor>"]


@st.composite
def strange_models(draw):
  """Well-formed models with numbers and structure that MuJoCo may not like."""
  name = draw(st.sampled_from(sorted(CHANGES)))
  geom = f'<geom size=".1 .1 .1" {name}="{draw(st.sampled_from(CHANGES[name]))}"/>'
  depth, joint = draw(st.integers(1, 4)), draw(st.sampled_from(JOINTS))
  body = f"<body>{joint}{geom}" * depth + "</body>" * depth
  return f"<mujoco><worldbody>{body}</worldbody>{draw(st.sampled_from(SECTIONS))}</mujoco>"


@hypothesis.settings(
  max_examples=12, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
@hypothesis.given(strange_models())
def test_strange_models_load_or_are_refused(tmp_path, text):
  path = write(tmp_path, text)
  try:
    model = load_model(path)
  except UserError as error:
    assert "\n" not in str(error)
    return
  assert np.isfinite(model.body_mass).all()
