"""MuJoCo's threads and JAX's must never wait for each other."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("threads", [1, 2])
def test_ten_thousand_chunks_come_to_an_end(threads: int):
  command = [sys.executable, "-m", "tests.physics.soak", str(threads)]
  done = subprocess.run(command, capture_output=True, text=True, timeout=240)
  assert done.returncode == 0, done.stderr
  lines = done.stdout.split("\n")[:-1]
  assert len(lines) == threads
  for line in lines:
    steps, is_finite = line.split()[-2:]
    assert float(steps) == pytest.approx(10_000 / threads * 2 * 0.005, rel=1e-3)
    assert is_finite == "True"
