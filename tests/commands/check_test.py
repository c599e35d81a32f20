"""bin/check: what holds, what broke, and what it refuses."""

import json

from tests.commands import results

_MODULE = """
import keras
import tensorflow as tf
from tf_resflow import layers


@keras.saving.register_keras_serializable('sines')
class Sine(layers.ElementwiseActivation):
  lipschitz_bound = 1.0
  def evaluate(self, weights, x):
    return tf.sin(x)


@keras.saving.register_keras_serializable('sines')
class Steep(Sine):
  def evaluate(self, weights, x):
    return tf.sin(2.0 * x)
"""


def test_names_what_broke(run_tool, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'sines.py').write_text(_MODULE)
  found = run_tool('check', 'sines:Sine', '--event_shape=2')
  report = results.report(found)
  assert report['num_checks'] > 8 and report['broken'] == {}
  # What was not looked at is listed, with the reason.
  reason = report['not_applicable']['kernels_exceed_their_bound']
  assert reason == 'no constrained kernel: no bound to exceed'
  assert f'n/a    kernels_exceed_their_bound: {reason}' in found.stderr
  assert 'ok     no_slope_exceeds_the_bound_or_the_certificate: ' in (
      found.stderr)
  found = run_tool('check', 'sines:Steep', '--event_shape=2')
  assert found.status == 2
  (name,) = json.loads(found.stdout.splitlines()[-1])['broken']
  assert f'BROKEN {name}: slopes reach ' in found.stderr
  assert found.stderr.splitlines()[-1] == f'check: error: broken: {name}.'


def test_bad_input(run_tool):
  results.check_errors(run_tool, 'check', [
      ([], '--name is missing. MODULE:NAME'),
      (['math'], '--name=math: expected MODULE:NAME with a name of the module'),
      (['no_module:Sine'], '--import=no_module: expected a module that can be '
       'imported. No module named'),
      (['math:no_name'], '--name=math:no_name: expected MODULE:NAME')])
