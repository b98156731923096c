"""A convolution without bias, batch normalisation, and a ReLU: what ImageNet trunks are made of."""

import flax.linen as nn
import jax
from jaxtyping import Array, Float

from jaxskills.networks.conv import Convolution, Form


class ConvUnit(nn.Module):
  """Parameters `conv` and `bn`, and the running `mean` and `var` of `bn` in `batch_stats`.

  Attributes:
    outputs: channels that come out.
    kernel: side of the kernel.
    stride: along rows and columns.
    padding: zeros on every side; None keeps the size at stride one, `(kernel - 1) / 2`.
    epsilon: added to variances.
    momentum: share of the running statistics that one update keeps.
    rectifies: whether a ReLU follows.
    form: how the convolution is computed; see `conv.ConvStack`.
  """

  outputs: int
  kernel: int = 3
  stride: int = 1
  padding: int | None = None
  epsilon: float = 1e-5
  momentum: float = 0.9
  rectifies: bool = True
  form: Form = "auto"

  @nn.compact
  def __call__(
    self, image: Float[Array, "into rows columns batch"], uses_batch: bool
  ) -> Float[Array, "out rows_out columns_out batch"]:
    """Normalises by the batch's own statistics, recording them, or by the running ones."""
    padding = (self.kernel - 1) // 2 if self.padding is None else self.padding
    convolution = Convolution(
      self.outputs, self.kernel, self.stride, padding, use_bias=False, form=self.form, name="conv"
    )
    normalization = nn.BatchNorm(
      use_running_average=not uses_batch,
      momentum=self.momentum,
      epsilon=self.epsilon,
      axis=0,
      name="bn",
    )
    value = normalization(convolution(image))
    return jax.nn.relu(value) if self.rectifies else value
