"""Compares cases, each at its own best rate, by seeds, on held-out data.

  tf_resflow study
  tf_resflow study activations --workdir=runs/activations
  tf_resflow study mine --import=my_study --workdir=runs/mine
  tf_resflow study --log=study.jsonl --output=activations.png

A study is a declared value: one of the package, which the tool lists without
arguments, or your own, which a module of --import registers (docs/studies.md).
All its cases have the same grid of learning rates and the same seconds of
training, in numbers of steps that are measured first. Rates are compared on
validation examples; the finalists, with other seeds, are tested once. A study
without rates has finalists alone, each with its own settings, and a case may be
a program of other libraries. Differences are paired by examples, with the
errors of seeds and examples, or of folds. An order holds where the interval of
95 % excludes zero; elsewhere it is undecided.

WORKDIR holds the log, study.jsonl, and the runs. The study may be stopped or
killed at any time: repeat the command to continue it. --log makes the tables of
a log alone. They go to stdout: a mean +- the half width of its interval, in
parentheses the difference from the first case, bold where an order holds.
"""

import dataclasses
import os
from typing import Any

from tf_resflow import errors
from tf_resflow.commands import options as options_lib
from tf_resflow.commands import runner
from tf_resflow.configuration import flag_parsing as flags_lib
from tf_resflow.experiments import study as study_lib
from tf_resflow.experiments import study_log
from tf_resflow.specs import fields
from tf_resflow.specs import registries


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(options_lib.OutputFile):
  """The study."""

  positional = 'name'
  sets_up_training = True
  suffixes = ('.png', '.svg')
  excludes = {'log': ('workdir',)}
  requires = {'name': ('workdir', 'log'), 'workdir': ('name',)}

  name: str | None = fields.field(
      None, help='The study.', choices=registries.STUDIES)
  workdir: str | None = fields.field(
      None, help='Folder of its log and runs.')
  log: str | None = fields.field(
      None, help='Make the tables from this log alone.')
  output: str | None = fields.field(
      None, help='The picture, a new .png or .svg file.')
  task: str | None = fields.field(
      None, help='Do this task in this process; used internally.')


def main(options: Options) -> None:
  """Does what is left of the study, and prints its tables."""
  # Loads matplotlib.
  from tf_resflow.experiments import study_report
  from tf_resflow.experiments import trials
  if options.name is None and options.log is None:
    for name in registries.STUDIES.names():
      print(f'{name:16}{registries.STUDIES.get(name).title}')
    return
  if options.task:
    study = registries.STUDIES.get(options.name)
    *_, records = study_log.read(os.path.join(options.workdir, study_lib.LOG))
    (task,) = (t for t in study.pending(records) if t.name == options.task)
    options_lib.print_report(trials.run(
        study, task, records, os.path.join(options.workdir, task.name),
        flags_lib.modules_of(options.arguments)), '')
    return
  study, records = finished(options)
  print(study_report.text(study, records))
  if options.output:
    study_report.save_picture(study, records, options.output)


def finished(
    options: Options) -> tuple[study_lib.Study, dict[str, dict[str, Any]]]:
  """Returns a study and its records, after what was left of it."""
  from tf_resflow.experiments import study_queue
  if options.workdir:
    study = registries.STUDIES.get(options.name)
    return study, study_queue.Queue(
        study, options.workdir, command_fn=runner.command,
        worker=options.arguments, progress_fn=options_lib.note
    ).run(options.name)
  _, study, records = study_log.read(options.log)
  errors.check(not study.pending(records), 'log', options.log,
               'the log of a study that is done')
  return study, records
