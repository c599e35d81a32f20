"""The distribution of events, by that of their latents."""

from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tf_resflow import private_tfp_apis
from tf_resflow.bijectors import chain


class FlowDistribution(private_tfp_apis.TransformedDistribution):
  """A `tfd.TransformedDistribution` whose density takes one pass.

  `log_prob(x, bijector_kwargs=...)` asks the bijector for value and
  log-determinant together, and so does `experimental_sample_and_log_prob`:
  a sample and its density take one solve. See `tfd.TransformedDistribution`
  for arguments and methods; latents and events are single tensors here.

  Example:
    >>> d = bijectors.FlowDistribution(
    ...     tfd.MultivariateNormalDiag(tf.zeros(3)), tfb.Scale(2.0))
    >>> x, log_prob = d.experimental_sample_and_log_prob(5, seed=1)
    >>> np.allclose(log_prob, d.log_prob(x))
    True
  """

  def _log_prob(self, value, distribution_kwargs=None, bijector_kwargs=None):
    z, log_det = chain.value_and_log_det(
        self.bijector, value, self.event_shape.rank, is_forward=False,
        **bijector_kwargs or {})
    return self.distribution.log_prob(z, **distribution_kwargs or {}) + log_det

  def _sample_and_log_prob(self, sample_shape, seed, distribution_kwargs=None,
                           bijector_kwargs=None):
    base = self.distribution
    if self.batch_shape != base.batch_shape:
      base = tfd.BatchBroadcast(base, self.batch_shape_tensor())
    z, log_prob = base.experimental_sample_and_log_prob(
        sample_shape, seed, **distribution_kwargs or {})
    value, log_det = chain.value_and_log_det(
        self.bijector, z, base.event_shape.rank, is_forward=True,
        **bijector_kwargs or {})
    return value, log_prob - log_det


def distribution(
    bijector: tfb.Bijector, base: tfd.Distribution) -> FlowDistribution:
  """Returns the distribution of `x` where that of `bijector(x)` is `base`."""
  return FlowDistribution(base, tfb.Invert(bijector))
