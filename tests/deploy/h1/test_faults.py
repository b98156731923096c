"""What goes wrong while the robot's motors hold, and how soon they damp: each over real DDS.

What the documentation states is asserted where no load can touch it: `test_machine` (states that
cease, tilt), `test_controller` (foreign commands) and `test_guard` (a dead and a hanging
controller). Here half a second more is left for a machine that is busy with other tests, for robot,
controller and guard share its cores.
"""

import os
import signal
import time

from jaxskills.deploy.h1 import messages, wire
from tests.deploy.h1.conftest import is_guard, once_more_after_a_stall

BUSY = 0.5  # s
TIP_TO_LIMIT = 0.4 * 1.0 / 1.4  # s from upright to 1 rad, as the simulated robot is tipped


@once_more_after_a_stall
def test_a_controller_that_is_killed_leaves_a_damped_robot_within_a_tenth_of_a_second(stage):
  robot = stage.robot("--harness=never")
  controller = stage.controller()
  controller.expect("stand ")
  guard = controller.guard
  time.sleep(0.5)
  controller.process.kill()
  controller.expect("the controller died")
  late = stage.controller(name="late")
  assert late.process.wait(timeout=60) == 2
  assert "another process already commands this robot" in late.text
  assert is_guard(guard), "the guard damps until the operator ends it"
  report = stage.report(robot)
  assert report["commands"]["damped_after_seconds"] < 0.1 + BUSY
  os.kill(guard, signal.SIGTERM)


@once_more_after_a_stall
def test_a_controller_that_stands_still_is_replaced_by_its_guard_until_it_ends_in_order(stage):
  robot = stage.robot("--harness=never")
  controller = stage.controller()
  controller.expect("stand ")
  time.sleep(0.5)
  controller.process.send_signal(signal.SIGSTOP)
  controller.expect("the controller hangs")
  guard = controller.guard
  assert is_guard(guard)
  time.sleep(0.3)
  controller.process.send_signal(signal.SIGCONT)
  controller.expect("damp  ")
  assert is_guard(guard), "it damps on beside the controller"
  assert controller.end() == 2
  assert not is_guard(guard), "the operator ended the controller, which ends its guard"
  assert stage.report(robot)["commands"]["damped_after_seconds"] < 0.1 + BUSY


@once_more_after_a_stall
def test_states_that_freeze_damp_the_robot_within_a_tenth_of_a_second(stage):
  robot = stage.robot("--harness=never", "--freeze-at=0.5")
  controller = stage.controller()
  controller.expect("damp     stale state")
  events = stage.report(robot)["events"]
  assert events["damped"] - events["frozen"] < 0.1 + 0.002 + BUSY
  assert controller.end() == 2
  assert "jaxskills: the robot was damped: stale state" in controller.text


@once_more_after_a_stall
def test_a_robot_that_tips_over_is_damped_when_it_leans_by_a_radian(stage):
  robot = stage.robot("--harness=never", "--tilt-at=0.5")
  controller = stage.controller()
  controller.expect("damp     tilt")
  events = stage.report(robot)["events"]
  delay = events["damped"] - events["tipped"]
  assert TIP_TO_LIMIT - 0.01 < delay < TIP_TO_LIMIT + 0.01 + BUSY
  assert controller.end() == 2


@once_more_after_a_stall
def test_a_second_controller_is_refused_and_foreign_commands_damp_the_robot(stage):
  robot = stage.robot("--harness=never")
  controller = stage.controller()
  controller.expect("stand ")
  second = stage.controller(name="second")
  assert second.process.wait(timeout=60) == 2
  assert "another process already commands this robot" in second.text
  assert "damp  " not in controller.text, "who was refused has sent nothing"
  link = wire.Wire("lo", stage.domain)
  foreign = link.writer(messages.LOW_COMMAND)
  time.sleep(1.0)  # until it is known to the controller
  foreign.write(messages.sign(messages.blank(messages.LOW_COMMAND)))
  controller.expect("damp     another process commands this robot")
  report = stage.report(robot)
  assert report["commands"]["damped_after_seconds"] < 0.02 + BUSY
  assert controller.end() == 2


STALLING = """
import resource, sys, time
from pathlib import Path
from jaxskills.deploy.h1 import checks, commands, session
from jaxskills.deploy.h1.machine import read_contract

bundle = checks.require_bundle(Path(sys.argv[1]))
inner = session.own_policy(bundle)

class Stalling:
  calls = 0

  def reset(self):
    inner.reset()

  def step(self, observation):
    self.calls += 1
    if self.calls > 70:  # 20 of them before the robot is let walk
      time.sleep(100.0)
    return inner.step(observation)

resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))  # a full disk, after a second
ranges = read_contract(bundle.manifest).ranges
operator = commands.Script(ranges, (0.0,), ((0.5, 0.0, 0.0),), 0.0)
settings = session.Settings("lo", int(sys.argv[2]), Path(sys.argv[3]))
session.run(bundle, operator, settings, lambda line: print(line, flush=True), Stalling())
"""


@once_more_after_a_stall
def test_a_policy_that_stalls_damps_the_robot_and_a_full_disk_does_not(stage):
  robot = stage.robot("--harness=never")
  log = stage.log
  arguments = (str(stage.bundle), str(stage.domain), str(log))
  controller = stage.program("controller", STALLING, *arguments)
  controller.expect("walk ")
  controller.expect("damp     stale policy")
  controller.end()
  assert "ends here: File too large; the robot goes on" in controller.text
  assert "File too large" in controller.text
  assert log.stat().st_size <= 300_000
  assert "the robot was damped: stale policy" in controller.text
  assert stage.report(robot)["counts"]["target"] == 0
