"""Settings of `--flagfile=2d`, one changed at a time: docs/densities.md.

  python -m docs.settings_2d docs/logs/settings_2d.jsonl
"""

import pathlib
import sys

from docs import measured

COMMANDS = {
    name: f'train --flagfile=2d --dataset=2d/{name} --num_steps=500'
    for name in ('rings', '2spirals')}
CHANGES = (
    '', '--activation=lipswish', '--hidden_units=64,64',
    '--hidden_units=128,128', '--hidden_units=64,64,64,64', '--num_blocks=8',
    '--lipschitz_coeff=0.9', '--learning_rate=0.01', '--learning_rate=0.02',
    '--learning_rate=0.08')


def tables(log: pathlib.Path) -> str:
  """Returns the table of the log, as Markdown."""
  return measured.changes(log, COMMANDS, CHANGES, 'nats')


if __name__ == '__main__':
  LOG = pathlib.Path(sys.argv[1])
  measured.run(LOG, measured.changed(COMMANDS, CHANGES))
  print(tables(LOG))
