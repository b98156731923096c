"""One skill prior for several tasks: a run takes the pretrained models of another run.

SPiRL (Pertsch et al. 2020), appendix H, trains one prior and learns three goals with it. The models
are copied into the new run's folder, so that it can be resumed, evaluated and exported by itself.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from jaxskills import disk
from jaxskills.config import restore, to_plain
from jaxskills.errors import UserError
from jaxskills.experiments.spirl import stages
from jaxskills.training import checkpoint, loop, storage
from jaxskills.training.workdir import Workdir, read_config

_DECIDED_BY = ("data", "skill_prior", "action_prior")  # and what the prior sees
_ANYWHERE = "data.directory"


def check(config: ConfigDict, workdir: Path) -> None:
  """Looks whether there are models to adopt, before a folder is taken for the run.

  Args:
    config: the experiment's.
    workdir: of the new run, which may have adopted them already.

  Raises:
    UserError: if the run named by `config.prior_from` has no whole models, or if they are not those
      that `config` describes, naming a difference.
  """
  if not _missing(Workdir(workdir.expanduser().resolve())):
    return
  source = _source(config)
  _compare(config, to_plain(restore(read_config(source).get("config"), config, source)))
  loop.load_results(source, stages.make_stages(config, ()))  # whole, or refused


def adopt(config: ConfigDict, folder: Workdir) -> None:
  """Copies the models that `config.prior_from` names, unless whole copies are there already.

  Raises:
    UserError: as `check`, or if the disk fails.
  """
  missing = _missing(folder)
  if missing:
    check(config, folder.path)
  with storage.disk_faults(f"copy the models of {config.prior_from}"):
    for name in missing:
      target = folder.checkpoints / name
      storage.remove_folder(target)
      target.parent.mkdir(parents=True, exist_ok=True)
      copying = target.with_name(f".tmp-{target.name}")
      shutil.rmtree(copying, ignore_errors=True)
      shutil.copytree(Workdir(_source(config)).checkpoints / name, copying)
      copying.rename(target)
      disk.sync_folder(target.parent)


def _source(config: ConfigDict) -> Path:
  return Path(config.prior_from).expanduser().resolve()


def _missing(folder: Workdir) -> list[str]:
  """The stages whose result is not there, or damaged."""
  missing = []
  for name in stages.PRETRAINED:
    try:
      checkpoint.verify(folder.checkpoints / name / "result")
    except checkpoint.Damaged:
      missing.append(name)
  return missing


def _compare(config: ConfigDict, theirs: Mapping[str, Any]) -> None:
  """Refuses models of another description."""
  mine = to_plain(config)
  pairs = {
    f"{group}.{key}": (mine[group][key], theirs[group][key])
    for group in _DECIDED_BY
    for key in mine[group]
  }
  inputs = "actor_inputs"
  pairs[f"networks.{inputs}"] = (mine["networks"][inputs], theirs["networks"][inputs])
  for key, (here, there) in pairs.items():
    if key != _ANYWHERE and here != there:
      raise UserError(
        f"{config.prior_from} has other models: {key} is {there} there and {here} here; "
        f"set --config.{key} alike, or leave prior_from out to pretrain."
      )
