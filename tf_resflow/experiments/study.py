"""Studies as values: cases that are trained alike, and compared when tested.

A study is planned by its log alone: `Study.pending` returns what is to be done
after the records that are there, so that a queue that was killed goes on.
"""

import collections
from collections.abc import Mapping, Sequence
import dataclasses
import json
import math
import re
from typing import Any, NamedTuple, Self

import numpy as np

from tf_resflow import configuration
from tf_resflow import errors
from tf_resflow.configuration import flagfiles
from tf_resflow.experiments import program as program_lib
from tf_resflow.experiments import workload as workload_lib

Program = program_lib.Program
Workload = workload_lib.Workload
# Name of the log in the folder of a study.
LOG = 'study.jsonl'
# Rounds of measurements of the time of a step, all cases in turn; as many again
# where times of a case differ by this factor.
NUM_ROUNDS = 3
_UNSTEADY = 1.5
# Kinds of tasks, in the order in which they are done.
TIME, TUNE, FINAL, COMPARE = 'time', 'tune', 'final', 'compare'
# Metrics that can be compared.
METRICS = ('bits_per_dim', 'nats', 'cross_entropy', 'accuracy')
# Settings that every study decides itself, and one that finds rates, too; and
# those of the single run of a flagfile.
_OWN = {'seed', 'sample_every'}
_TUNED = {'learning_rate', 'num_steps', 'warmup_steps', 'checkpoint_every'}
_OF_RUN = {'num_validation', 'evaluate_every'}
# Records of the log, by the names of their tasks.
Records = Mapping[str, Mapping[str, Any]]


def sign(metric: str) -> int:
  """Returns -1 for a metric of which higher values are better, else 1."""
  return -1 if metric == 'accuracy' else 1


def _folder(name):
  return name.replace(' ', '_')


def _rounded(number):
  """Returns a number of three significant digits."""
  return float(f'{number:.3g}')


class Task(NamedTuple):
  """One entry of the queue of a study, and one record of its log."""

  kind: str
  workload: str
  case: str
  rate: float = 0.0
  seed: int = 0

  @property
  def name(self) -> str:
    """Name of its record and of its folder."""
    parts = [self.kind, self.workload, self.case]
    if self.rate:
      parts.append(f'{self.rate:g}')
    if self.kind != COMPARE:
      parts.append(str(self.seed))
    return _folder('-'.join(parts))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study:
  """A comparison of cases, each trained at its own best learning rate.

  All cases have the same grid of rates and the same seconds of training. Rates
  are compared on the validation part of the first workload; where the best one
  of a case is the lowest or the highest, the grid of all cases is extended by
  one. The finalists, one rate a case, are trained again with other seeds, on
  all workloads and without a validation part, and evaluated on the test part:
  once. The learning rate warms up over a tenth of the steps.

  Without rates there are finalists alone, each with its own settings.

  Attributes:
    title: the question, a phrase.
    cases: settings of every case, by its name, None for the default of a field;
      or a `Program`, of which there are only finalists. The first is the one
      that others are compared with.
    workloads: data and budgets, by their names; rates are found on the first.
    rates: learning rates, a geometric sequence; or none.
    num_seeds: number of finalists of a case and a workload.
    metrics: what is compared, `bits_per_dim`, `nats`, `cross_entropy` or
      `accuracy`; rates by the first one.
    max_extensions: number of rates by which the grid may grow at either end.

  Example:
    >>> study = Study(
    ...     title='More blocks', cases={'4': {}, '8': {'num_blocks': (8, 8)}},
    ...     workloads={'digits': Workload(flagfile='digits', num_steps=100)},
    ...     rates=(0.01, 0.02))
    >>> [task.name for task in study.pending({})]
    ['tune-digits-4-0.01-0', 'tune-digits-8-0.01-0', ...]
  """

  title: str
  cases: Mapping[str, Mapping[str, Any] | Program]
  workloads: Mapping[str, Workload]
  rates: Sequence[float]
  num_seeds: int = 3
  metrics: Sequence[str] = ('bits_per_dim',)
  max_extensions: int = 2

  def __post_init__(self):
    errors.check(len(self.cases) >= 2, 'cases', len(self.cases), '2 or more')
    errors.check(self.workloads, 'workloads', 'none', '1 or more')
    ratios = np.diff(np.log(self.rates))
    errors.check(
        len(self.rates) == 0 or len(self.rates) >= 2 and np.all(
            ratios > 0) and np.allclose(ratios, ratios[0], rtol=1e-2),
        'rates', self.rates, 'a rising geometric sequence, or ()')
    errors.check(
        self.metrics and {*self.metrics} <= {*METRICS}, 'metrics',
        ', '.join(self.metrics), f'some of {", ".join(METRICS)}')
    for names in (self.cases, self.workloads):
      folders = {_folder(name) for name in names}
      errors.check(
          len(folders) == len(names) and not any(
              re.search(r'[^\w.]', folder) for folder in folders), 'name',
          ', '.join(names), 'different names of letters, digits, spaces, "." '
          'and "_"', 'Folders have them.')
    for settings in (*self.flows.values(), *(
        workload.settings for workload in self.workloads.values())):
      own = (_OWN | _TUNED if self.rates else _OWN) & {*settings}
      errors.check(not own, 'settings', ', '.join(sorted(own)),
                   'other settings', 'The study decides on these.')
    for name, workload in self.workloads.items():
      self._check_workload(name, workload)

  def _check_workload(self, name, workload):
    steps, num_seeds = workload.num_steps, self._num_seeds(workload)
    errors.check(
        not isinstance(steps, Mapping) or {*steps} == {*self.flows},
        'num_steps', steps, f'a number for each case of {name}')
    if self.rates:
      errors.check(workload.seconds or steps, 'seconds', workload.seconds,
                   'a number > 0, unless num_steps is given')
      errors.check(
          not workload.folds or name != self.tuning, 'folds', workload.folds,
          problem='cannot be used on the data that rates are found on',
          advice='They would be found on rows that finalists are tested on.')
    errors.check(num_seeds >= 1, 'num_seeds', num_seeds, 'a number >= 1')
    errors.check(
        num_seeds % (workload.folds or 1) == 0, 'num_seeds', num_seeds,
        f'a multiple of {workload.folds} folds')

  @property
  def flows(self) -> dict[str, Mapping[str, Any]]:
    """The cases that are settings of a flow."""
    return {name: case for name, case in self.cases.items()
            if isinstance(case, Mapping)}

  def _num_seeds(self, workload):
    return workload.num_seeds or self.num_seeds

  def _shared(self, workload):
    """Returns what all cases have from the flagfile of a workload."""
    left_out = _OWN | _TUNED | _OF_RUN if self.rates else _OWN
    return {name: value for name, value in flagfiles.settings(
        workload.flagfile).items() if name not in left_out}

  @property
  def tuning(self) -> str:
    """Name of the workload on which rates are found."""
    return next(iter(self.workloads))

  @property
  def reference(self) -> str:
    """Name of the case that others are compared with."""
    return next(iter(self.cases))

  def declared(self) -> dict[str, Any]:
    """Returns the study as its log has it, with its flagfiles, for JSON."""
    return json.loads(json.dumps({
        **dataclasses.asdict(self), 'cases': {
            name: case if isinstance(case, Mapping) else case.declared()
            for name, case in self.cases.items()},
        'flagfiles': {name: self._shared(workload)
                      for name, workload in self.workloads.items()}}))

  @classmethod
  def from_declared(cls, declared: Mapping[str, Any]) -> Self:
    """Returns the study that `declared` describes.

    Fields that a log of an earlier version lacks have their defaults.
    """
    values = {f.name: declared[f.name] for f in dataclasses.fields(cls)
              if f.name in declared}
    return cls(**values | {
        'cases': {name: Program(**case) if 'script' in case else case
                  for name, case in declared['cases'].items()},
        'workloads': {name: Workload(**fields) for name, fields in
                      declared['workloads'].items()}})

  def pending(self, records: Records) -> list[Task]:
    """Returns the tasks that are known to be next; none if all is done.

    Those of a stage are known when the one before is done: times of steps,
    rates, finalists, comparisons.
    """
    for stage in (self._times, self._trials, self._finals, self._comparisons):
      tasks = [task for task in stage(records) if task.name not in records]
      if tasks:
        return tasks
    return []

  def num_left(self, records: Records) -> dict[str, int]:
    """Returns the numbers of runs left by workload, if no grid is extended.
    """
    done = collections.Counter(
        record['workload'] for record in records.values()
        if record['kind'] in (TUNE, FINAL))
    num_trials = len(self._trials(records))
    return {name: len(self.cases) * self._num_seeds(workload) + num_trials * (
        name == self.tuning) - done[name]
            for name, workload in self.workloads.items()}

  def _times(self, records):
    return [Task(TIME, name, case, seed=i) for i in range(2 * NUM_ROUNDS)
            for name, workload in self.workloads.items() if workload.seconds
            for case in self.flows
            if i < NUM_ROUNDS or self._is_unsteady(name, case, records)]

  def _is_unsteady(self, workload, case, records):
    times = self._measured(workload, case, records)[:NUM_ROUNDS]
    return bool(times) and max(times) > _UNSTEADY * min(times)

  def _measured(self, workload, case, records):
    """Returns the times of a step of a case, in seconds, by round."""
    tasks = [Task(TIME, workload, case, seed=i) for i in range(2 * NUM_ROUNDS)]
    return [records[task.name]['step_s'] for task in tasks
            if task.name in records]

  def _trials(self, records):
    return [Task(TUNE, self.tuning, case, rate)
            for rate in self.grid(records) for case in self.flows]

  def _finals(self, records):
    best = {case: self.best_rate(case, records) for case in self.flows
            if self.rates}
    # The seeds are not that of the trials.
    return [
        Task(FINAL, name, case, workload.rate_factor * best.get(case, 0.0),
             seed)
        for seed in range(1, 1 + max(map(
            self._num_seeds, self.workloads.values())))
        for name, workload in self.workloads.items()
        if seed <= self._num_seeds(workload) for case in self.cases]

  def _comparisons(self, unused_records):
    return [Task(COMPARE, name, case) for name in self.workloads
            for case in self.cases if case != self.reference]

  def finals(self, workload: str, case: str, records: Records) -> list[Task]:
    """Returns the finalists of a case, by seed."""
    return [task for task in self._finals(records)
            if (task.workload, task.case) == (workload, case)]

  def grid(self, records: Records) -> list[float]:
    """Returns the rates of all cases, those at its ends that were added, too.
    """
    rates = [float(rate) for rate in self.rates]
    for _ in range(self.max_extensions if rates else 0):
      values = [self.validation(case, rates, records) for case in self.flows]
      if any(None in of_case for of_case in values):
        break
      best = {self._best(of_case) for of_case in values}
      ratio = rates[1] / rates[0]
      below = [_rounded(rates[0] / ratio)] if 0 in best else []
      above = [_rounded(rates[-1] * ratio)] if len(rates) - 1 in best else []
      rates = [*below, *rates, *above]
    return rates

  def validation(self, case: str, rates: Sequence[float],
                 records: Records) -> list[Any]:
    """Returns the validation values of a case by rate.

    NaN where training diverged, None where it is not done.
    """
    found = [records.get(Task(TUNE, self.tuning, case, r).name) for r in rates]
    return [record and record.get(self.metrics[0], math.nan)
            for record in found]

  def _best(self, values):
    """Returns the index of the best of validation values; NaN is the worst."""
    losses = sign(self.metrics[0]) * np.array(values)
    return int(np.argmin(np.where(np.isnan(losses), np.inf, losses)))

  def best_rate(self, case: str, records: Records) -> float:
    """Returns the rate of a case with the best validation; all must be done.

    Raises:
      InvalidValueError: if training diverged at all rates.
    """
    rates = self.grid(records)
    values = self.validation(case, rates, records)
    errors.check(
        np.isfinite(values).any(), 'rates', rates,
        f'rates at which {case} does not diverge')
    return rates[self._best(values)]

  def num_steps(
      self, workload: str, case: str, records: Records) -> int | None:
    """Returns the number of updates of a case: those that fill the seconds.

    It has three significant digits, by the median of the rounds. None if it is
    that of its settings.
    """
    budget = self.workloads[workload]
    if budget.seconds is None:
      steps = budget.num_steps
      return steps[case] if isinstance(steps, Mapping) else steps
    step_s = np.median(self._measured(workload, case, records))
    return max(int(_rounded(budget.seconds / step_s)), 1)

  def make_config(
      self, task: Task, records: Records, imports: Sequence[str] = (),
  ) -> configuration.Config:
    """Returns the configuration of the run of a task, of a program its data.

    Args:
      task: of the study.
      records: those before it.
      imports: modules with types of the study.
    """
    workload = self.workloads[task.workload]
    values = self._shared(workload)
    if self.rates and workload.num_validation is not None:
      is_trial = task.kind == TUNE
      values |= {'num_validation': workload.num_validation if is_trial else 0,
                 'evaluate_every': 0, 'keep_best': False, 'patience': 0}
    values |= {'imports': tuple(imports), **workload.settings,
               **self.flows.get(task.case, {})}
    if 'dataset' in values:
      values['dataset'] = workload.dataset(values['dataset'], task.seed)
    if task.kind != TIME:
      values |= {'seed': task.seed, 'sample_every': 0}
      num_steps = task.case in self.flows and self.num_steps(
          task.workload, task.case, records)
      if num_steps:
        values |= {'num_steps': num_steps,
                   'checkpoint_every': max(num_steps // 4, 1)}
      if num_steps and self.rates:
        values |= {'learning_rate': task.rate, 'warmup_steps': num_steps // 10}
    return configuration.make_config(**{
        name: value for name, value in values.items() if value is not None})

  def check(self) -> None:
    """Raises `InvalidValueError` if the settings of a case are refused."""
    for workload in self.workloads:
      for case in self.flows or [self.reference]:
        try:
          config = self.make_config(Task(TIME, workload, case), {})
          if len(self.flows) < len(self.cases):
            program_lib.check(config)
        except errors.InvalidValueError as error:
          raise errors.InvalidValueError(
              'cases', case, f'settings that suit {workload}',
              errors.sentence(error)) from error
