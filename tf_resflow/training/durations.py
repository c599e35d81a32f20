"""Durations as people read them."""


def format_duration(seconds: float) -> str:
  """Returns a duration as text, in two units from one minute on.

  Args:
    seconds: 0 or more.

  Example:
    >>> [format_duration(s) for s in (0.1238, 75, 3725, 100000)]
    ['0.124 s', '1 min 15 s', '1 h 02 min', '1 d 04 h']
  """
  # Each limit is where the text of the smaller unit would round up to it.
  if seconds < 59.95:
    return f'{seconds:#.3g} s'
  if seconds < 3599.5:
    large, small = divmod(round(seconds), 60)
    return f'{large} min {small:02d} s'
  if seconds < 86370:
    large, small = divmod(round(seconds / 60), 60)
    return f'{large} h {small:02d} min'
  large, small = divmod(round(seconds / 3600), 24)
  return f'{large} d {small:02d} h'
