"""Orders `p` of the norms l_p between the layers of a network."""

from collections.abc import Sequence

from tf_resflow import errors
from tf_resflow.specs import spec

LEARNED = 'learned'
_EXPECTED = (
    'orders in [1, inf], one for all layers or one more than there are layers, '
    f'such as inf or 2,1.5,2,2, or {LEARNED}')


def is_spectral(norms: Sequence[str]) -> bool:
  """Returns whether all norms are l_2."""
  return norms != (LEARNED,) and all(float(norm) == 2.0 for norm in norms)


def check(norms: Sequence[str], uncertified: bool) -> None:
  """Raises `InvalidValueError` unless the orders of norms are valid.

  With `uncertified`, also those that do not prove a contraction are.
  """
  if norms == (LEARNED,):
    return
  text = spec.text_of(tuple(norms))
  try:
    orders = [float(norm) for norm in norms]
  except ValueError:
    orders = []
  errors.check(
      bool(orders) and all(order >= 1.0 for order in orders), 'norms', text,
      _EXPECTED)
  errors.check(
      uncertified or orders[-1] <= orders[0], 'norms', text,
      f'a last order that is at most the first, {norms[0]}',
      'Otherwise g is not proven to be a contraction; --uncertified allows it '
      'nevertheless.')


def check_length(norms: Sequence[str], num_layers: int, what: str) -> None:
  """Raises `InvalidValueError` unless the number of orders fits the layers."""
  errors.check(
      len(norms) in (1, num_layers + 1), 'norms', spec.text_of(tuple(norms)),
      f'one order, or {num_layers + 1}: one more than {what} have layers')


def of_layer(norms: Sequence[str], layer: int) -> tuple[float | str, ...]:
  """Returns `(p, q)` of a linear layer by its number, numbers or 'learned'.

  They are the orders of the norms of its input and output; `norms` lists them
  as strings, one more than there are layers, or one for all.
  """
  pair = norms[layer:layer + 2] if len(norms) > 1 else [*norms, *norms]
  return tuple(norm if norm == LEARNED else float(norm) for norm in pair)
