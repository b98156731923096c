"""A workdir belongs to one run and one process at a time."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from ml_collections import ConfigDict

from jaxskills.errors import UserError
from jaxskills.training.workdir import open_workdir, read_config
from tests.training.toy_run import TOY_RUN

RUN = {"experiment": "spirl/maze", "seed": 0, "config": {"alpha": 0.1, "net": {"sizes": [2, 3]}}}


def changed(**config) -> dict:
  """The run with another configuration."""
  return {**RUN, "config": {**RUN["config"], **config}}


def test_the_same_run_may_come_back(tmp_path):
  for _ in range(2):
    with open_workdir(tmp_path / "run", RUN) as workdir:
      assert json.loads(workdir.config.read_text()) == RUN
  assert read_config(tmp_path / "run") == RUN


def test_what_json_makes_of_a_config_is_still_the_same_run(tmp_path):
  config = ConfigDict({"sizes": (2, 3), "rate": 1e-3, "nested": {"flag": True}})
  run = {"config": config, "count": np.int64(3)}
  for _ in range(2):
    with open_workdir(tmp_path, run):
      pass


def test_another_config_is_refused_by_the_keys_that_differ(tmp_path):
  with open_workdir(tmp_path, RUN):
    pass
  other = {**changed(alpha=0.2, extra=None, net={"sizes": [2, 4]}), "seed": 1}
  with pytest.raises(UserError) as caught, open_workdir(tmp_path, other):
    pass
  message = str(caught.value)
  assert "config.alpha is 0.1 there and 0.2 here" in message
  assert "config.extra is absent there and null here" in message
  assert "config.net.sizes is [2, 3] there and [2, 4] here and 1 more" in message
  assert "choose another --workdir" in message and "\n" not in message
  assert read_config(tmp_path) == RUN


def test_a_run_of_another_experiment_is_refused_by_its_name_first(tmp_path):
  with open_workdir(tmp_path, RUN):
    pass
  other = {**changed(alpha=0.2, extra=None), "experiment": "maze"}
  with pytest.raises(UserError, match='run: experiment is .* and "maze" here, config.alpha'):
    with open_workdir(tmp_path, other):
      pass


def test_overwrite_discards_the_run_but_no_other_files(tmp_path):
  with open_workdir(tmp_path, RUN) as workdir:
    (workdir.checkpoints / "rl").mkdir(parents=True)
    workdir.metrics.write_text("{}\n")
    (tmp_path / "notes.txt").write_text("mine")
  with open_workdir(tmp_path, changed(alpha=0.2), overwrite=True) as workdir:
    assert not workdir.checkpoints.exists() and not workdir.metrics.exists()
    assert (tmp_path / "notes.txt").read_text() == "mine"
  assert read_config(tmp_path)["config"]["alpha"] == 0.2


def test_checkpoints_of_nobody_are_refused(tmp_path):
  (tmp_path / "checkpoints").mkdir()
  with (
    pytest.raises(UserError, match="checkpoints but no config.json"),
    open_workdir(tmp_path, RUN),
  ):
    pass


def test_a_damaged_config_is_one_line(tmp_path):
  with open_workdir(tmp_path, RUN) as workdir:
    workdir.config.write_text('{"experi')
  with pytest.raises(UserError, match="config.json is missing or not readable"):
    read_config(tmp_path)


def test_a_second_holder_in_this_process_is_refused(tmp_path):
  with open_workdir(tmp_path, RUN):
    with pytest.raises(UserError, match=f"in use by process {os.getpid()} on"):
      with open_workdir(tmp_path, RUN):
        pass
  with open_workdir(tmp_path, RUN):
    pass


HOLD = """
import sys, time
from jaxskills.training.workdir import open_workdir
with open_workdir(sys.argv[1], {}):
  print("held", flush=True)
  time.sleep(60)
"""


def test_a_second_process_is_refused_until_the_first_is_killed(tmp_path):
  environment = {**os.environ, "PYTHONPATH": str(TOY_RUN.parents[2])}
  command = [sys.executable, "-c", HOLD, str(tmp_path)]
  holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
  assert holder.stdout is not None and holder.stdout.readline() == "held\n"
  with pytest.raises(UserError, match=f"in use by process {holder.pid} on .*; wait until it ends"):
    with open_workdir(tmp_path, {}):
      pass
  holder.kill()
  holder.communicate()
  time.sleep(0.05)
  with open_workdir(tmp_path, {}):
    pass


def test_a_file_in_the_way_is_one_line(tmp_path):
  (tmp_path / "file").write_text("kept")
  with (
    pytest.raises(UserError, match="file cannot be a workdir"),
    open_workdir(tmp_path / "file", {}),
  ):
    pass
  assert (tmp_path / "file").read_text() == "kept"
