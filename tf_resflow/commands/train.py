"""Trains a flow, then evaluates it on the test set.

  tf_resflow train --flagfile=digits --workdir=runs/digits
  tf_resflow train --flagfile=runs/digits/run.flags --workdir=runs/digits
  tf_resflow train --flagfile=digits --workdir=runs/fixed --estimator=fixed:5
  tf_resflow train --flagfile=2d --dataset=2d/pinwheel --workdir=runs/pinwheel
  tf_resflow train --flagfile=table --dataset=table:wine.csv --workdir=runs/wine
  tf_resflow train --flagfile=digits --workdir=runs/best --num_validation=200 \\
    --evaluate_every=500 --keep_best

The workdir holds the run: run.flags (its flags), metrics.csv, checkpoints/,
tensorboard/ and samples/, at the end report.json and report.html, a page with
figures; with --keep_best also best/, the checkpoint of the lowest validation
loss, which is evaluated and which other tools load. On your own vectors a part
of the training rows is held out for validation, training stops when it no
longer improves (below 1,000 rows all are then trained on for as many steps, in
refit-STEP/), and a line compares the flow with mixtures of Gaussians. Repeat
the command to continue a stopped run; the result is the same.
Start from a --flagfile, since the defaults are a large model; flags after it
override it. tf_resflow flagfiles lists those of the package: small ones, and
those of the paper. tf_resflow benchmark --advise estimates what a run takes.

SIGTERM, SIGINT, SIGHUP and the end of --max_hours stop it after a save. Exit
statuses: 0 finished; 2 an error: do not repeat the command; 3 stopped and
saved: repeat it; 4 another process has taken over the run, or one of several
has ended: start all again; 130 or 143 the same signal came twice: repeat it,
what came after the last checkpoint is lost.

The last line of stdout is one JSON object with the test bits/dim of images, or
the test -log p(x) of vectors in nats.
"""

import dataclasses
import os
import shlex
import time

from absl import flags

from tf_resflow import commands
from tf_resflow import configuration
from tf_resflow import training
from tf_resflow import workflow
from tf_resflow.columns import table_files
from tf_resflow.commands import conditions
from tf_resflow.commands import options as options_lib
from tf_resflow.configuration import flag_parsing as flags_lib
from tf_resflow.specs import fields
from tf_resflow.specs import registries
from tf_resflow.training import clusters
from tf_resflow.training import files
from tf_resflow.training import signals


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(options_lib.Certification):
  """The run."""

  takes_configuration = True
  sets_up_training = True

  workdir: str = options_lib.required(
      help='Folder of the run: flags, metrics, checkpoints, TensorBoard files '
      'and samples. An existing run there is continued.')
  lock_timeout: float = fields.field(
      60.0, help='Seconds to wait for a heartbeat of another process that '
      'trains in the workdir; without one the run is taken over.', minimum=30)
  takeover: bool = fields.field(
      False, help='Take the run over from another process, which then ends.')
  worker_hosts: tuple[str, ...] = fields.field(
      (), help='HOST:PORT of each process that trains, the chief first, with '
      '--strategy=multi_worker.')
  worker_index: int | None = fields.field(
      None, help='Position of this process among --worker_hosts.', minimum=0)
  cluster_timeout: float = fields.field(
      300.0, help='Seconds to wait for the other processes at the start.',
      above=0)
  evaluate_at_end: bool = fields.field(
      True, help='Evaluate on the test set after the last step.')
  page: bool = fields.field(
      True, help='After the evaluation, write report.html to the workdir: '
      'figures of the flow, its samples beside data, and measures of these. It '
      'says how long that took.')
  max_hours: float | None = fields.field(
      None, help='Stop after this time since the start of the process, as a '
      'signal does: the state is saved, and the same command continues.',
      above=0.0, maximum=1e5)

  def make_config(self, flag_values: flags.FlagValues) -> configuration.Config:
    run = files.stored_config(self.workdir)
    config = run and run.continued(
        **flags_lib.run_values(flag_values, run.model.name()))
    config = config or super().make_config(flag_values)
    files.check_run(self.workdir, config)
    return config


def main(options: Options, config: configuration.Config) -> None:
  """Trains and evaluates."""
  if options.max_hours is not None and signals.active:
    signals.active.end_after(
        3600.0 * options.max_hours - (time.perf_counter() - commands.START),
        f'--max_hours={options.max_hours:g}')
  cluster = clusters.ClusterOptions(
      options.worker_hosts, options.worker_index, options.cluster_timeout)
  strategy = training.make_strategy(config.run.strategy, cluster)
  flow = workflow.fit(
      config, options.workdir, devices=strategy, certify=options.certify,
      lock_timeout=options.lock_timeout, takeover=options.takeover,
      evaluate_at_end=options.evaluate_at_end)
  run = flow.run
  next_ = 'next: ' + '; '.join(_next_commands(options.workdir, config))
  if not options.evaluate_at_end:
    options_lib.note(next_)
  elif training.strategies.is_chief(strategy):
    options_lib.print_report(
        run.report, run.table, run.summary,
        *(f'warning: {text}' for text in run.warnings), next_)
    if options.page and not options.worker_hosts:
      _write_page(flow)


def _write_page(flow):
  """Writes the page of a run, unless it is newer than the report."""
  path, report = (os.path.join(flow.run.workdir, name)
                  for name in ('report.html', workflow.runs.REPORT))
  if not os.path.exists(path) or (
      os.path.getmtime(path) < os.path.getmtime(report)):
    start = time.perf_counter()
    workflow.save_page(flow, path)
    options_lib.note(f'page: {path} ({time.perf_counter() - start:.0f} s)')


def _next_commands(workdir, config):
  """Returns what can be run now."""
  is_vector = not config.model.is_image
  path = registries.DATASETS.split(config.data.dataset)[1]
  condition = conditions.example(config.model)
  if condition and table_files.is_table(path):
    condition = path
  calls = {
      'sample': [f'--output=samples.{"csv" if is_vector else "png"}',
                 *['--num_samples=1000'] * is_vector,
                 *[f'--condition={condition}'] * bool(condition)],
      'score': [f'--inputs={path}', '--output=scores.csv'
                   ] * table_files.is_table(path),
      'export': ['--output=served/1', '--nowarmup']}
  return [shlex.join(['tf_resflow', tool, f'--workdir={workdir}', *rest])
          for tool, rest in calls.items() if rest]
