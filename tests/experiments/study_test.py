"""What a study does next, by its log alone."""

import math

import pytest

from tf_resflow import configuration
from tf_resflow import errors
from tf_resflow.configuration import flagfiles
from tf_resflow.experiments import study as study_lib

_BUDGETS = {'seconds': 60.0}


def _study(**fields):
  return study_lib.Study(**{
      'title': 'A question', 'cases': {'a': {}, 'b': {'activation': 'elu'}},
      'workloads': {
          'digits': study_lib.Workload(flagfile='digits', num_steps=100),
          'large': study_lib.Workload(
              flagfile='mnist5k', num_steps={'a': 40, 'b': 50},
              rate_factor=0.5)},
      'rates': (0.01, 0.02, 0.04), 'num_seeds': 2} | fields)


def _finish(study, value_fn, kinds=study_lib.TUNE):
  """Returns the records of a study whose losses are known."""
  records, order = {}, []
  while tasks := [t for t in study.pending(records) if t.kind in kinds]:
    task = tasks[0]
    order.append(task)
    value = value_fn(task)
    records[task.name] = {'kind': task.kind, 'workload': task.workload} | (
        {} if value is None else {study.metrics[0]: value})
  return records, order


def _bowl(lowest):
  """Losses with a minimum at a rate for each case."""
  return lambda task: abs(math.log(task.rate / lowest[task.case]))


def test_cases_take_turns_and_have_equal_trials():
  study = _study()
  _, order = _finish(study, _bowl({'a': 0.02, 'b': 0.02}))
  assert [(t.case, t.rate) for t in order] == [
      (case, rate) for rate in study.rates for case in 'ab']


@pytest.mark.parametrize('lowest,grid', [
    ({'a': 0.02, 'b': 0.02}, [0.01, 0.02, 0.04]),
    ({'a': 0.08, 'b': 0.02}, [0.01, 0.02, 0.04, 0.08, 0.16]),
    ({'a': 0.005, 'b': 0.08}, [0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16]),
    ({'a': 9.0, 'b': 0.02}, [0.01, 0.02, 0.04, 0.08, 0.16])])
def test_the_grid_grows_where_a_best_rate_is_at_its_edge(lowest, grid):
  study = _study()
  records, order = _finish(study, _bowl(lowest))
  assert study.grid(records) == pytest.approx(grid)
  assert sorted({t.rate for t in order}) == pytest.approx(grid)
  assert [len([t for t in order if t.case == c]) for c in 'ab'] == (
      [len(grid)] * 2)
  best = study.best_rate('a', records)
  assert (best in (grid[0], grid[-1])) == (lowest['a'] > 1.0)


def test_rates_that_diverge_are_worse_than_all_others():
  study = _study()
  records, _ = _finish(study, lambda t: None if t.rate > 0.03 else -t.rate)
  assert study.best_rate('a', records) == 0.02
  # Lower ones are tried before it gives up.
  with pytest.raises(
      errors.InvalidValueError,
      match=r'rates=\[0.0025, .*: expected rates at which a does not diverge'):
    _finish(study, lambda t: None)


def test_finalists_have_the_best_rate_and_other_seeds():
  study = _study(metrics=('accuracy',))
  # Higher is better.
  records, _ = _finish(study, lambda t: -abs(t.rate - 0.02))
  finals = study.pending(records)
  assert {(t.kind, t.rate, t.seed) for t in finals if t.workload == 'digits'
          } == {('final', 0.02, 1), ('final', 0.02, 2)}
  assert {t.rate for t in finals if t.workload == 'large'} == {0.01}
  # Cases take turns, so that a change of the machine meets all.
  assert [t.case for t in finals] == ['a', 'b'] * 4
  for final in finals:
    records[final.name] = {
        'kind': 'final', 'workload': final.workload, 'accuracy': 0.5}
  compared = study.pending(records)
  assert [t.name for t in compared] == ['compare-digits-b', 'compare-large-b']
  for task in compared:
    records[task.name] = {'kind': 'compare'}
  assert not study.pending(records)
  assert study.num_left(records) == {'digits': 0, 'large': 0}


def test_steps_fill_the_seconds_by_the_median_of_measured_times():
  study = _study(workloads={
      'digits': study_lib.Workload(flagfile='digits', **_BUDGETS)})
  times = [t for t in study.pending({}) if t.kind == study_lib.TIME]
  assert [t.case for t in times] == ['a', 'b'] * study_lib.NUM_ROUNDS
  records = {
      t.name: {'kind': 'time', 'step_s': (t.seed + 4) / 5 * (
          0.1 if t.case == 'a' else 0.037)} for t in times}
  assert study.num_steps('digits', 'a', records) == 600
  assert study.num_steps('digits', 'b', records) == 1620  # 1621.6


def test_times_that_differ_are_measured_again():
  study = _study(workloads={
      'digits': study_lib.Workload(flagfile='digits', **_BUDGETS)})
  # Something else ran in the first round of b.
  records = {t.name: {'kind': 'time', 'step_s': 0.2 if (
      t.case, t.seed) == ('b', 0) else 0.1} for t in study.pending({})}
  again = study.pending(records)
  assert [(t.case, t.seed) for t in again] == [('b', 3), ('b', 4), ('b', 5)]
  records |= {t.name: {'kind': 'time', 'step_s': 0.12} for t in again}
  assert study.pending(records)[0].kind == study_lib.TUNE
  assert study.num_steps('digits', 'b', records) == 500


def test_configurations_of_tasks():
  study = _study(cases={
      'a': {}, 'b': {'activation': 'elu', 'hidden_channels': 24}})
  tune, final = (study.make_config(
      study_lib.Task(kind, 'large', 'b', 0.03, seed), {})
                 for kind, seed in (('tune', 0), ('final', 2)))
  assert (tune.model.activation, tune.optimizer.num_steps,
          tune.optimizer.warmup_steps, tune.optimizer.learning_rate) == (
              'elu', 50, 5, 0.03)
  assert tune.data.num_validation == 200
  assert (final.data.num_validation, final.run.seed) == (0, 2)


@pytest.mark.parametrize('fields,expected', [
    ({'rates': (0.01, 0.02, 0.08)}, 'rates='),
    ({'num_seeds': 0}, 'num_seeds=0'),
    ({'cases': {'a': {}}}, 'cases=1'),
    ({'cases': {'a': {}, 'b/c': {}}}, 'name=a, b/c'),
    ({'cases': {'a b': {}, 'a_b': {}}}, 'name=a b, a_b: expected different'),
    ({'cases': {'a': {}, 'b': {'learning_rate': 0.1}}},
     'settings=learning_rate: expected other settings. The study decides'),
    ({'cases': {'a': {}, 'c': {}}}, 'num_steps=.* a number for each case of'),
    ({'metrics': ('bpd',)}, 'metrics=bpd: expected some of bits_per_dim'),
    ({'workloads': {'digits': study_lib.Workload(flagfile='digits')}},
     'seconds=None: expected a number > 0, unless num_steps'),
    ({'workloads': {'digits': study_lib.Workload(
        flagfile='digits', num_steps=9, folds=2)}},
     'folds=2 cannot be used on the data that rates are found on'),
    ({'rates': (), 'workloads': {'digits': study_lib.Workload(
        flagfile='digits', folds=5, num_seeds=3)}},
     'num_seeds=3: expected a multiple of 5 folds')])
def test_studies_that_say_nothing_are_refused(fields, expected):
  with pytest.raises(errors.InvalidValueError, match=expected):
    _study(**fields)


@pytest.fixture
def script(tmp_path):
  path = tmp_path / 'a.py'
  path.write_text('')
  return path


def _without_rates(script, **fields):
  return _study(**{
      'rates': (), 'metrics': ('nats',), 'cases': {
          'a': {}, 'b': {'num_steps': 7},
          'c': study_lib.Program(script=script, requirements=['x==1'])},
      'workloads': {
          'iris': study_lib.Workload(
              flagfile='table', settings={'dataset': 'tables:iris'}),
          'folds': study_lib.Workload(
              flagfile='table', settings={'dataset': 'tables:iris'}, folds=2,
              num_seeds=4)}} | fields)


def test_without_rates_there_are_finalists_alone(script):
  study = _without_rates(script)
  finals = study.pending({})
  assert [t.name for t in finals if t.case == 'a'] == [
      'final-iris-a-1', 'final-folds-a-1', 'final-iris-a-2', 'final-folds-a-2',
      'final-folds-a-3', 'final-folds-a-4']
  assert len(finals) == sum(study.num_left({}).values()) == 18
  assert {t.kind for t in study.pending({t.name: {} for t in finals})} == {
      'compare'}
  study.check()


def test_without_rates_a_run_is_that_of_its_settings(script):
  study = _without_rates(script)
  alone = configuration.make_config(
      **flagfiles.settings('table') | {'dataset': 'tables:iris', 'seed': 2},
      sample_every=0)
  a, b = (study.make_config(study_lib.Task('final', 'iris', case, seed=2), {})
          for case in 'ab')
  assert a == alone and a.optimizer.learning_rate == 5e-3
  assert b == alone.replace(num_steps=7)
  assert [study.make_config(study_lib.Task(
      'final', 'folds', case, seed=seed), {}).data.dataset.partition('/')[2]
          for seed, case in ((1, 'a'), (2, 'c'), (3, 'a'))] == [
              '0.0of2', '0.1of2', '1.0of2']


def test_programs_have_no_trials(script):
  study = _without_rates(script, rates=(0.01, 0.02), workloads={
      'iris': study_lib.Workload(
          flagfile='table', settings={'dataset': 'tables:iris'},
          num_steps=10)}, cases={
              'c': study_lib.Program(script=script), 'a': {}})
  records, order = _finish(study, _bowl({'a': 0.015}))
  assert {t.case for t in order} == {'a'}
  assert {t.rate for t in study.pending(records) if t.case == 'c'} == {0.0}
  assert study.num_left(records) == {'iris': 4}


def test_programs_are_of_vectors(script):
  study = _without_rates(script, workloads={
      'digits': study_lib.Workload(flagfile='digits')})
  with pytest.raises(
      errors.InvalidValueError,
      match='cases=a: expected settings that suit digits. dataset=digits: '
      'expected vectors'):
    study.check()


def test_logs_have_the_text_of_programs_and_read_those_without_new_fields(
    script):
  study = _without_rates(script)
  declared = study.declared()
  assert study_lib.Study.from_declared(declared).declared() == declared
  script.write_text('changed')
  assert _without_rates(script).declared()['cases'] != declared['cases']
  # As a version wrote it that had neither folds nor programs.
  study = _study()
  old = study.declared()
  for workload in old['workloads'].values():
    del workload['folds'], workload['num_seeds']
  assert study_lib.Study.from_declared(old).declared() == study.declared()


def test_settings_that_do_not_suit_are_named_before_the_first_run():
  coupling = {'block': 'coupling', 'activation': 'relu'}
  study = _study(cases={'a': {}, 'b': coupling | {'lipschitz_coeff': 0.9}})
  with pytest.raises(
      errors.InvalidValueError,
      match='cases=b: expected settings that suit digits. lipschitz'):
    study.check()
  _study(cases={'a': {'lipschitz_coeff': 0.9}, 'b': coupling}).check()
