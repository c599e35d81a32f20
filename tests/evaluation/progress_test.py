"""The progress bar shows up when it is asked to."""

from tf_resflow.evaluation import progress


def test_verbose(capsys):
  for verbose, shown in ((1, '5/5'), (0, '')):
    bar = progress.progress_bar(5, verbose)
    bar.add(2)
    bar.add(3)
    output = capsys.readouterr().out
    assert shown in output and bool(output) == bool(shown)
