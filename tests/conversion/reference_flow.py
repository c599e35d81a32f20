"""The authors' image flow in float64 NumPy: weights, latents, densities.

An oracle for converted checkpoints that shares no code with what it judges:
convolutions are dense matrices, their norms come from an SVD, and the
log-determinant of a residual block from its whole Jacobian. For tiny models.
"""

import numpy as np

from tests.conversion import reference_nets
from tests.conversion import reference_state

_LIPSWISH = 1.1


def make_state(arguments, seed):
  """Returns random weights by the authors' names, as after a forward pass.

  Every other constrained kernel has a norm above `coeff`. `u`, `v` and `scale`
  are the singular vectors and the norm of these kernels.
  """
  rng = np.random.default_rng(seed)
  state, singular, num_constrained = {}, {}, 0
  for entry in reference_state.state_entries(arguments):
    if entry.role == 'kernel':
      kernel = rng.normal(size=entry.shape)
      operator = entry.operator
      if operator.constrained:
        sigma = top_singular(norm_matrix(operator, kernel))[0]
        # Far enough from `coeff` for float32 to keep the side.
        factor = np.exp(rng.uniform(0.1, 0.7) * (-1) ** num_constrained)
        kernel = np.float32(kernel * arguments['coeff'] * factor / sigma)
        triple = top_singular(norm_matrix(operator, kernel))
        singular = dict(zip(('scale', 'u', 'v'), triple, strict=True))
        num_constrained += 1
      else:
        kernel *= np.sqrt(2.0 / kernel[0].size)
      value = kernel
    elif entry.role == 'order_again':
      names = dict(zip(('domain', 'codomain'), entry.operator.orders,
                       strict=True))
      value = state[names[entry.name.rpartition('.')[2]]]
    elif entry.role in 'uv' and entry.operator.orders != (2.0, 2.0):
      # Wherever training left them.
      value = rng.normal(size=entry.shape)
    elif entry.role in ('scale', 'u', 'v'):
      value = singular[entry.role]
    else:
      value = _draw(entry, rng)
    value = np.asarray(value, entry.dtype)
    assert value.shape == entry.shape, entry
    state[entry.name] = value
  return state


def _draw(entry, rng):
  shape = entry.shape
  if entry.role == 'spatial_dims':
    return [entry.operator.height, entry.operator.width]
  return {
      'mean': lambda: reference_state.CIFAR10_MEAN,
      'std': lambda: reference_state.CIFAR10_STD,
      # Never trained: the logit of 1/2, and 2.
      'geom_p': lambda: 0.0,
      'lamb': lambda: 2.0,
      'initialized': lambda: 1,
      'count': lambda: rng.poisson(2.0, shape),
      'moment': lambda: rng.normal(size=shape),
      'bias': lambda: 0.3 * rng.normal(size=shape),
      'log_scale': lambda: 0.2 * rng.normal(size=shape),
      'beta': lambda: rng.normal(0.5, 0.5, shape),
      'order': lambda: rng.normal(0.0, 0.5, shape),
      # Singular values around one; neither symmetric nor triangular.
      'matrix': lambda: np.linalg.qr(rng.normal(size=shape))[0] + (
          0.3 / np.sqrt(shape[0])) * rng.normal(size=shape),
  }[entry.role]()


def conv_matrix(kernel, height, width):
  """Matrix of a convolution with zero padding `p = k // 2`, `k` odd.

  `y[o, r, c] = sum_{i, a, b} kernel[o, i, a, b] x[i, r + a - p, c + b - p]`
  """
  pad = kernel.shape[-1] // 2
  return sum(
      np.kron(kernel[:, :, a, b], np.kron(
          np.eye(height, k=a - pad), np.eye(width, k=b - pad)))
      for a in range(kernel.shape[-1]) for b in range(kernel.shape[-1]))


def operator_matrix(operator, kernel):
  """Float64 matrix of all that an operator does to an image or a vector."""
  kernel = np.asarray(kernel, np.float64)
  if operator.kernel is None:
    return kernel
  return conv_matrix(kernel, operator.height, operator.width)


def norm_matrix(operator, kernel):
  """Float64 matrix whose singular vectors `u` and `v` are."""
  if operator.kernel == 1:
    return np.asarray(kernel, np.float64)[:, :, 0, 0]
  return operator_matrix(operator, kernel)


def top_singular(matrix):
  """Returns the largest singular value and its vectors `u` and `v`."""
  left, values, right = np.linalg.svd(matrix, full_matrices=False)
  return values[0], left[:, 0], right[0]


def num_values(arguments):
  """Number of values of a pixel, by which the density is scaled."""
  if arguments['data'] == 'celebahq':
    return 2 ** arguments['nbits']
  return 32 if arguments['data'] == 'celeba_5bit' else 256


def evaluate(arguments, state, x):
  """Computes what the authors' model and `compute_loss` say of images.

  Of the state only parameters, `mean` and `std` are read.

  Returns:
    A dict of float64 arrays: `z` `[n, D]` in the authors' order, latents that
    are factored out first; and `[n]`, in nats but for the last, `log_det`
    (log|det dz/dx|, exact), `log_prob_base`, `log_prob` (of the discrete
    image) and `bits_per_dim`. With a classifier also `logits`.
  """
  x = np.asarray(x, np.float64)
  size = x[0].size
  hidden = x.transpose([0, 3, 1, 2])
  if arguments['squeeze_first']:
    hidden = _squeeze(hidden)
  scales = reference_state.build_scales(arguments)
  log_det = np.zeros(len(x))
  latents, features = [], []
  for index, layers in enumerate(scales):
    for layer in layers:
      hidden, delta = _LAYERS[layer.kind](arguments, state, layer, hidden)
      log_det += delta
    if not arguments['factor_out']:
      features.append(hidden)
    elif index < len(scales) - 1:
      hidden, factored = np.split(hidden, 2, axis=1)
      latents.append(factored)
      features.append(factored)
    else:
      # The head of the last scale looks at what the scale before factored out,
      # never at the last latents.
      features += features[-1:]
  latents.append(hidden)
  z = np.concatenate([_flatten(latent) for latent in latents], 1)
  log_prob_base = -0.5 * np.sum(z ** 2 + np.log(2.0 * np.pi), 1)
  log_prob = log_prob_base + log_det - size * np.log(num_values(arguments))
  results = {
      'z': z, 'log_det': log_det, 'log_prob_base': log_prob_base,
      'log_prob': log_prob, 'bits_per_dim': -log_prob / (size * np.log(2.0))}
  heads = reference_state.build_heads(arguments)
  if heads:
    results['logits'] = _logits(state, heads, features)
  return results


def _logits(state, heads, features):
  pooled = []
  for head, feature in zip(heads, features, strict=True):
    matrix = operator_matrix(head, state[f'{head.name}.weight'])
    value = (_flatten(feature) @ matrix.T).reshape(
        [-1, head.outputs, head.height * head.width])
    norm = head.name[:-1] + '1'
    bias = _load(state, f'{head.name}.bias') + _load(state, f'{norm}.bias')
    scale = np.exp(_load(state, f'{norm}.weight'))
    value = (value + bias[:, None]) * scale[:, None]
    pooled.append(np.maximum(value, 0.0).mean(-1))
  return (np.concatenate(pooled, 1) @ _load(state, 'logit_layer.weight').T
          + _load(state, 'logit_layer.bias'))


def _load(state, name):
  return np.asarray(state[name], np.float64)


def _flatten(x):
  return x.reshape([len(x), -1])


def _squeeze(x):
  # Channels of the result count (channel, row, column).
  n, channels, height, width = x.shape
  parts = [x[:, :, row::2, column::2] for row in (0, 1) for column in (0, 1)]
  return np.stack(parts, 2).reshape([n, 4 * channels, height // 2, width // 2])


def _apply_squeeze(arguments, state, layer, x):
  return _squeeze(x), 0.0


def _apply_logit(arguments, state, layer, x):
  alpha = 1e-6 if arguments['data'] == 'mnist' else 0.05
  s = alpha + (1.0 - 2.0 * alpha) * x
  slope = (1.0 - 2.0 * alpha) / (s * (1.0 - s))
  return np.log(s / (1.0 - s)), _flatten(np.log(slope)).sum(1)


def _apply_normalize(arguments, state, layer, x):
  # The first three channels only, which squeeze_first makes something else
  # than the three colours.
  mean = _load(state, f'{layer.name}.mean')[:, None, None]
  std = _load(state, f'{layer.name}.std')[:, None, None]
  y = x.copy()
  y[:, :3] = (x[:, :3] - mean) / std
  return y, -np.log(std).sum() * x[0, 0].size


def _apply_act_norm(arguments, state, layer, x):
  log_scale = _load(state, f'{layer.name}.weight')
  bias = _load(state, f'{layer.name}.bias')
  shape = layer.shape if layer.dense else [-1, 1, 1]
  y = (x + bias.reshape(shape)) * np.exp(log_scale.reshape(shape))
  return y, log_scale.sum() * (x[0].size // log_scale.size)


def _apply_linear(arguments, state, layer, x):
  matrix = _load(state, f'{layer.name}.weight')
  y = np.einsum('oi,nis->nos', matrix, x.reshape([len(x), len(matrix), -1]))
  return y.reshape(x.shape), (
      np.linalg.slogdet(matrix)[1] * (x[0].size // len(matrix)))


def _apply_block(arguments, state, layer, x):
  results = list(_modules(arguments, state, layer, _flatten(x)))
  identity = np.eye(x[0].size)
  jacobian = identity
  for _, slope, matrix in results:
    jacobian = (
        slope[:, :, None] * jacobian if matrix is None else matrix @ jacobian)
  log_det = np.linalg.slogdet(identity + jacobian)[1]
  return x + results[-1][0].reshape(x.shape), log_det


def _apply_coupling(arguments, state, layer, x):
  y = _flatten(x)
  passed = layer.passed.ravel()
  seen = np.where(passed, y, 0.0) if layer.masked else y[:, passed]
  *_, (made, _, _) = _modules(arguments, state, layer, seen)
  raw_scale, shift = np.split(made, 2, axis=1)
  if layer.masked:
    raw_scale, shift = raw_scale[:, ~passed], shift[:, ~passed]
  scale = _sigmoid(raw_scale + 2.0)
  y = y.copy()
  y[:, ~passed] = y[:, ~passed] * scale + shift
  return y.reshape(x.shape), np.log(scale).sum(1)


def _modules(arguments, state, layer, value):
  """Yields what every module of a net makes, and its slopes or its matrix."""
  for module in layer.net:
    if isinstance(module, reference_nets.Activation):
      value, slope = _activate(arguments['act'], state, module, value)
      yield value, slope, None
      continue
    kernel = _load(state, f'{module.name}.weight')
    if module.constrained:
      kernel = _normalized(arguments, state, module, kernel)
    matrix = operator_matrix(module, kernel)
    bias = np.repeat(
        _load(state, f'{module.name}.bias'), module.height * module.width)
    value = value @ matrix.T + bias
    yield value, None, matrix


def _normalized(arguments, state, module, kernel):
  matrix = norm_matrix(module, kernel)
  if module.orders == (2.0, 2.0):
    return kernel / max(1.0, top_singular(matrix)[0] / arguments['coeff'])
  orders = [
      reference_nets.squash(_load(state, order)) if isinstance(order, str)
      else order for order in module.orders]
  v = (_load(state, f'{module.name}.v')
       if reference_nets.has_vectors(module.orders) else None)
  return reference_nets.normalize(
      kernel, matrix, v, orders, arguments['coeff'])


_LAYERS = {
    'squeeze': _apply_squeeze, 'logit': _apply_logit,
    'normalize': _apply_normalize, 'act_norm': _apply_act_norm,
    'linear': _apply_linear, 'block': _apply_block, 'coupling': _apply_coupling}


def _activate(kind, state, module, x):
  """Returns an activation's values and its derivatives."""
  if kind == 'swish':
    # The slope inside is kept positive; the trained number may be negative.
    beta = np.logaddexp(0.0, _load(state, f'{module.name}.beta'))
    gate = _sigmoid(beta * x)
    slope = gate + beta * x * gate * (1.0 - gate)
    return x * gate / _LIPSWISH, slope / _LIPSWISH
  if kind == 'softplus':
    return np.logaddexp(0.0, x), _sigmoid(x)
  if kind == 'elu':
    negative = np.minimum(x, 0.0)
    return np.maximum(x, 0.0) + np.expm1(negative), np.exp(negative)
  if kind == 'lcube':
    inside = np.clip(x, -1.0, 1.0)
    # x^3 / 3 up to one, and its tangent from there.
    return inside ** 3 / 3.0 + (x - inside), inside ** 2
  if kind == 'relu':
    return np.maximum(x, 0.0), np.where(x > 0.0, 1.0, 0.0)
  assert kind == 'identity'
  return x, np.ones_like(x)


def _sigmoid(x):
  return 0.5 * (1.0 + np.tanh(0.5 * x))
