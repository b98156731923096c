"""Tests of `jaxskills verify`: its table, its last line and its exit codes."""

import pytest

from jaxskills.cli.main import main
from jaxskills.deploy import verify
from jaxskills.deploy.verification import Check

PASSED = Check("parity numpy", True, "off by 1e-7")
FAILED = Check("latency c", False, "p99.9 9,000 us")
ABSENT = Check("closed loop", None, "no robot")


@pytest.fixture
def checks(monkeypatch):
  """What verifying finds; change it."""
  found = [PASSED, ABSENT]

  def run(path, show):
    for check in found:
      show(check)
    return {"checks": [check._asdict() for check in found]}

  monkeypatch.setattr(verify, "verify", run)
  return found


def test_every_check_has_a_line_and_success_ends_with_zero(checks, capsys):
  assert main(["verify", "bundles/h1"]) == 0
  lines = capsys.readouterr().out.splitlines()
  assert [line.split(maxsplit=1)[0] for line in lines] == ["pass", "-", "verified"]
  assert lines[0].endswith("off by 1e-7") and "parity numpy" in lines[0]
  assert lines[2] == "verified bundles/h1"


def test_a_failure_is_printed_with_the_others_and_ends_with_two_and_one_line(checks, capsys):
  checks += [FAILED, FAILED._replace(name="parity c")]
  assert main(["verify", "bundles/h1"]) == 2
  said = capsys.readouterr()
  assert "FAIL  latency c" in said.out and "pass  parity numpy" in said.out
  assert "verified" not in said.out
  assert said.err == (
    "jaxskills: bundles/h1 failed: latency c, parity c; no controller will take it.\n"
  )


def test_what_is_no_bundle_is_one_line(tmp_path, capsys):
  assert main(["verify", str(tmp_path)]) == 2
  assert "holds no bundle" in capsys.readouterr().err


def test_a_missing_package_names_the_extra_that_brings_it(monkeypatch, capsys):
  def run(path, show):
    raise ModuleNotFoundError("No module named 'onnx'", name="onnx")

  monkeypatch.setattr(verify, "verify", run)
  assert main(["verify", "bundles/h1"]) == 2
  assert "package onnx is missing; run: pip install 'jaxskills[export]'" in capsys.readouterr().err
