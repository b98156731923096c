"""What goes wrong around a Panda, and the safe state or the refusal that follows."""

import argparse
import json
import shutil
import socket
import subprocess
import time

import numpy as np
import pytest

from jaxskills.deploy import bundle as bundles
from jaxskills.deploy import safety, verification
from jaxskills.deploy.franka import build, command, replay, wire
from jaxskills.errors import UserError
from tests.deploy.franka.conftest import (
  address,
  drive,
  lock_step,
  reaching_network,
  simulated,
  write_bundle,
)

TARGET = "--target=0.5,0.1,0.4"
HANGS = b"""
#include "policy.h"
#include <unistd.h>
void policy_step(const float *observation, float *action) {
  static int calls;
  int i;
  for (i = 0; i < POLICY_ACTION; i++) action[i] = 0.5f + 0.0f * observation[i];
  if (++calls == 12) for (;;) pause();
}
"""
LATE = b"""
#include <time.h>
void policy_step(const float *observation, float *action) {
  static int calls;
  const struct timespec late = {0, 120000000};
  if (++calls % 4 == 3) nanosleep(&late, 0);
  right(observation, action);
}
"""
STALLS = b"""
#include "policy.h"
#include <time.h>
void policy_step(const float *observation, float *action) {
  static int calls;
  const clock_t begun = clock();
  int i;
  for (i = 0; i < POLICY_ACTION; i++) action[i] = 0.5f + 0.0f * observation[i];
  if (++calls == 12) while (clock() - begun < 2 * CLOCKS_PER_SEC) continue;
}
"""


@pytest.fixture
def copy(reaching_bundle, tmp_path):
  """The bundle, to damage."""
  return shutil.copytree(reaching_bundle, tmp_path / "bundle")


def run(*words: str) -> int:
  """`jaxskills run franka` with these words."""
  parser = argparse.ArgumentParser()
  command.add_arguments(parser)
  return command.run(parser.parse_args(words))


@pytest.fixture
def made(reaching_bundle, constants, libfranka, tmp_path):
  """Makes a bundle whose policy in C is another one, and its program."""

  def make(policy_c: bytes):
    bundle = write_bundle(
      reaching_bundle, reaching_network(constants), tmp_path / "other", policy_c=policy_c
    )
    (tmp_path / "build").mkdir()
    read = bundles.read(bundle)
    return read, build.compile_program(read, tmp_path / "build", libfranka=libfranka)

  return make


def test_a_policy_that_hangs_for_ever_is_braked_and_the_program_ends(made, tmp_path):
  read, program = made(HANGS)
  log = tmp_path / "log"
  with simulated(network=lock_step()) as server:
    words = [TARGET, "--seconds=1.3", f"--log={log}"]
    done = drive(program, read.path, server, *words, timeout=60.0)
  assert done.returncode == 4 and "stale policy" in done.stderr
  assert server.motions[0]["reflex"] is None and server.motions[0]["end"] == "finished"
  assert replay.read(log, read)["mode"][-1] == safety.DAMP  # written to its end


def test_a_decision_that_comes_two_looks_late_is_replayed_with_its_own_look(
  made, reaching_bundle, tmp_path
):
  source = (reaching_bundle / "policy.c").read_bytes()
  right = source.replace(b"void policy_step(", b"static void right(", 1)
  read, program = made(b"#define _POSIX_C_SOURCE 199309L\n" + right + LATE)
  log = tmp_path / "log"
  with simulated(network=lock_step()) as server:
    drive(program, read.path, server, TARGET, "--seconds=1", f"--log={log}")
  records = replay.read(log, read)
  came = records[records["flags"] & 1 > 0]
  assert (came["index"] - came["action_look"] > 50).any()  # there was another look meanwhile
  found = replay.replay(read, records)
  assert found.is_same and found.action_difference < 1e-5
  wrong = records.copy()
  wrong["action_look"] += 1
  assert not replay.replay(read, wrong).is_same


def test_a_policy_that_stalls_is_braked_and_held(made, tmp_path):
  read, program = made(STALLS)
  bundle, log = read.path, tmp_path / "log"
  with simulated(network=lock_step()) as server:
    done = drive(program, bundle, server, TARGET, "--seconds=1.3", f"--log={log}")
  assert done.returncode == 4 and "stale policy" in done.stderr
  (motion,) = server.motions
  assert motion["reflex"] is None and motion["end"] == "finished"
  records = replay.read(log, read)
  braked = int(np.argmax(records["mode"] == safety.DAMP))
  came = np.flatnonzero(records["flags"] & 1)
  last_before = came[came < braked].max()
  assert 140 <= braked - last_before <= 170
  moved = np.abs(np.diff(records["told"], axis=0)).max(axis=1)
  assert moved[braked] > 1e-5 and (moved[braked + 350 :] <= 1e-12).all()


def test_a_frozen_state_is_braked_and_held(reaching_bundle, program, tmp_path):
  log = tmp_path / "log"
  with simulated(network=lock_step(freeze_at=0.4)) as server:
    done = drive(program, reaching_bundle, server, TARGET, "--seconds=1.2", f"--log={log}")
  assert done.returncode == 4 and "stale state" in done.stderr
  assert server.motions[0]["reflex"] is None
  records = replay.read(log, bundles.read(reaching_bundle))
  frozen = int(np.argmax(records["period"][1:] == 0)) + 1
  braked = int(np.argmax(records["mode"] == safety.DAMP))
  assert 95 <= braked - frozen <= 105


def test_a_controller_that_is_killed_ends_in_the_robots_own_reflex(reaching_bundle, program):
  with simulated(network=lock_step(patience_seconds=0.1)) as server:
    words = [f"--ip={address(server)}", f"--bundle={reaching_bundle}", TARGET, "--no-realtime"]
    process = subprocess.Popen([str(program), *words])
    while server.arm.missed_in_all or not server.arm.moving or server.arm.use.velocity < 0.05:
      time.sleep(0.01)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 20.0
    while not server.motions and time.monotonic() < deadline:
      time.sleep(0.01)
  (motion,) = server.motions
  assert motion["reflex"] == "communication_constraints_violation"
  assert motion["worst_missed_in_a_row"] == 20


def test_a_second_controller_is_refused(reaching_bundle, program):
  with simulated(network=lock_step()) as server, socket.socket(type=socket.SOCK_DGRAM) as first:
    first.connect(server.address)
    first.send(wire.pack_command(wire.Command(wire.Request.HELLO, 0, np.zeros(7))))
    first.settimeout(5.0)
    answer = wire.unpack_state(first.recv(4096))
    assert answer is not None and answer.kind == wire.Answer.WELCOME
    done = drive(program, reaching_bundle, server, TARGET)
  assert done.returncode == 3 and "Is another client connected?" in done.stderr
  assert not server.motions and server.report()["refused_clients"] == 1


@pytest.mark.parametrize("name", ["policy.onnx", "policy.c", "franka_policy.hpp", "manifest.json"])
def test_one_byte_of_a_bundle_is_enough_to_be_refused(copy, name):
  content = bytearray((copy / name).read_bytes())
  place = content.index(b"rate_hz") if name == "manifest.json" else len(content) // 2
  content[place] ^= 1
  (copy / name).write_bytes(content)
  with pytest.raises(UserError, match="changed|damaged"):
    run(f"--bundle={copy}", "--ip=127.0.0.1:1", TARGET)


def test_a_bundle_without_a_verification_is_refused_by_command_and_program(copy, program):
  (copy / verification.NAME).unlink()
  with pytest.raises(UserError, match="not verified"):
    run(f"--bundle={copy}", "--ip=127.0.0.1:1", TARGET)
  with simulated(network=lock_step()) as server:
    done = drive(program, copy, server, TARGET)
  assert done.returncode == 2 and "verification.json" in done.stderr and not server.motions


def test_a_verification_that_failed_or_is_of_another_bundle_stops_the_program(copy, program):
  place = copy / verification.NAME
  text = place.read_text()
  for changed in (
    text.replace('"passed": true', '"passed": false', 1),
    text.replace('"manifest_sha256": "', '"manifest_sha256": "0', 1),
  ):
    place.write_text(changed)
    with simulated(network=lock_step()) as server:
      done = drive(program, copy, server, TARGET)
    assert done.returncode == 2 and "does not say that this manifest passed" in done.stderr


def test_a_program_of_another_policy_is_refused(copy, program):
  place = copy / bundles.MANIFEST
  hashed = bundles.read(copy).manifest["parameters_sha256"]
  place.write_text(place.read_text().replace(hashed, "f" * 64))
  with simulated(network=lock_step()) as server:
    done = drive(program, copy, server, TARGET)
  assert done.returncode == 2 and "another policy" in done.stderr


def test_a_program_of_other_limits_than_were_verified_is_refused(copy, program):
  place = copy / verification.NAME
  parts = json.loads(place.read_text())["parts_sha256"]
  assert f'FRANKA_PARTS_SHA256 "{parts}"'.encode() in bundles.read(copy).files["franka_constants.h"]
  place.write_text(place.read_text().replace(parts, "f" * 64))
  with simulated(network=lock_step()) as server:
    done = drive(program, copy, server, TARGET)
  assert done.returncode == 2 and "another robot, limits or task" in done.stderr


def test_a_bundle_for_another_robot_is_refused(copy):
  old = bundles.read(copy)
  manifest = {**old.manifest, "robot": "h1"}
  (copy / bundles.MANIFEST).write_bytes(bundles.encode_manifest(manifest))
  verification.write(bundles.read(copy), [verification.Check("by hand", True, "for tests")])
  with pytest.raises(UserError, match="not for 'franka'"):
    run(f"--bundle={copy}", "--ip=127.0.0.1:1", TARGET)
