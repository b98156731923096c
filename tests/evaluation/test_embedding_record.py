"""Recordings of embeddings and imitations come back as saved, and damaged ones are refused."""

import numpy as np
import pytest

from jaxskills.errors import UserError
from jaxskills.evaluation import (
  embedded_videos,
  embedding_record,
  imitation_record,
  video_baselines,
)
from jaxskills.evaluation.imitation_record import ImitationRecord
from tests.evaluation import fake_embeddings, fake_videos


def test_a_record_comes_back_as_saved_under_the_name_of_its_column(tmp_path):
  saved = fake_embeddings.record("AB->C")
  path = embedding_record.save(tmp_path / "data", saved)
  assert path.name == "videos_AB_to_C.npz" and embedding_record.find(tmp_path / "data") == [path]
  found = embedding_record.load(path)
  assert (found.column, found.seconds_per_frame) == ("AB->C", pytest.approx(1 / 12))
  for name in ("tasks", "views", "length", "is_success", "progress", "frames"):
    np.testing.assert_array_equal(getattr(found, name), getattr(saved, name))
  assert list(found.embeddings) == ["asn", "pixels"]
  np.testing.assert_array_equal(found.of("asn", 1), saved.embeddings["asn"][1, :19])


def test_a_record_is_made_from_a_store_and_what_models_made_of_it(tmp_path):
  store = fake_videos.store(tmp_path / "store")
  videos, views = [6, 1], [1, 0]
  embedded = embedded_videos.embed_videos(
    lambda frames: video_baselines.pixels(frames, 2), store, videos, views
  )
  record = embedding_record.make_record("A->A", store, videos, views, {"pixels": embedded})
  assert list(record.views) == ["left", "front"] and list(record.is_success) == [False, True]
  for row, video in enumerate(videos):
    frames = store.frames[store.rows_of(video)][:, [1, 0]]
    np.testing.assert_array_equal(record.frames[row, : len(frames)], frames)
    assert not record.frames[row, len(frames) :].any()
    np.testing.assert_array_equal(record.of("pixels", row), embedded[row].embeddings)
    progress = store.labels["progress"][store.rows_of(video)]
    np.testing.assert_array_equal(record.progress[row, : len(progress)], progress)
  with pytest.raises(ValueError, match="pixels has embeddings of other videos"):
    embedding_record.make_record("A->A", store, [6, 2], views, {"pixels": embedded})


@pytest.mark.parametrize(
  ("field", "value", "reason"),
  [
    ("frames", np.zeros((4, 24, 2, 8, 8, 3), np.float32), "frames has shape"),
    ("length", np.array([24, 24, 24, 25]), "a length of 25 for 24 frames"),
    ("length", np.array([24, 24, 24]), r"length has shape \[3\], not \[4\]"),
    ("progress", np.zeros((4, 23)), r"progress has shape \[4, 23\], not \[4, 24\]"),
    ("seconds_per_frame", 0.0, "seconds_per_frame is no positive number"),
    ("embeddings", {"asn": np.zeros((4, 24, 3, 3))}, r"asn has shape"),
    ("embeddings", {"asn": np.full((4, 24, 2, 3), np.nan)}, "asn is not all finite"),
  ],
)
def test_arrays_that_do_not_fit_together_are_refused_by_name(tmp_path, field, value, reason):
  path = embedding_record.save(tmp_path, fake_embeddings.record()._replace(**{field: value}))
  with pytest.raises(UserError, match=reason):
    embedding_record.load(path)


def test_a_truncated_record_and_one_that_lacks_a_model_are_refused(tmp_path):
  path = embedding_record.save(tmp_path, fake_embeddings.record())
  with np.load(path) as archive:
    fields = {name: archive[name] for name in archive.files if name != "embeddings_asn"}
  path.write_bytes(path.read_bytes()[:-40])
  with pytest.raises(UserError, match="is damaged"):
    embedding_record.load(path)
  np.savez(path, **fields)
  with pytest.raises(UserError, match="lacks embeddings_asn"):
    embedding_record.load(path)


def imitation(**fields) -> ImitationRecord:
  frames = np.zeros((5, 8, 8, 3), np.uint8)
  record = ImitationRecord("ASN", 0.1, frames, frames[:3], np.arange(3.0), True)
  return record._replace(**fields)


def test_an_imitation_comes_back_as_saved(tmp_path):
  path = imitation_record.save(tmp_path, "seed0", imitation())
  assert imitation_record.find(tmp_path) == [path]
  found = imitation_record.load(path)
  assert (found.title, found.seconds_per_frame, found.is_success) == ("ASN", 0.1, True)
  np.testing.assert_array_equal(found.reward, np.arange(3.0))
  assert found.demonstration.shape == (5, 8, 8, 3)


@pytest.mark.parametrize(
  ("fields", "reason"),
  [
    ({"reward": np.zeros(4)}, "3 frames"),
    ({"rollout": np.zeros((3, 9, 8, 3), np.uint8)}, "two sizes"),
    ({"demonstration": np.zeros((0, 8, 8, 3), np.uint8)}, "demonstration has shape"),
  ],
)
def test_an_imitation_that_does_not_fit_is_refused(tmp_path, fields, reason):
  path = imitation_record.save(tmp_path, "x", imitation(**fields))
  with pytest.raises(UserError, match=reason):
    imitation_record.load(path)
