"""The log of a study after kills, and by two processes."""

import dataclasses
import json

import pytest

from tf_resflow import errors
from tf_resflow.experiments import study as study_lib
from tf_resflow.experiments import study_log

_STUDY = study_lib.Study(
    title='A question', cases={'a': {}, 'b': {}},
    workloads={'digits': study_lib.Workload(flagfile='digits', num_steps=9)},
    rates=(0.01, 0.02))
_TASKS = _STUDY.pending({})


def _open(path, study=_STUDY):
  return study_log.StudyLog(path, 'mine', study)


@pytest.fixture
def path(tmp_path):
  path = tmp_path / 'study.jsonl'
  with _open(path) as log:
    log.append(_TASKS[0], {'bits_per_dim': 0.1 + 0.2})
  return path


def test_records_are_read_again(path):
  with _open(path) as log:
    assert log.records[_TASKS[0].name]['bits_per_dim'] == 0.1 + 0.2
    log.append(_TASKS[1], {})
  name, study, records = study_log.read(path)
  assert name == 'mine' and study.declared() == _STUDY.declared()
  assert list(records) == [t.name for t in study.pending({})[:2]]
  assert json.loads(path.read_text().splitlines()[0])['cases'] == {
      'a': {}, 'b': {}}


@pytest.mark.parametrize('keeps_header', [False, True])
def test_half_a_line_is_removed(path, keeps_header):
  text = path.read_text()
  cut = len(text.splitlines()[0]) + 20 if keeps_header else 20
  path.write_text(text[:cut])
  with _open(path) as log:
    assert not log.records
    log.append(_TASKS[0], {'bits_per_dim': 0.1 + 0.2})
  assert path.read_text() == text


def test_a_log_that_is_not_there_is_named(path):
  with pytest.raises(errors.InvalidValueError, match='other: .*no such file'):
    study_log.read(f'{path}.other')


def test_a_damaged_line_is_refused(path):
  path.write_text(path.read_text().replace('{"task"', '{"tas', 1))
  with pytest.raises(errors.InvalidValueError, match='Its line 2 is damaged'):
    _open(path)


def test_another_study_is_refused(path):
  other = study_lib.Study(**{
      **{f: getattr(_STUDY, f) for f in ('title', 'cases', 'workloads')},
      'rates': (0.01, 0.03)})
  with pytest.raises(errors.InvalidValueError, match='It has another rates'):
    _open(path, other)
  # The first case is the one that others are compared with.
  turned = dataclasses.replace(_STUDY, cases={'b': {}, 'a': {}})
  with pytest.raises(errors.InvalidValueError, match='It has another cases'):
    _open(path, turned)


def test_logs_of_before_a_field_was_there_go_on(path):
  header, *rest = path.read_text().splitlines()
  header = json.loads(header)
  del header['max_extensions']
  path.write_text('\n'.join([json.dumps(header), *rest, '']))
  with _open(path) as log:
    assert len(log.records) == 1


def test_flagfiles_that_change_are_another_study(path):
  """But for what a study decides itself; the log alone is read as it is."""
  text = path.read_text()
  assert '"learning_rate"' not in text
  path.write_text(text.replace('"activation": "', '"activation": "other', 1))
  with pytest.raises(errors.InvalidValueError, match='another flagfiles'):
    _open(path)
  assert len(study_log.read(path)[2]) == 1


def test_one_process_at_a_time(path):
  with _open(path):
    with pytest.raises(study_log.BusyError, match='another process'):
      _open(path)
  _open(path).__exit__()
