"""One skill prior for several tasks: a run takes the pretrained models of another run.

SPiRL (Pertsch et al. 2020), appendix H, trains one prior and learns three goals with it. The models
are copied into the new run's folder, so that it can be resumed, evaluated and exported by itself.
"""

import shutil
from pathlib import Path

from ml_collections import ConfigDict

from jaxskills.config import to_plain
from jaxskills.errors import UserError
from jaxskills.experiments.spirl import stages
from jaxskills.training import loop, storage
from jaxskills.training.workdir import Workdir, read_config

_DECIDED_BY = ("data", "skill_prior", "action_prior")  # and what the prior sees


def adopt(config: ConfigDict, folder: Workdir) -> None:
  """Copies the models that `config.prior_from` names, unless they are there already.

  Args:
    config: the experiment's.
    folder: of the new run.

  Raises:
    UserError: if that run has no whole models, or if they are not those that `config` describes,
      naming a difference.
  """
  source = Path(config.prior_from).expanduser().resolve()
  wanted = [name for name in stages.PRETRAINED if not (folder.checkpoints / name).exists()]
  if not wanted:
    return
  _compare(config, read_config(source)["config"])
  loop.load_results(source, stages.make_stages(config, ()))  # whole, or refused
  with storage.disk_faults(f"copy the models of {config.prior_from}"):
    for name in wanted:
      target = folder.checkpoints / name
      target.parent.mkdir(parents=True, exist_ok=True)
      copying = target.with_name(f".tmp-{target.name}")
      shutil.rmtree(copying, ignore_errors=True)
      shutil.copytree(Workdir(source).checkpoints / name, copying)
      copying.rename(target)


def _compare(config: ConfigDict, other: dict) -> None:
  """Refuses models of another description."""
  here = to_plain(config)
  pairs = {
    f"{group}.{key}": (here[group][key], other.get(group, {}).get(key))
    for group in _DECIDED_BY
    for key in here[group]
  }
  inputs = "networks.actor_inputs"
  pairs[inputs] = (here["networks"]["actor_inputs"], other["networks"]["actor_inputs"])
  for key, (mine, theirs) in pairs.items():
    if key != "data.directory" and mine != theirs:
      raise UserError(
        f"{config.prior_from} has other models: {key} is {theirs} there and {mine} here; "
        f"set --config.{key} alike, or leave prior_from out to pretrain."
      )
