"""Files and folders that appear complete or not at all."""

import fcntl
import os

import pytest

from tf_resflow import drafts


def test_a_draft_becomes_the_folder(tmp_path):
  with drafts.atomic_path(tmp_path / 'parent' / '1') as draft:
    draft.mkdir()
    (draft / 'file').write_text('x')
    assert os.listdir(tmp_path / 'parent') == [draft.parent.name]
  assert [str(p.relative_to(tmp_path)) for p in tmp_path.rglob('*')] == [
      'parent', 'parent/1', 'parent/1/file']


def test_a_file_takes_the_place_of_an_earlier_one(tmp_path):
  path = tmp_path / 'x.csv'
  for text in ('one', 'two'):
    with drafts.atomic_path(path) as draft:
      draft.write_text(text)
      assert not path.exists() or path.read_text() == 'one'
    assert path.read_text() == text
  assert os.listdir(tmp_path) == ['x.csv']


@pytest.mark.parametrize('error', [ValueError, KeyboardInterrupt])
def test_an_error_leaves_nothing(tmp_path, error):
  with pytest.raises(error), drafts.atomic_path(tmp_path / '1') as draft:
    draft.mkdir()
    raise error
  assert not list(tmp_path.iterdir())


def test_a_folder_that_was_filled_meanwhile_is_kept(tmp_path):
  with (pytest.raises(OSError, match='another process has filled it'),
        drafts.atomic_path(tmp_path / '1') as draft):
    draft.mkdir()
    (tmp_path / '1').mkdir()
    (tmp_path / '1' / 'theirs').write_text('x')
  assert os.listdir(tmp_path) == ['1']
  assert os.listdir(tmp_path / '1') == ['theirs']


@pytest.mark.reliability(promise='leftovers')
def test_leftovers_of_killed_processes_alone_are_removed(tmp_path):
  """Those of the same name; living processes lock theirs."""
  for name in ('.1.draft.killed_1', '.1.draft.living_1', '.2.draft.killed_1',
               '.1', '.1.draft.mine'):
    (tmp_path / name).mkdir()
  file = os.open(tmp_path / '.1.draft.living_1', os.O_RDONLY)
  fcntl.flock(file, fcntl.LOCK_EX)
  with drafts.atomic_path(tmp_path / '1') as draft:
    draft.mkdir()
  os.close(file)
  assert set(os.listdir(tmp_path)) == {
      '.1.draft.living_1', '.2.draft.killed_1', '.1', '1', '.1.draft.mine'}
