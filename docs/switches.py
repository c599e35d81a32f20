"""The authors' switches on digits, a table of docs/results.md.

  python -m docs.switches docs/logs/switches.jsonl
"""

import pathlib
import sys

from docs import measured

COMMANDS = {'bits/dim': (
    'train --flagfile=digits --num_steps=300 --warmup_steps=30')}
SWITCHES = (
    '', '--optimizer=adamax --learning_rate=0.064',
    '--optimizer=rmsprop --learning_rate=0.016',
    '--optimizer=sgd --learning_rate=0.1', '--moving_mean --noact_norm',
    '--noise_channels=1')


def tables(log: pathlib.Path) -> str:
  """Returns the table of the log, as Markdown."""
  return measured.changes(log, COMMANDS, SWITCHES, 'bits_per_dim')


if __name__ == '__main__':
  LOG = pathlib.Path(sys.argv[1])
  measured.run(LOG, measured.changed(COMMANDS, SWITCHES))
  print(tables(LOG))
