"""MuJoCo's threads and JAX's must never wait for each other, in one process or in two."""

import os
import subprocess
import sys

import pytest

CHUNK_SECONDS = 2 * 0.005  # of simulated time


@pytest.mark.parametrize(
  ("processes", "threads", "chunks"), [(1, 1, 10_000), (1, 2, 10_000), (2, 2, 2_500)]
)
def test_thousands_of_chunks_come_to_an_end(processes: int, threads: int, chunks: int):
  command = [sys.executable, "-m", "tests.physics.soak", str(threads), str(chunks)]
  running = [
    subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for _ in range(processes)
  ]
  try:
    for process in running:
      out, errors = process.communicate(timeout=240)
      assert process.returncode == 0, errors
      lines = out.split("\n")[:-1]
      assert len(lines) == threads
      for line in lines:
        lived, is_finite = line.split()[-2:]
        assert float(lived) == pytest.approx(chunks / threads * CHUNK_SECONDS, rel=1e-3)
        assert is_finite == "True"
  finally:
    for process in running:
      process.kill()
      process.wait()


def test_many_worlds_on_mjx_do_not_wait_for_each_other():
  environment = os.environ | {"XLA_FLAGS": ""}  # optimised, one device
  done = subprocess.run(
    [sys.executable, "-m", "tests.physics.many_pandas"],
    capture_output=True, text=True, env=environment, timeout=240,
  )  # fmt: skip
  assert done.returncode == 0 and done.stdout.split() == ["4096"], done.stderr
