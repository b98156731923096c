"""The functions of `policy.c`, as text: one for each kind of layer, and what they call.

Products add four rows of a kernel at a time onto all outputs, which compilers turn into vector
instructions without being allowed to reorder sums. Calls of `expf` would keep loops from being
vectorised, so exponentials are a polynomial. Every comparison is written such that NaN takes the
branch that keeps it: whoever checks the action sees that something was wrong.
"""

from jaxskills.deploy.network import (
  Activation,
  Affine,
  Layer,
  LayerNorm,
  LstmCell,
  Network,
  Standardize,
)

_COPY = """\
static void copy(const float *from, int size, float *to) {
  for (int i = 0; i < size; ++i) to[i] = from[i];
}
"""
_STANDARDIZE = """\
static void standardize(const float *mean, const float *deviation, float limit, int size,
                        float *value) {
  for (int i = 0; i < size; ++i) {
    const float scaled = (value[i] - mean[i]) / deviation[i];
    value[i] = scaled < -limit ? -limit : scaled > limit ? limit : scaled;
  }
}
"""
_ACCUMULATE = """\
/* result += value * kernel, four rows of the kernel at a time. */
static void accumulate(const float *restrict kernel, int inputs, int outputs,
                       const float *restrict value, float *restrict result) {
  int i = 0;
  for (; i + 4 <= inputs; i += 4, kernel += 4 * outputs) {
    const float *restrict second = kernel + outputs, *restrict third = second + outputs,
                *restrict fourth = third + outputs;
    const float a = value[i], b = value[i + 1], c = value[i + 2], d = value[i + 3];
    for (int j = 0; j < outputs; ++j)
      result[j] += (a * kernel[j] + b * second[j]) + (c * third[j] + d * fourth[j]);
  }
  for (; i < inputs; ++i, kernel += outputs)
    for (int j = 0; j < outputs; ++j) result[j] += value[i] * kernel[j];
}
"""
_AFFINE = """\
static void affine(const float *kernel, const float *bias, int inputs, int outputs,
                   const float *value, float *result) {
  for (int j = 0; j < outputs; ++j) result[j] = bias[j];
  accumulate(kernel, inputs, outputs, value, result);
}
"""
_LAYER_NORM = """\
static void layer_norm(const float *scale, const float *bias, double epsilon, int size,
                       float *value) {
  double mean = 0.0, variance = 0.0;
  for (int i = 0; i < size; ++i) mean += value[i];
  mean /= size;
  for (int i = 0; i < size; ++i) variance += (value[i] - mean) * (value[i] - mean);
  const double factor = 1.0 / sqrt(variance / size + epsilon);
  for (int i = 0; i < size; ++i)
    value[i] = (float)((value[i] - mean) * factor) * scale[i] + bias[i];
}
"""
_EXPM1 = """\
/* exp(x) - 1 of x <= 0, to a few units in the last place: five terms of the series of exp(x / 32) -
 * 1, then five times exp(2 y) - 1 = (exp(y) - 1) (exp(y) + 1), which forgets errors of large |x| as
 * the result goes to -1. Below -17.5 it is -1 in single precision. */
static float expm1_of_negative(float x) {
  const float y = (x < -17.5f ? -17.5f : x) * 0.03125f;
  float e = 1.0f / 6.0f + y * (1.0f / 24.0f + y * (1.0f / 120.0f));
  e = y + y * y * (0.5f + y * e);
  for (int i = 0; i < 5; ++i) e = e * (e + 2.0f);
  return e;
}
"""
_ELU = """\
static void elu(int size, float *value) {
  for (int i = 0; i < size; ++i) {
    const float below = expm1_of_negative(value[i] > 0.0f ? 0.0f : value[i]);
    value[i] = value[i] > 0.0f ? value[i] : below;
  }
}
"""
_LEAKY_RELU = """\
static void leaky_relu(float slope, int size, float *value) {
  for (int i = 0; i < size; ++i) value[i] = value[i] > 0.0f ? value[i] : slope * value[i];
}
"""
_RELU = """\
static void relu(int size, float *value) {
  for (int i = 0; i < size; ++i) value[i] = value[i] < 0.0f ? 0.0f : value[i];
}
"""
_TANH = """\
static float tanh_of(float x) {
  const float e = expm1_of_negative(x > 0.0f ? -2.0f * x : 2.0f * x);
  return x > 0.0f ? -e / (e + 2.0f) : e / (e + 2.0f);
}
"""
_TANH_ALL = """\
static void tanh_all(int size, float *value) {
  for (int i = 0; i < size; ++i) value[i] = tanh_of(value[i]);
}
"""
_SIGMOID = """\
static float sigmoid_of(float x) {
  const float e = expm1_of_negative(x > 0.0f ? -x : x);
  return (x > 0.0f ? 1.0f : e + 1.0f) / (e + 2.0f);
}
"""
_LSTM = """\
/* Gates in the order enter, forget, candidate, leave; state is hidden, then cell. */
static void lstm(const float *kernel, const float *recurrent, const float *bias, int inputs,
                 int width, const float *state_in, const float *value, float *gates,
                 float *state_out, float *result) {
  affine(kernel, bias, inputs, 4 * width, value, gates);
  accumulate(recurrent, width, 4 * width, state_in, gates);
  for (int j = 0; j < width; ++j) {
    const float added = sigmoid_of(gates[j]) * tanh_of(gates[2 * width + j]);
    const float cell = sigmoid_of(gates[width + j]) * state_in[width + j] + added;
    result[j] = sigmoid_of(gates[3 * width + j]) * tanh_of(cell);
    state_out[width + j] = cell;
  }
  copy(result, width, state_out);
}
"""
_GRU = """\
/* Gates in the order reset, keep, candidate: first of the input, then of the state. */
static void gru(const float *kernel, const float *recurrent, const float *bias,
                const float *recurrent_bias, int inputs, int width, const float *state_in,
                const float *value, float *gates, float *state_out, float *result) {
  float *kept = gates + 3 * width;
  affine(kernel, bias, inputs, 3 * width, value, gates);
  affine(recurrent, recurrent_bias, width, 3 * width, state_in, kept);
  for (int j = 0; j < width; ++j) {
    const float reset = sigmoid_of(gates[j] + kept[j]);
    const float keep = sigmoid_of(gates[width + j] + kept[width + j]);
    const float candidate = tanh_of(gates[2 * width + j] + reset * kept[2 * width + j]);
    result[j] = candidate + keep * (state_in[j] - candidate);
  }
  copy(result, width, state_out);
}
"""


def functions(network: Network) -> list[str]:
  """The functions that the layers need, each once, callees first."""
  needed = [_COPY]
  for layer in network.layers:
    for function in _needs(layer):
      if function not in needed:
        needed.append(function)
  return needed


def _needs(layer: Layer) -> tuple[str, ...]:
  if isinstance(layer, Standardize):
    return (_STANDARDIZE,)
  if isinstance(layer, Affine):
    return _ACCUMULATE, _AFFINE
  if isinstance(layer, LayerNorm):
    return (_LAYER_NORM,)
  if isinstance(layer, Activation):
    return {
      "elu": (_EXPM1, _ELU),
      "leaky_relu": (_LEAKY_RELU,),
      "relu": (_RELU,),
      "tanh": (_EXPM1, _TANH, _TANH_ALL),
    }[layer.kind]
  cell = _LSTM if isinstance(layer, LstmCell) else _GRU
  return _ACCUMULATE, _AFFINE, _EXPM1, _TANH, _SIGMOID, cell
