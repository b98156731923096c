"""A `Network` as TorchScript, for robot scripts that read `policy.pt`; only if torch is installed.

What a script calls is what policies exported by `unitree_rl_gym` answer: `policy(observation)` with
`[batch, observation]` gives `[batch, action]`, unclipped. A recurrent policy keeps its state in the
buffer `state`, begins anew whenever the batch's size changes, and at `policy.reset_memory()`.
"""

import importlib.util
import warnings
from io import BytesIO

from jaxskills.deploy.network import Network, check

NAME = "policy.pt"


def write(network: Network) -> bytes | None:
  """The file of a network, or None without torch.

  Args:
    network: from `network.describe_actor`, or put together by hand.

  Raises:
    UserError: if a weight is not finite.
    ValueError: if the layers do not fit one another.
  """
  check(network)
  if importlib.util.find_spec("torch") is None:
    return None
  import torch  # pyright: ignore[reportMissingImports]

  from jaxskills.deploy import network_torch_modules as modules

  content = BytesIO()
  with warnings.catch_warnings():
    # PyTorch advises against TorchScript; it is what those scripts read.
    warnings.simplefilter("ignore", DeprecationWarning)
    torch.jit.save(torch.jit.script(modules.module_of(network)), content)
  return content.getvalue()
