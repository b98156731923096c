"""The ONNX models of a policy: what each takes, what each gives.

SPiRL (Pertsch et al. 2020): a high-level policy chooses a skill, a decoder turns it into actions.
A flat policy chooses actions. Either policy gives its Gaussian as well as the decision at its mean,
so that a runtime can also act by samples, as in training.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import onnx

from jaxskills.deploy import layers
from jaxskills.deploy.graph import Graph
from jaxskills.networks.policy import GaussianPolicy
from jaxskills.networks.skill import ClosedLoopDecoder, SkillDecoder

SKILL, ACTION, ACTIONS = "skill", "action", "actions"
MEAN, LOG_STD = "mean", "log_std"


def policy_model(
  module: GaussianPolicy,
  variables: Mapping[str, Any],
  observation: Mapping[str, Any],
  *,
  decision: str,
  limit: float,
  metadata: Mapping[str, str] | None = None,
) -> onnx.ModelProto:
  """The model of a squashed-Gaussian policy.

  Inputs are the modalities that it sees, `[batch, ...]`. Outputs, `[batch, action_size]`: `mean`
  and `log_std` (clamped) of the Gaussian before squashing, and `decision`, which is
  `limit * tanh(mean / limit)`.

  Args:
    module: the network.
    variables: its flax variables.
    observation: shape and dtype of each modality, without batch axes.
    decision: name of the third output: "skill" or "action".
    limit: decisions lie within plus and minus this.
    metadata: text to put in the file.
  """
  graph, weights = Graph("policy"), variables["params"]
  _observe(graph, module.inputs, observation)
  features = layers.encode(
    graph,
    module.inputs,
    observation,
    module.scaling,
    module.image,
    weights.get("encoder", {}),
    "encoder",
  )
  hidden = len(module.hidden)
  features = layers.mlp(graph, features, hidden, module.layer_norm, weights["mlp"], "mlp")
  mean, log_std = layers.gaussian(graph, features, weights["head"], "head")
  chosen = layers.squash(graph, mean, limit)
  for name, value in ((MEAN, mean), (LOG_STD, log_std), (decision, chosen)):
    graph.add_output(name, value, [module.action_size])
  return graph.finish(metadata or {})


def decoder_model(
  module: SkillDecoder | ClosedLoopDecoder,
  variables: Mapping[str, Any],
  skill_size: int,
  observation: Mapping[str, Any],
  *,
  metadata: Mapping[str, str] | None = None,
) -> onnx.ModelProto:
  """The model of a skill decoder.

  Inputs: `skill` `[batch, skill_size]` and the modalities that the decoder reads, if any. Output:
  `actions` `[batch, steps, action_size]`, unclipped; `steps` is the horizon, or 1 for a closed-loop
  decoder, which is to be asked anew, with the same skill, at every control step.

  Args:
    module: the network.
    variables: its flax variables.
    skill_size: dimensions of a skill.
    observation: shape and dtype of each modality, without batch axes.
    metadata: text to put in the file.
  """
  graph, weights = Graph("decoder"), variables["params"]
  skill = graph.add_input(SKILL, "float32", [skill_size])
  _observe(graph, reads(module), observation)
  if isinstance(module, SkillDecoder):
    steps = module.horizon
    actions = layers.unroll(graph, skill, module, observation, weights, "decoder")
  else:
    steps = 1
    actions = _closed_loop(graph, skill, module, observation, weights)
  graph.add_output(ACTIONS, actions, [steps, module.action_size])
  return graph.finish(metadata or {})


def reads(module: SkillDecoder | ClosedLoopDecoder) -> tuple[str, ...]:
  """The modalities that a decoder needs beside the skill."""
  return tuple(module.condition_on if isinstance(module, SkillDecoder) else module.inputs)


def _closed_loop(
  graph: Graph,
  skill: str,
  module: ClosedLoopDecoder,
  observation: Mapping[str, Any],
  weights: Mapping[str, Any],
) -> str:
  """`networks.skill.ClosedLoopDecoder`, as a plan of one action."""
  features = layers.encode(
    graph,
    module.inputs,
    observation,
    module.scaling,
    module.image,
    weights.get("encoder", {}),
    "encoder",
  )
  features = graph.add("Concat", features, skill, axis=1)
  features = layers.mlp(graph, features, len(module.hidden), False, weights["mlp"], "mlp")
  action = layers.dense(graph, features, weights["head"], "head")
  return graph.add("Unsqueeze", action, graph.constant("time_axis", [1]))


def _observe(graph: Graph, inputs: Sequence[str], observation: Mapping[str, Any]) -> None:
  for name in inputs:
    graph.add_input(name, observation[name].dtype, observation[name].shape)
