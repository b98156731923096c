"""Tests of `verification.json`: what it holds, and whom `require` lets through."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from jaxskills.deploy import bundle as bundles
from jaxskills.deploy import verification
from jaxskills.deploy.verification import NAME, Check, require
from jaxskills.errors import UserError

from .conftest import sums_files, sums_manifest

GOOD = Check("parity", True, "2e-7, at most 1e-5", {"difference": 2e-7})
BAD = Check("latency", False, "9 ms, at most 5 ms", {"p99.9": 9.0})


@pytest.fixture
def verified(sums):
  """The bundle of plain sums with a passing verification."""
  verification.write(bundles.read(sums), [GOOD, Check("closed loop", None, "no robot")])
  return sums


def refusal(folder) -> str:
  with pytest.raises(UserError) as caught:
    require(folder)
  message = str(caught.value)
  assert "\n" not in message
  return message


def rewrite(folder, *, sign: bool = False, **changes):
  """Edits the verification, with its hash made anew or not."""
  record = json.loads((folder / NAME).read_text()) | changes
  if sign:
    record.pop("verification_sha256")
    record["verification_sha256"] = bundles.digest(record)
  (folder / NAME).write_text(json.dumps(record))


def other_bundle(folder):
  """A whole bundle that differs in its manifest alone."""
  files = sums_files()
  manifest = {**sums_manifest(files), "seed": 1}
  bundles.write(folder, {**files, bundles.MANIFEST: bundles.encode_manifest(manifest)})
  return folder


def test_a_verified_bundle_is_handed_out_with_its_bytes(verified):
  bundle = require(str(verified))
  assert bundle.path == verified and set(bundle.files) == set(sums_files())


def test_the_record_says_what_was_verified_where_and_when(verified):
  record = verification.read(verified)
  manifest = json.loads((verified / bundles.MANIFEST).read_text())
  assert record["passed"] is True and record["robot"] == "none"
  assert record["manifest_sha256"] == manifest["manifest_sha256"]
  assert record["parts_sha256"] == bundles.digest(manifest["parts"])
  assert record["files"] == {name: entry["sha256"] for name, entry in manifest["files"].items()}
  assert record["checks"][0] == GOOD._asdict() and record["checks"][1]["passed"] is None
  assert record["machine"]["cores"] >= 1 and record["machine"]["cpu"]
  assert record["versions"]["onnxruntime"] and record["time"].endswith("+00:00")


def test_a_bundle_that_nobody_verified_is_refused(sums):
  assert f"is not verified yet; run 'jaxskills verify {sums}' first" in refusal(sums)


def test_one_failed_check_fails_the_bundle_and_is_named(sums):
  assert verification.write(bundles.read(sums), [GOOD, BAD])["passed"] is False
  assert "failed its verification (latency)" in refusal(sums)


def test_a_verification_without_checks_is_not_a_pass(sums):
  verification.write(bundles.read(sums), [])
  assert "nothing was checked" in refusal(sums)


def test_a_failure_replaces_an_older_pass(verified):
  verification.write(bundles.read(verified), [BAD])
  assert "failed its verification" in refusal(verified)


def test_no_older_pass_stays_when_the_disk_refuses_the_new_one(verified, monkeypatch):
  def full(path, content):
    raise OSError(28, "No space left on device")

  bundle = bundles.read(verified)
  monkeypatch.setattr(verification.disk, "write_atomically", full)
  with pytest.raises(UserError, match="no space left"):
    verification.write(bundle, [BAD])
  assert "is not verified yet" in refusal(verified)


@pytest.mark.parametrize("name", ["policy.onnx", "golden.npz"])
def test_one_byte_of_a_file_changed_after_it_is_refused_with_the_files_name(verified, name):
  content = bytearray((verified / name).read_bytes())
  content[len(content) // 2] ^= 1
  (verified / name).write_bytes(content)
  assert f"{name} is damaged or was changed" in refusal(verified)


def test_a_manifest_from_elsewhere_is_refused(verified, tmp_path):
  other = other_bundle(tmp_path / "other")
  shutil.copy(other / bundles.MANIFEST, verified / bundles.MANIFEST)
  assert "is of another bundle" in refusal(verified)


def test_a_verification_from_elsewhere_is_refused(verified, tmp_path):
  other = other_bundle(tmp_path / "other")
  shutil.copy(verified / NAME, other / NAME)
  assert "is of another bundle" in refusal(other)


def test_a_verification_of_other_files_is_refused(verified):
  rewrite(verified, sign=True, files={"policy.onnx": "0" * 64})
  assert "is of another bundle" in refusal(verified)


def test_a_failure_edited_into_a_pass_is_refused(sums):
  verification.write(bundles.read(sums), [BAD])
  rewrite(sums, passed=True)
  assert "was changed after the verification" in refusal(sums)


def test_another_schema_is_refused(verified):
  rewrite(verified, sign=True, schema="jaxskills-verification/0")
  assert "has schema 'jaxskills-verification/0', this version reads" in refusal(verified)


@pytest.mark.parametrize("content", ["", "{", "\xff", '{"schema": '])
def test_what_is_no_json_is_refused(verified, content):
  (verified / NAME).write_bytes(content.encode("latin-1"))
  assert f"{NAME} is damaged" in refusal(verified)


def test_json_that_is_no_record_is_refused(verified):
  (verified / NAME).write_text("[]")
  assert "has schema None" in refusal(verified)


def test_a_key_of_another_type_is_refused(verified):
  rewrite(verified, sign=True, passed="yes")
  assert "key passed is missing or of another type" in refusal(verified)


def test_a_folder_in_its_place_is_refused(sums):
  (sums / NAME).mkdir()
  assert "is not readable" in refusal(sums)


def test_figures_of_numpy_and_infinity_can_be_written(sums):
  figures = {"largest": np.float64(np.inf), "rows": np.int64(3), "p": [np.float32(0.5)]}
  verification.write(bundles.read(sums), [Check("parity", False, "inf", figures)])
  found = verification.read(sums)["checks"][0]["figures"]
  assert found == {"largest": "inf", "rows": 3, "p": [0.5]}


def test_removing_what_is_not_there_is_fine(verified):
  verification.remove(verified)
  verification.remove(verified)
  assert not (verified / NAME).exists()


def test_a_robot_needs_neither_jax_nor_onnx_to_demand_it(verified):
  program = (
    "import sys\n"
    "from jaxskills.deploy.verification import require\n"
    "require(sys.argv[1])\n"
    "loaded = {name.partition('.')[0] for name in sys.modules}\n"
    "print(sorted(loaded & {'jax', 'jaxlib', 'flax', 'onnx', 'onnxruntime'}))\n"
  )
  done = subprocess.run(
    [sys.executable, "-c", program, str(verified)], capture_output=True, text=True, check=True
  )
  assert done.stdout == "[]\n"
