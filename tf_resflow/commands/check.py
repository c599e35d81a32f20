"""Checks a layer, activation, block, bijector or flow of your own.

  tf_resflow check my_types:ConcatenatedELU --event_shape=5
  tf_resflow check my_types:make_block --event_shape=4,4,2 --pixels

MODULE:NAME is a class, or a function, that takes dtype alone and returns an
object; the current folder is searched, too. Every property that types of this
package have is checked: log-determinants against the full float64 Jacobian,
inverses, gradients, the mean over all draws, bounds against singular values,
frozen copies, configurations, checkpoints, traced and compiled functions. A
line says what broke, and at which input.

Lines go to stderr; the last line of stdout is one JSON object. The exit status
is 2 if something broke.
"""

import dataclasses
import importlib
import os
import sys

from tf_resflow import errors
from tf_resflow.commands import options as options_lib
from tf_resflow.specs import fields


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(options_lib.Options):
  """What is checked."""

  positional = 'name'

  name: str = options_lib.required(help='MODULE:NAME, see above.')
  event_shape: tuple[int, ...] = fields.field(
      (5,), help='Shape of an input, without the batch.', minimum=1)
  pixels: bool = fields.field(False, help='Inputs lie in [0, 1].')
  integers: bool = fields.field(False, help='Inputs are whole numbers.')
  kernel_scale: float = fields.field(
      1.0, help='Standard deviation of what is added to initial kernels, so '
      'that they exceed their bounds; lower it for networks without any.',
      above=0.0)

  def check(self) -> None:
    super().check()
    module, _, attribute = self.name.partition(':')
    self.require(
        all(part.isidentifier() for part in (*module.split('.'), attribute)),
        'name', 'MODULE:NAME', 'Write my_package.my_module:MyLayer.')


def main(options: Options) -> None:
  """Checks, and says what broke."""
  # Loads TFP.
  from tf_resflow.checks import running
  module, _, attribute = options.name.partition(':')
  if os.getcwd() not in sys.path:
    sys.path.append(os.getcwd())
  try:
    make = getattr(importlib.import_module(module), attribute)
  except (ImportError, AttributeError) as error:
    raise errors.InvalidValueError(
        'name', options.name, 'a name in a module that can be imported',
        errors.sentence(error)) from error
  case = running.case_of(
      make, options.event_shape, is_pixels=options.pixels,
      is_integer=options.integers, kernel_scale=options.kernel_scale)
  problems = {}
  for check, problem in running.run(options.name, case):
    options_lib.note(f'{"BROKEN" if problem else "ok    "} {check.name}: '
                     f'{problem or check.sentence}')
    problems[check.name] = problem
  broken = {name: text for name, text in problems.items() if text}
  options_lib.print_report(
      {'num_checks': len(problems), 'broken': broken},
      f'{len(problems) - len(broken)} of {len(problems)} properties of a '
      f'{running.properties.kind_of(case.make_fn("float32"))} hold.')
  if broken:
    raise errors.ExpectedError(f'broken: {", ".join(broken)}.')
