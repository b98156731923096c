"""A controller process drives a simulated H1 over real DDS; the log replays to the same bits.

The short test runs the untrained policy in the harness. The long one needs a bundle of a policy
that walks: name it in JAXSKILLS_H1_BUNDLE.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jaxskills.deploy.h1 import record
from tests.deploy.h1.conftest import once_more_after_a_stall

NETWORK = ("--loss=0.05", "--jitter-ms=10")


def replay(bundle, log) -> subprocess.CompletedProcess:
  command = ["run", "h1", f"--bundle={bundle}", f"--replay={log}"]
  return subprocess.run(
    [sys.executable, "-m", "jaxskills", *command], capture_output=True, text=True
  )


@once_more_after_a_stall
def test_a_run_over_a_bad_network_replays_to_the_same_bits_and_ends_damped(stage):
  robot = stage.robot("--harness=never", *NETWORK)
  controller = stage.controller()
  controller.expect("walk ")
  controller.process.send_signal(2)
  assert controller.process.wait(timeout=60) == 0, controller.text
  assert "stopped  as asked, after 2 s of damping" in controller.text
  report = stage.report(robot)
  assert report["commands"]["bad_crc"] == 0
  assert report["commands"]["lost"] > 0 and report["states"]["lost"] > 0
  assert not any(report["counts"].values()), report
  assert report["events"]["damped"] > report["events"]["stiff"] + 2.0
  again = replay(stage.bundle, stage.log)
  assert again.returncode == 0, again.stderr
  assert "to the bit" in again.stdout and "part " not in again.stdout
  cut = stage.folder / "cut.log"
  cut.write_bytes(stage.log.read_bytes()[: stage.log.stat().st_size // 2])
  assert "part     the log ends before its run did" in replay(stage.bundle, cut).stdout
  spoil(stage.log)
  other = replay(stage.bundle, stage.log)
  assert other.returncode == 2
  assert "1 commands differ" in other.stderr


def spoil(log: Path) -> None:
  """Changes one target in one tick by its last bit."""
  content = bytearray(log.read_bytes())
  place = len(content) - record.END.itemsize - record.TICK.itemsize
  assert content[place : place + 1] == b"T"
  q = record.TICK.fields["motor_cmd"][1]
  content[place + q] ^= 1
  log.write_bytes(content)


@pytest.mark.slow
@pytest.mark.skipif("JAXSKILLS_H1_BUNDLE" not in os.environ, reason="names a bundle that walks")
@once_more_after_a_stall
def test_a_trained_policy_walks_for_a_minute_over_a_bad_network(stage):
  stage.bundle = Path(os.environ["JAXSKILLS_H1_BUNDLE"])
  script = stage.folder / "walk.txt"
  script.write_text("0 0.5,0,0\n15 1,0,0\n30 0.5,0,0.5\n45 0.5,0,-0.5\n55 0,0,0\n")
  robot = stage.robot(*NETWORK)
  controller = stage.controller(f"--commands={script}", "--start-after=0", "--seconds=60")
  assert controller.process.wait(timeout=120) == 0, controller.text
  report = stage.report(robot)
  print(controller.text, json.dumps(report, indent=2), sep="\n")
  assert report["counts"] == dict.fromkeys(report["counts"], 0), report
  assert "fallen" not in report["events"]
  assert report["events"]["damped"] - report["events"]["released"] > 59.0
  assert report["saturated"] == 0, "no motor is asked for more than its torque"
  assert report["walked_metres"] > 20.0
  assert "to the bit" in replay(stage.bundle, stage.log).stdout
