"""A run that learned embeddings, made of numbers: its summary, metrics and recordings."""

import json
from pathlib import Path

import numpy as np

from jaxskills.evaluation import embedding_record, embedding_table, imitation_record
from jaxskills.evaluation.embedding_record import EmbeddingRecord
from jaxskills.evaluation.imitation_record import ImitationRecord

COLUMNS = ("C->C", "AB->C")


def record(column: str = "AB->C", videos: int = 4, times: int = 24) -> EmbeddingRecord:
  """Three successes and a fake of one task; two models, of which "pixels" sees little."""
  rng = np.random.default_rng(0)
  progress = np.linspace(0, 1, times) * np.ones((videos, 1))
  progress[-1] = np.minimum(progress[-1], 0.5)
  frames = np.zeros((videos, times, 2, 8, 8, 3), np.uint8)
  frames[..., 0] = (255 * progress)[:, :, None, None, None]
  frames[:, :, 1, :, :, 2] = 120
  curve = np.stack([progress, progress**2, np.sin(3 * progress)], axis=-1)[:, :, None]
  return EmbeddingRecord(
    column=column,
    tasks=np.array(["C"] * videos),
    views=np.array(["front", "left"]),
    length=np.array([times, times - 5, times, times], np.int32)[:videos],
    is_success=np.arange(videos) < videos - 1,
    seconds_per_frame=1 / 12,
    progress=progress.astype(np.float32),
    frames=frames,
    embeddings={
      "asn": (curve + 0.02 * rng.standard_normal((videos, times, 2, 3))).astype(np.float32),
      "pixels": rng.standard_normal((videos, times, 2, 5)).astype(np.float32),
    },
  )


def scores(level: float, seed: int, videos: int = 8) -> dict[str, np.ndarray]:
  """Scores of one seed around a level of error."""
  rng = np.random.default_rng(seed)
  errors = level + 0.01 * rng.standard_normal(videos)
  return {
    "alignment": errors,
    "across_by_video": errors[:4],
    "kendalls_tau": 1 - 2 * errors[:4],
    "phase_error": errors[:1],
    "reward_progress": 1 - errors[:4],
  }


def figures() -> dict:
  """`metrics` of a summary: ASN and TCN alike, pixels and blind rows worse."""
  made: dict = {"titles": {"asn": "ASN", "tcn_lifted": "TCN (lifted)"}}
  for column in COLUMNS:
    asn, tcn = (
      [scores(level, seed + at) for seed in range(5)] for at, level in ((0, 0.1), (9, 0.1))
    )
    embedding_table.add(made, "asn", column, asn)
    embedding_table.add(made, "tcn_lifted", column, tcn)
    embedding_table.add(made, "pixels", column, [scores(0.28, 50)])
    embedding_table.add(made, "chance", column, [{"alignment": np.full(8, 1 / 3)}])
    embedding_table.add(made, "middle", column, [{"alignment": np.full(8, 0.25)}])
    found = embedding_table.difference(asn, tcn, "alignment")
    made.setdefault("differences", {}).setdefault("asn-tcn_lifted", {})[column] = found
  return made


def write_run(folder: Path) -> Path:
  """Writes all that a finished run leaves."""
  data = folder / "report" / "data"
  embedding_record.save(data, record())
  frames = record().frames[0, :, 0]
  imitation_record.save(
    data, "C", ImitationRecord("ASN", 1 / 12, frames, frames[:20], np.linspace(-1, 0, 20), True)
  )
  rows = [
    {
      "stage": f"embed/{model}_AB_seed{seed}", "chunk": updates // 50, "env_steps": 0,
      "updates": updates, "wall_seconds": 1.0, "positive_distance": 1.0 / updates + seed,
      **({"conditional_entropy": 0.6} if model == "asn" else {}),
    }
    for model in ("asn", "tcn_lifted")
    for seed in range(2)
    for updates in (50, 100)
  ]  # fmt: skip
  (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
  told = {"experiment": "asn/blocks", "preset": "quick", "seed": 0}
  (folder / "config.json").write_text(json.dumps(told))
  summary = {**told, "metrics": figures(), "wall_seconds": 60.0, "device": "cpu"}
  (folder / "summary.json").write_text(json.dumps(summary))
  return folder
