"""Writes run folders as a finished SPiRL run leaves them, small and made up."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from jaxskills.evaluation import coverage, recordings

METHODS = ("spirl", "sac", "flat_prior")
FINAL_STEPS = 20_000


def walls() -> np.ndarray:
  """A 9x9 room behind a border, with a wall that has a door."""
  layout = np.zeros((11, 11), bool)
  layout[[0, -1]] = layout[:, [0, -1]] = True
  layout[5, 1:9] = True
  return layout


def walks(episodes: int, time: int, seed: int = 0) -> np.ndarray:
  """Random walks from (2.5, 2.5) in the upper half of the room, `[episodes, time, 2]`."""
  steps = np.random.default_rng(seed).normal(0, 0.05, (episodes, time, 2))
  return np.clip(2.5 + np.cumsum(steps, axis=1), [1.1, 1.1], [4.9, 9.9])


def path_to_goal(time: int = 300) -> np.ndarray:
  """States `[time, 4]` along two straight legs from (2.5, 2.5) to (8.5, 9.5)."""
  corner, share = np.array([2.5, 9.5]), np.linspace(0, 2, time)[:, None]
  first = np.array([2.5, 2.5]) + np.clip(share, 0, 1) * (corner - [2.5, 2.5])
  positions = first + np.clip(share - 1, 0, 1) * (np.array([8.5, 9.5]) - corner)
  return np.concatenate([positions, np.gradient(positions, 0.01, axis=0)], axis=1)


def rows(seeds: int = 1) -> list[dict[str, Any]]:
  """What `metrics.jsonl` holds; with several seeds, figures are lists."""

  def figure(value: float) -> Any:
    return value if seeds == 1 else [value + 0.01 * seed for seed in range(seeds)]

  lines: list[dict[str, Any]] = [
    {
      "stage": "pretrain/skill_prior",
      "env_steps": 0,
      "updates": 100 * i,
      "wall_seconds": i,
      "reconstruction": 8.0 / (i + 1),
      "prior": 3.0,
      "regularization": 9.0,
    }
    for i in range(6)
  ]
  for name in METHODS:
    for i in range(5):
      share = i / 4
      lines.append(
        {
          "stage": f"rl/{name}",
          "env_steps": int(share * FINAL_STEPS),
          "updates": 50 * i,
          "wall_seconds": 10.0 * i,
          "eval/success_rate": figure(0.9 * share * (name == "spirl")),
          "eval/success_rate_deterministic": figure(0.8 * share * (name == "spirl")),
          "eval/episodes": 100.0,
          "episode/success_rate": figure(0.5 * share),
          "divergence": figure(1.0 + 1.0 / (i + 1)),
          "target_divergence": figure(1.0),
          "alpha": figure(0.1 + 0.5 / (i + 1)),
        }
      )
  return lines


def summary() -> dict[str, Any]:
  """A `summary.json` with SPiRL at .97 and its two baselines near nothing."""
  inputs = {"actor": ["view"], "critic": ["state"]}
  return {
    "experiment": "spirl/maze",
    "preset": "quick",
    "seed": 0,
    "metrics": {
      "success_rate": 0.97,
      "success_rate_ci": [0.94, 0.99],
      "episodes": 256,
      "inputs": inputs,
      "coverage": coverage.prior_check(walks(6, 301), walls(), 10, walks(6, 101, seed=9)),
      "task": {
        "layout": "fake 9x9",
        "start": [2, 2],
        "goal": [8, 9],
        "shortest_path_cells": 13,
        "episode_steps": 300,
      },
      "baselines": {
        "sac": {"success_rate": 0.0, "success_rate_ci": [0.0, 0.02], "inputs": inputs},
        "flat_prior": {"success_rate": 0.02, "success_rate_ci": [0.0, 0.05], "inputs": inputs},
      },
    },
    "env_steps": FINAL_STEPS,
    "updates": 200,
    "wall_seconds": 61.0,
    "steps_per_second": 2800.0,
    "compile_seconds": 12.0,
    "device": "cpu",
    "versions": {"jax": "0.0"},
    "git": "abc",
    "parameters_sha256": "00ff",
  }


def write_run(folder: Path, seeds: int = 1, seed: int = 0) -> Path:
  """Writes a whole run folder."""
  data = folder / "report" / "data"
  data.mkdir(parents=True)
  write_rows(folder, rows(seeds))
  run = {"experiment": "spirl/maze", "preset": "quick", "seed": seed, "config": {"seed": seed}}
  (folder / "config.json").write_text(json.dumps(run))
  (folder / "summary.json").write_text(json.dumps({**summary(), "seed": seed}))
  start, goal = np.array([2, 2]), np.array([8, 9])
  positions = {
    name: walks(6, 301, seed=index)
    for index, name in enumerate(
      ("skill_prior", "action_prior", "uniform_skills", "random_actions")
    )
  }
  recordings.save_exploration(
    data,
    recordings.Exploration(walls(), start, goal, positions, demonstrations=walks(6, 101, seed=9)),
  )
  recordings.save_rollout(data, recordings.Rollout(path_to_goal(), walls(), start, goal))
  return folder


def write_rows(folder: Path, lines: list[dict[str, Any]]) -> None:
  """Writes `metrics.jsonl`."""
  folder.mkdir(parents=True, exist_ok=True)
  (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
