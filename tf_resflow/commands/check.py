"""Checks a layer, activation, block, bijector or flow of your own.

  tf_resflow check my_types:ConcatenatedELU --event_shape=5
  tf_resflow check my_types:make_block --event_shape=4,4,2 --pixels

MODULE:NAME is a class, or a function, that takes dtype alone and returns an
object; the current folder is searched, too. Every property that types of this
package have is checked: log-determinants against the full float64 Jacobian,
inverses, gradients, the mean over all draws, bounds against singular values,
conditions, frozen copies, configurations, checkpoints, traced and compiled
functions. What takes a condition is given one, by its `condition_spec`. A line
says what broke, and at which input, or why a property does not apply.

Lines go to stderr; the last line of stdout is one JSON object. The exit status
is 2 if something broke.
"""

import dataclasses
import sys

from tf_resflow import errors
from tf_resflow.commands import options as options_lib
from tf_resflow.configuration import flag_parsing as flags_lib
from tf_resflow.specs import fields


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(options_lib.Options):
  """What is checked."""

  positional = 'name'

  name: str = options_lib.required(help='MODULE:NAME, see above.')
  event_shape: tuple[int, ...] = fields.field(
      (5,), help='Shape of an input, without the batch; that of a condition '
      'network is known.', minimum=1)
  pixels: bool = fields.field(False, help='Inputs lie in [0, 1].')
  integers: bool = fields.field(False, help='Inputs are whole numbers.')
  kernel_scale: float = fields.field(
      1.0, help='Standard deviation of what is added to initial kernels, so '
      'that they exceed their bounds; lower it for networks without any.',
      above=0.0)


def main(options: Options) -> None:
  """Checks, and says what broke."""
  # Loads TFP.
  from tf_resflow.checks import running
  module, _, attribute = options.name.partition(':')
  flags_lib.import_modules([module])
  make = getattr(sys.modules[module], attribute, None)
  options.require(make, 'name', 'MODULE:NAME with a name of the module')
  case = running.case_of(
      make, options.event_shape, is_pixels=options.pixels,
      is_integer=options.integers, kernel_scale=options.kernel_scale)
  outcomes = []
  for outcome in running.run(options.name, case):
    check, problem, reason = outcome
    outcomes.append(outcome)
    options_lib.note(
        f'{"BROKEN" if problem else "n/a   " if reason else "ok    "} '
        f'{check.name}: {problem or reason or check.sentence}')
  broken = {o.check.name: o.problem for o in outcomes if o.problem}
  not_applicable = {o.check.name: o.reason for o in outcomes if o.reason}
  num_checks = len(outcomes) - len(not_applicable)
  options_lib.print_report(
      {'num_checks': num_checks, 'broken': broken,
       'not_applicable': not_applicable},
      f'{num_checks - len(broken)} of {num_checks} properties of a '
      f'{running.properties.kind_of(case.make_fn("float32"))} hold; '
      f'{len(not_applicable)} do not apply.')
  if broken:
    raise errors.ExpectedError(f'broken: {", ".join(broken)}.')
