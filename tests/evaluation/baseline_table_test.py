"""A table of baselines, number by number."""

from tf_resflow import evaluation


def test_table():
  def entry(alpha):
    return {
        'bits_per_dim': 2.06, 'bits_per_dim_stderr': 0.01,
        'validation_bits_per_dim': 2.1, 'settings': {
            'space': 'raw' if alpha is None else 'logit', 'alpha': alpha,
            'reg_covar': 0.1}}

  lines = evaluation.format_baselines(
      {'gaussian': entry(0.05), 'gaussian_raw': entry(None)}).splitlines()
  assert lines[0].split() == [
      'baseline', 'bits/dim', 'stderr', 'space', 'alpha', 'reg_covar',
      'validation']
  assert lines[1].split() == [
      'gaussian', '2.0600', '0.0100', 'logit', '0.05', '1.00e-01', '2.1000']
  assert lines[2].split()[3:5] == ['raw', '-']
  assert len({len(line) for line in lines}) == 1
