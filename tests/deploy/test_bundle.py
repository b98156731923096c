"""Tests that a bundle is whole or refused."""

import json

import pytest

from jaxskills.deploy import bundle
from jaxskills.errors import UserError
from tests.deploy.conftest import sums_files, sums_manifest


def test_a_bundle_comes_back_as_it_was_written(sums):
  files = sums_files()
  read = bundle.read(sums)
  assert read.files == files
  assert read.manifest == sums_manifest(files)


@pytest.mark.parametrize("name", ["policy.onnx", "decoder.onnx", "golden.npz"])
@pytest.mark.parametrize("change", ["one bit", "shorter", "gone", "a link"])
def test_a_changed_file_is_refused_by_name(sums, name, change):
  place = sums / name
  content = bytearray(place.read_bytes())
  content[len(content) // 2] ^= 1
  place.unlink()
  if change == "a link":
    (sums.parent / "elsewhere").write_bytes(sums_files()[name])
    place.symlink_to(sums.parent / "elsewhere")
  elif change != "gone":
    place.write_bytes(bytes(content) if change == "one bit" else bytes(content[:-1]))
  with pytest.raises(UserError, match=name):
    bundle.read(sums)


def test_an_edited_contract_is_refused(sums):
  place = sums / "manifest.json"
  manifest = json.loads(place.read_text())
  manifest["action"]["high"] = [9.0, 9.0]
  place.write_text(json.dumps(manifest))
  with pytest.raises(UserError, match="manifest.json was changed after the export"):
    bundle.read(sums)


def test_another_layout_of_the_same_manifest_is_not_an_edit(sums):
  place = sums / "manifest.json"
  place.write_text(json.dumps(json.loads(place.read_text()), sort_keys=True))
  assert bundle.read(sums).manifest["experiment"] == "sums"


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "a/b", "..", "manifest.json"])
def test_only_files_beside_the_manifest_are_read(tmp_path, sums, name):
  files = sums_files()
  manifest = sums_manifest(files)
  manifest["files"][name] = manifest["files"]["policy.onnx"]
  (tmp_path / "secret").write_bytes(files["policy.onnx"])
  (sums / "manifest.json").write_bytes(bundle.encode_manifest(manifest))
  with pytest.raises(UserError, match="is not a file beside it"):
    bundle.read(sums)


def test_another_schema_is_refused(sums):
  (sums / "manifest.json").write_text(json.dumps({"schema": "jaxskills-bundle/1"}))
  with pytest.raises(UserError, match="has schema 'jaxskills-bundle/1', this version reads"):
    bundle.read(sums)


@pytest.mark.parametrize("content", [None, "", "[]", "{"])
def test_a_folder_without_a_manifest_is_no_bundle(tmp_path, content):
  if content is not None:
    (tmp_path / "manifest.json").write_text(content)
  with pytest.raises(UserError, match="holds no bundle|has schema None"):
    bundle.read(tmp_path)


@pytest.mark.parametrize("key", bundle.REQUIRED)
def test_every_key_of_the_schema_is_required_and_typed(key):
  files = sums_files()
  manifest = sums_manifest(files)
  with pytest.raises(ValueError, match=f"key {key} is"):
    bundle.encode_manifest({**manifest, key: 0.5})
  del manifest[key]
  with pytest.raises(ValueError, match=f"key {key} is missing"):
    bundle.encode_manifest(manifest)


def test_a_key_that_the_schema_does_not_have_is_refused():
  with pytest.raises(ValueError, match="key gains is not in schema"):
    bundle.encode_manifest({**sums_manifest(sums_files()), "gains": {}})


def test_a_graph_without_a_hash_is_refused():
  manifest = sums_manifest(sums_files())
  del manifest["files"]["decoder.onnx"]
  with pytest.raises(ValueError, match="file decoder.onnx has no sha256"):
    bundle.encode_manifest(manifest)


def test_nothing_is_overwritten(sums):
  before = {path.name: path.read_bytes() for path in sums.iterdir()}
  with pytest.raises(UserError, match="exists and is not an empty folder"):
    bundle.write(sums, {"policy.onnx": b""})
  assert {path.name: path.read_bytes() for path in sums.iterdir()} == before


def test_an_empty_folder_may_be_there(tmp_path):
  files = sums_files()
  content = bundle.encode_manifest(sums_manifest(files))
  (tmp_path / "out").mkdir()
  bundle.write(tmp_path / "out", {**files, "manifest.json": content})
  assert bundle.read(tmp_path / "out").files == files


def test_what_cannot_be_written_whole_leaves_nothing(tmp_path):
  files = sums_files()
  content = bundle.encode_manifest(sums_manifest(files))
  with pytest.raises(UserError, match="decoder.onnx is missing"):
    bundle.write(tmp_path / "out", {"manifest.json": content})
  assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_one_line(tmp_path):
  (tmp_path / "file").write_text("")
  with pytest.raises(UserError, match="cannot write .*; choose another --out"):
    bundle.write(tmp_path / "file" / "out", {})
