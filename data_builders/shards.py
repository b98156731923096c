"""Data sets on disk: resumable ArrayRecord shards with checksums, which TFDS can read.

A data set is cut into shards that can each be made alone from the recipe, so that an interrupted
build goes on with the first missing shard and a damaged one is rebuilt by itself. (TFDS' own
builders write into a temporary folder that an interruption throws away, hence this module.) Every
shard is written beside its place and renamed into it. TensorFlow is needed for none of it.
"""

import importlib.metadata
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow_datasets as tfds
from array_record.python.array_record_module import ArrayRecordWriter
from tensorflow_datasets.core import example_serializer, naming

from jaxskills import disk
from jaxskills.data_builders import manifest
from jaxskills.data_builders.manifest import MANIFEST, UNFINISHED, Manifest
from jaxskills.errors import UserError

SPLIT = "train"
_VERSIONED = (
  "jax", "jaxlib", "numpy", "mujoco", "mink", "array-record", "tensorflow-datasets"
)  # fmt: skip

Example = Mapping[str, Any]
Progress = Callable[[int, int], None]
"""Called as `progress(records so far, records in all)`: first with what an earlier build has left
undamaged, then once a record that is made."""


class Dataset(NamedTuple):
  """What to build: a recipe, and a pure function from the number of a shard to its records."""

  name: str
  preset: str
  version: str
  description: str
  citation: str
  recipe: dict[str, Any]
  """All that decides the bytes, as JSON would give it back: another recipe's folder is refused."""
  features: Callable[[], tfds.features.FeaturesDict]
  shard_records: tuple[int, ...]
  """How many records each shard holds."""
  examples: Callable[[int], Iterator[Example]]
  """The records of one shard, in order; the same at every call."""

  @property
  def title(self) -> str:
    """The name that the command line takes, `name:preset`."""
    return f"{self.name}:{self.preset}"


def build(dataset: Dataset, directory: Path, progress: Progress | None = None) -> Manifest:
  """Builds what is missing of a data set; returns at once if nothing is.

  Another process that builds the same folder is waited for, after which nothing is missing.

  Args:
    dataset: what to build.
    directory: the data set's own folder, made if need be.
    progress: told what is there, and then about every record.

  Raises:
    UserError: if the folder holds something else, or cannot be written to.
  """
  try:
    directory.mkdir(parents=True, exist_ok=True)
    with disk.alone_in(directory):
      return _build(dataset, directory, progress or (lambda done, total: None))
  except OSError as error:
    reason = error.strerror or str(error)
    raise UserError(
      f"cannot write {dataset.title} to {directory} ({reason}); make room or choose another"
      " folder, then run the same command again: finished shards are kept."
    ) from error


def read_records(directory: Path) -> Sequence[dict[str, Any]]:
  """Random access to the decoded records of a verified folder."""
  builder: Any = tfds.builder_from_directory(directory)
  return builder.as_data_source(split=SPLIT)


def _build(dataset: Dataset, directory: Path, progress: Progress) -> Manifest:
  """`build`, with the errors of the operating system as they come."""
  held = _held(dataset, directory)
  shards, total = len(dataset.shard_records), sum(dataset.shard_records)
  template = naming.ShardedFileTemplate(
    data_dir=tfds.core.Path(directory),
    dataset_name=dataset.name,
    split=SPLIT,
    filetype_suffix="array_record",
    template=naming.DEFAULT_FILENAME_TEMPLATE,
  )
  paths = [
    Path(template.sharded_filepath(shard_index=number, num_shards=shards))
    for number in range(shards)
  ]
  damaged = {
    name
    for name in {*(path.name for path in paths), *held.files}
    if name not in held.files or manifest.find_damage(directory / name, held.files[name])
  }
  if not damaged and (directory / MANIFEST).exists():
    progress(total, total)
    return held
  missing = [number for number, path in enumerate(paths) if path.name in damaged]
  done = total - sum(dataset.shard_records[number] for number in missing)
  progress(done, total)
  for number in missing:
    path, records = paths[number], dataset.shard_records[number]
    if (directory / MANIFEST).exists():  # from here on the folder is not complete
      os.replace(directory / MANIFEST, directory / UNFINISHED)
    _write_shard(dataset, number, path, lambda count, done=done: progress(done + count, total))
    held.files[path.name] = manifest.describe_file(path, records)
    manifest.write_manifest(held, directory / UNFINISHED)
    done += records

  held = held._replace(versions={name: importlib.metadata.version(name) for name in _VERSIONED})
  _write_metadata(dataset, held, directory, template)
  manifest.write_manifest(held, directory / MANIFEST)
  (directory / UNFINISHED).unlink(missing_ok=True)
  return held


def _held(dataset: Dataset, directory: Path) -> Manifest:
  """What an earlier build has left, if it was of the same recipe."""
  recipe = json.loads(json.dumps(dataset.recipe))
  for name in (MANIFEST, UNFINISHED):
    if not (directory / name).exists():
      continue
    found = manifest.read_manifest(directory, name)
    if found.title == dataset.title and found.recipe == recipe:
      return found
    keys = sorted(set(found.recipe) | set(recipe))
    differing = [key for key in keys if found.recipe.get(key) != recipe.get(key)]
    raise UserError(
      f"{directory} holds {found.title} of another recipe, not this {dataset.title} (they differ"
      f" in {', '.join(differing) or 'name'}); choose another folder or delete that one."
    )
  return Manifest(dataset.title, recipe, {}, {})


def _write_shard(
  dataset: Dataset, number: int, path: Path, progress: Callable[[int], None]
) -> None:
  """Makes one shard beside its place and moves it there when it is whole."""
  features = dataset.features()
  specs: Any = features.get_serialized_info()
  serializer = example_serializer.ExampleSerializer(specs)
  temporary = path.with_name(f"{manifest.TEMPORARY}{path.name}")
  count, expected = 0, dataset.shard_records[number]
  try:
    temporary.touch()
    writer = ArrayRecordWriter(str(temporary), "group_size:1")
    try:
      for count, example in enumerate(dataset.examples(number), start=1):
        record = serializer.get_tf_example(features.encode_example(dict(example)))
        # TFDS' own serialisation orders a record's fields by chance: its hash could not be checked.
        _to_disk(writer.write, record.SerializeToString(deterministic=True))
        progress(count)
    finally:
      _to_disk(writer.close)
    if count != expected:
      raise RuntimeError(f"shard {number} of {dataset.title} got {count} records, not {expected}")
    os.replace(temporary, path)
  finally:
    temporary.unlink(missing_ok=True)


def _to_disk(write: Callable[..., Any], *record: bytes) -> None:
  """Calls ArrayRecord, whose runtime errors are those of the disk."""
  try:
    write(*record)
  except RuntimeError as error:
    raise OSError(str(error)) from error


def _write_metadata(
  dataset: Dataset, held: Manifest, directory: Path, template: naming.ShardedFileTemplate
) -> None:
  """Writes the files by which TFDS knows the data set, and notes them in the manifest."""
  shards = held.shards.values()
  split = tfds.core.SplitInfo(
    name=SPLIT,
    shard_lengths=[file.records for file in shards],
    num_bytes=sum(file.size for file in shards),
    filename_template=template,
  )
  tfds.folder_dataset.write_metadata(
    data_dir=directory,
    features=dataset.features(),
    split_infos=[split],
    version=dataset.version,
    check_data=False,
    description=dataset.description,
    citation=dataset.citation,
  )
  for name in ("dataset_info.json", "features.json"):
    held.files[name] = manifest.describe_file(directory / name)
