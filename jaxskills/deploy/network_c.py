"""A `Network` as dependency-free C99: `policy.h` and `policy.c`.

One function, no allocation, nothing that can change but its arguments: it may run in several
threads, and uses a few kilobytes of stack. `network_c_functions` says what the layers compute.
"""

from collections.abc import Iterator

import numpy as np

from jaxskills.deploy.network import (
  Activation,
  Affine,
  GruCell,
  LayerNorm,
  LstmCell,
  Network,
  Standardize,
  check,
  steps,
)
from jaxskills.deploy.network_c_functions import functions

HEADER, SOURCE = "policy.h", "policy.c"
_NUMBERS_A_LINE = 8

_HEADER = """\
/* The deterministic policy of a jaxskills bundle; see policy.c and manifest.json. */
#ifndef JAXSKILLS_POLICY_H
#define JAXSKILLS_POLICY_H

#define POLICY_OBSERVATION {observation}
#define POLICY_ACTION {action}
#define POLICY_STATE {state}

#ifdef __cplusplus
extern "C" {{
#endif

/* One step of the policy: the mean action after an observation.
 *
 * observation: POLICY_OBSERVATION numbers, scaled and ordered as in the manifest, not normalised.
 * action: POLICY_ACTION numbers, not clipped; all NaN if one of the observation is.{more}
 */
void policy_step({arguments});

#ifdef __cplusplus
}}
#endif

#endif
"""
_OPENING = """\
/* The network of policy.h; its kernels lie in rows, [inputs][outputs]. It is fast when compiled for
 * the processor that runs it, with -O3 -march=native; -ffast-math would hide NaN. */
#include "policy.h"
"""
_STATE_COMMENT = """
 * state_in: POLICY_STATE numbers, what the last step wrote to state_out; zeros at the start.
 * state_out: POLICY_STATE numbers; it may be the same array as state_in."""
_ARGUMENTS = "const float *observation, float *action"
_RECURRENT_ARGUMENTS = (
  "const float *observation, const float *state_in, float *action, float *state_out"
)


def write(network: Network) -> dict[str, bytes]:
  """The two files of a network, by their names.

  Args:
    network: from `network.describe_actor`, or put together by hand.

  Raises:
    UserError: if a weight is not finite.
    ValueError: if the layers do not fit one another.
  """
  check(network)
  is_recurrent = network.state_size > 0
  arguments = _RECURRENT_ARGUMENTS if is_recurrent else _ARGUMENTS
  header = _HEADER.format(
    observation=network.observation_size,
    action=network.action_size,
    state=network.state_size,
    more=_STATE_COMMENT if is_recurrent else "",
    arguments=arguments,
  )
  norms = any(isinstance(layer, LayerNorm) for layer in network.layers)
  parts = [
    _OPENING,
    *(["#include <math.h>\n"] if norms else []),
    *functions(network),
    *_constants(network),
    f"void policy_step({arguments}) {{\n{_body(network)}}}\n",
  ]
  return {HEADER: header.encode(), SOURCE: "\n".join(parts).encode()}


def _constants(network: Network) -> Iterator[str]:
  for index, layer in enumerate(network.layers):
    weights = {k: v for k, v in layer._asdict().items() if isinstance(v, np.ndarray)}
    if isinstance(layer, GruCell):  # a bias for all gates of the state, of which two have none
      none = np.zeros(2 * layer.width, np.float32)
      weights["recurrent_bias"] = np.concatenate([none, weights.pop("candidate_bias")])
    for name, value in weights.items():
      yield _array(f"layer_{index}_{name}", value)


def _array(name: str, value: np.ndarray) -> str:
  numbers = [_number(entry) for entry in value.reshape(-1).tolist()]
  lines = [
    "  " + ", ".join(numbers[begin : begin + _NUMBERS_A_LINE])
    for begin in range(0, len(numbers), _NUMBERS_A_LINE)
  ]
  return f"static const float {name}[{len(numbers)}] = {{\n" + ",\n".join(lines) + "\n};\n"


def _number(value: float) -> str:
  """Nine significant digits, from which every float32 is read back to the bit."""
  return f"{value:.8e}f"


def _body(network: Network) -> str:
  """The statements of `policy_step`; `now` holds what the next layer takes."""
  widest = max([network.observation_size, *(outputs for _, _, outputs in steps(network))])
  cells = [layer for layer in network.layers if isinstance(layer, LstmCell | GruCell)]
  gates = max(((4 if isinstance(cell, LstmCell) else 6) * cell.width for cell in cells), default=0)
  in_place = Standardize | Activation | LayerNorm
  has_next = not all(isinstance(layer, in_place) for layer in network.layers)
  lines = [f"float now[{widest}]{f', next[{widest}]' if has_next else ''};"]
  if gates:
    lines.append(f"float gates[{gates}];")
  lines.append(f"copy(observation, {network.observation_size}, now);")
  now, then, begin = "now", "next", 0
  for index, (layer, inputs, outputs) in enumerate(steps(network)):
    name = f"layer_{index}"
    if isinstance(layer, Affine):
      lines.append(f"affine({name}_kernel, {name}_bias, {inputs}, {outputs}, {now}, {then});")
    elif isinstance(layer, LstmCell | GruCell):
      kind, more = (
        ("lstm", "") if isinstance(layer, LstmCell) else ("gru", f"{name}_recurrent_bias, ")
      )
      lines.append(
        f"{kind}({name}_kernel, {name}_recurrent, {name}_bias, {more}{inputs}, {outputs},\n"
        f"       state_in + {begin}, {now}, gates, state_out + {begin}, {then});"
      )
      begin += layer.state_size
    else:
      lines.append(_in_place(layer, name, outputs, now))
      continue
    now, then = then, now
  lines.append(f"copy({now}, {network.action_size}, action);")
  return "".join(f"  {line}\n" for line in lines)


def _in_place(layer: Standardize | LayerNorm | Activation, name: str, size: int, now: str) -> str:
  if isinstance(layer, Standardize):
    limit = _number(layer.limit)
    return f"standardize({name}_mean, {name}_deviation, {limit}, {size}, {now});"
  if isinstance(layer, LayerNorm):
    return f"layer_norm({name}_scale, {name}_bias, {layer.epsilon!r}, {size}, {now});"
  if layer.kind == "leaky_relu":
    return f"leaky_relu({_number(layer.slope)}, {size}, {now});"
  return f"{'tanh_all' if layer.kind == 'tanh' else layer.kind}({size}, {now});"
