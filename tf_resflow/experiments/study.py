"""Studies as values: cases at their best learning rates, compared when tested.

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
# Settings that a study decides itself, and those of the single run of a
# flagfile.
_OWN = {'learning_rate', 'num_steps', 'warmup_steps', 'seed', 'sample_every',
        'checkpoint_every'}
_OF_RUN = {'num_validation', 'evaluate_every'}
# Records of the log, by the names of their tasks.
Records = Mapping[str, Mapping[str, Any]]


def sign(metric: str) -> int:
  """Returns -1 for a metric of which higher values are better, else 1."""
  return -1 if metric == 'accuracy' else 1


def _folder(name):
  return name.replace(' ', '_')


def _check_settings(settings):
  own = _OWN & {*settings}
  errors.check(not own, 'settings', ', '.join(sorted(own)), 'other settings',
               'The study decides on these.')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Workload:
  """What the cases of a study are trained on, and for how long.

  Attributes:
    flagfile: name of the flagfile with the settings of all cases.
    settings: settings in place of these.
    seconds: of training of every run. Their numbers of updates follow from the
      times of updates, which are measured first, in turn and on an idle
      machine.
    num_steps: numbers of updates instead, of all cases or by case, as an
      earlier study measured them.
    num_validation: number of training examples on which rates are compared; the
      finalists are trained on these, too, to the end. None for what follows
      from the data: runs on your own vectors hold a part out, and keep their
      best step, finalists as well.
    rate_factor: of the rates that were found on the first workload.
  """

  flagfile: str
  settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  seconds: float | None = None
  num_steps: int | Mapping[str, int] | None = None
  num_validation: int | None = 200
  rate_factor: float = 1.0

  def __post_init__(self):
    errors.check(
        (self.seconds is None) != (self.num_steps is None)
        and (self.seconds is None or self.seconds > 0), 'seconds',
        self.seconds, 'a number > 0, unless num_steps is given')
    _check_settings(self.settings)

  @property
  def shared(self) -> dict[str, Any]:
    """What all cases have from the flagfile."""
    return {name: value for name, value in flagfiles.settings(
        self.flagfile).items() if name not in _OWN | _OF_RUN}


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

  Attributes:
    title: the question, a phrase.
    cases: settings of every case, by its name, None for the default of a field;
      the first is the one that others are compared with.
    workloads: data and budgets, by their names; rates are found on the first.
    rates: learning rates, a geometric sequence.
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
  cases: Mapping[str, Mapping[str, Any]]
  workloads: Mapping[str, Workload]
  rates: Sequence[float]
  num_seeds: int = 3
  metrics: Sequence[str] = ('bits_per_dim',)
  max_extensions: int = 2

  def __post_init__(self):
    errors.check(len(self.cases) >= 2, 'cases', len(self.cases), '2 or more')
    errors.check(
        bool(self.workloads), 'workloads', 'none', '1 or more')
    errors.check(
        self.num_seeds >= 2, 'num_seeds', self.num_seeds, 'a number >= 2',
        'Errors of differences need it.')
    ratios = np.diff(np.log(self.rates))
    errors.check(
        len(self.rates) >= 2 and np.all(ratios > 0) and np.allclose(
            ratios, ratios[0], rtol=1e-2),
        'rates', self.rates, 'a rising geometric sequence')
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
    for settings in self.cases.values():
      _check_settings(settings)
    for name, workload in self.workloads.items():
      steps = workload.num_steps
      errors.check(
          not isinstance(steps, Mapping) or {*steps} == {*self.cases},
          'num_steps', steps, f'a number for each case of {name}')

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
        **dataclasses.asdict(self), 'flagfiles': {
            name: workload.shared
            for name, workload in self.workloads.items()}}))

  @classmethod
  def from_declared(cls, declared: Mapping[str, Any]) -> Self:
    """Returns the study that `declared` describes.

    Fields that a log of an earlier version lacks have their defaults.
    """
    values = {f.name: declared[f.name] for f in dataclasses.fields(cls)
              if f.name in declared}
    return cls(**values | {'workloads': {
        name: Workload(**fields) for name, fields in
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
    return {name: len(self.cases) * (
        self.num_seeds + len(self.grid(records)) * (name == self.tuning))
            - done[name] for name in self.workloads}

  def _times(self, records):
    return [Task(TIME, name, case, seed=i) for i in range(2 * NUM_ROUNDS)
            for name, workload in self.workloads.items() if workload.seconds
            for case in self.cases
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
            for rate in self.grid(records) for case in self.cases]

  def _finals(self, records):
    best = {case: self.best_rate(case, records) for case in self.cases}
    # The seeds are not that of the trials.
    return [
        Task(FINAL, name, case, best[case] * workload.rate_factor, seed)
        for seed in range(1, self.num_seeds + 1)
        for name, workload in self.workloads.items() for case in self.cases]

  def _comparisons(self, records):
    del records
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
    ratio = rates[1] / rates[0]
    for _ in range(self.max_extensions):
      values = [self._values(case, rates, records) for case in self.cases]
      if any(None in of_case for of_case in values):
        break
      best = {int(np.argmin(of_case)) for of_case in values}
      above = [rates[-1] * ratio] if len(rates) - 1 in best else []
      below = [rates[0] / ratio] if 0 in best else []
      if not above and not below:
        break
      below, above = ([float(f'{rate:.3g}') for rate in new]
                      for new in (below, above))
      rates = [*below, *rates, *above]
    return rates

  def _values(self, case, rates, records):
    """Returns the losses of the trials of a case; None for one not done."""
    found = [records.get(Task(TUNE, self.tuning, case, r).name) for r in rates]
    return [record and self._loss(record) for record in found]

  def _loss(self, record):
    value = record.get(self.metrics[0])  # None of a run that diverged.
    return math.inf if value is None else sign(self.metrics[0]) * value

  def best_rate(self, case: str, records: Records) -> float:
    """Returns the rate of a case with the best validation; all must be done.

    Raises:
      InvalidValueError: if training diverged at all rates.
    """
    rates = self.grid(records)
    losses = self._values(case, rates, records)
    errors.check(
        np.isfinite(losses).any(), 'rates', rates,
        f'rates at which {case} does not diverge')
    return rates[int(np.argmin(losses))]

  def is_at_edge(self, case: str, records: Records) -> bool:
    """Returns whether the best rate is the first or last one of the grid."""
    rates = self.grid(records)
    return self.best_rate(case, records) in (rates[0], rates[-1])

  def num_steps(self, workload: str, case: str, records: Records) -> int:
    """Returns the number of updates of a case: those that fill the seconds.

    It has three significant digits, by the median of the rounds.
    """
    budget = self.workloads[workload]
    if budget.seconds is None:
      steps: Any = budget.num_steps
      return steps if isinstance(steps, int) else steps[case]
    step_s = np.median(self._measured(workload, case, records))
    return max(int(float(f'{budget.seconds / step_s:.3g}')), 1)

  def make_config(
      self, task: Task, records: Records, imports: Sequence[str] = (),
  ) -> configuration.Config:
    """Returns the configuration of the run of a task.

    Args:
      task: of the study.
      records: those before it.
      imports: modules with types of the study.
    """
    workload = self.workloads[task.workload]
    values = workload.shared
    if workload.num_validation is not None:
      is_trial = task.kind == TUNE
      values |= {'num_validation': workload.num_validation if is_trial else 0,
                 'evaluate_every': 0, 'keep_best': False, 'patience': 0}
    values |= {'imports': tuple(imports), **workload.settings,
               **self.cases[task.case]}
    if task.kind != TIME:
      num_steps = self.num_steps(task.workload, task.case, records)
      values |= {
          'num_steps': num_steps, 'warmup_steps': num_steps // 10,
          'learning_rate': task.rate, 'seed': task.seed, 'sample_every': 0,
          'checkpoint_every': max(num_steps // 4, 1)}
    return configuration.make_config(**{
        name: value for name, value in values.items() if value is not None})

  def check(self) -> None:
    """Raises `InvalidValueError` if the settings of a case are refused."""
    for workload in self.workloads:
      for case in self.cases:
        try:
          self.make_config(Task(TIME, workload, case), {})
        except errors.InvalidValueError as error:
          raise errors.InvalidValueError(
              'cases', case, f'settings that suit {workload}',
              errors.sentence(error)) from error
