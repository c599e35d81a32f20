"""Which processes train together: flags, TF_CONFIG, Slurm, Kubernetes."""

from concurrent import futures
import json
import re
import socket

import pytest

from tests import hosts as hosts_lib
from tests import splits
from tf_resflow.training import clusters

_Options = clusters.ClusterOptions
_SLURM = {
    'SLURM_PROCID': '1', 'SLURM_JOB_ID': '77', 'SLURM_STEP_NUM_TASKS': '2',
    'SLURM_STEP_NODELIST': 'n[9-10]'}


def _tf_config(task_type='worker', index=0, **jobs):
  return {'TF_CONFIG': json.dumps({
      'cluster': jobs, 'task': {'type': task_type, 'index': index}})}


@pytest.mark.parametrize('environment, index', [
    (_tf_config('chief', chief=['a:1'], worker=['b:1', 'c:1']), 0),
    (_tf_config('worker', 1, worker=['c:1', 'b:1'], chief=['a:1']), 2),
    (_tf_config('worker', 1, worker=['a:1', 'b:1', 'c:1']), 1)])
def test_tf_config(environment, index):
  """The chief comes first; auto joins, too."""
  for cluster in (clusters.find_named(environment),
                  clusters.find(environment, _Options())):
    assert sorted(cluster.workers) == ['a:1', 'b:1', 'c:1']
    assert cluster.rank == index
    if 'chief' in environment['TF_CONFIG']:
      assert cluster.workers == (
          'a:1', *json.loads(environment['TF_CONFIG'])['cluster']['worker'])


@pytest.mark.parametrize('environment', [
    {}, {'TF_CONFIG': '{}'}, _tf_config(worker=['a:1']),
    {**_SLURM, 'SLURM_STEP_NUM_TASKS': '1'},
    {'SLURM_PROCID': '0', 'SLURM_NTASKS': '4'}])  # A batch script.
def test_a_process_alone(environment):
  assert clusters.find_named(environment) is None


def test_a_step_of_slurm():
  """Ranks follow the order of the list, not that of the names."""
  assert clusters.find(_SLURM, _Options()) == (('n9:20077', 'n10:20077'), 1)


def test_a_job_of_kubernetes():
  hosts = ('job-0.net:2222', 'job-1.net:2222')
  assert clusters.find(
      {'JOB_COMPLETION_INDEX': '1'}, _Options(hosts)) == (hosts, 1)
  assert clusters.find(
      {'JOB_COMPLETION_INDEX': '1'}, _Options(hosts, 0)).rank == 0


@pytest.mark.parametrize('message, environment', [
    ('This process belongs to a step of several tasks of Slurm.', _SLURM),
    ('belongs to an indexed job of Kubernetes.', {'JOB_COMPLETION_INDEX': '0'}),
    ('expected tasks of the types chief and worker. It has evaluator.',
     _tf_config('evaluator', worker=['a:1', 'b:1'])),
    ('It has ps.', _tf_config(worker=['a:1'], ps=['b:1'])),
    ('expected {"cluster": ', {'TF_CONFIG': '{"cluster"'}),
    ('expected {"cluster": ', {
        'TF_CONFIG': '{"cluster": {"worker": ["a:1", "b:1"]}}'}),
    ('expected {"cluster": ', {'TF_CONFIG': '[]'})])
def test_what_auto_refuses(message, environment):
  assert message in splits.refusal(clusters.find_named, environment)


@pytest.mark.parametrize('message, environment, options', [
    ('strategy=multi_worker: expected the processes to train with.', {}, ()),
    ('worker_hosts=a:1,b:1 requires --worker_index.', {}, (('a:1', 'b:1'),)),
    ("One is 'b'.", {}, (('a:1', 'b'), 0)),
    ('a:1 is there twice.', {}, (('a:1', 'a:1'), 0)),
    ('an index below 2, the number of processes. The index is 2.', {},
     (('a:1', 'b:1'), 2)),
    ('Start the processes by srun.',
     {**_SLURM, 'SLURM_STEP_NODELIST': 'n[a-b]'}, ()),
    ('expected one task on each node. There are 4 on 2. Start them by srun',
     {**_SLURM, 'SLURM_STEP_NUM_TASKS': '4'}, ())])
def test_what_multi_worker_refuses(message, environment, options):
  assert message in splits.refusal(
      clusters.find, environment, _Options(*options))


def test_options_of_a_process_alone():
  for options, message in (
      (_Options(('a:1',)), 'worker_hosts=a:1 requires --strategy=multi'),
      (_Options(rank=0), 'worker_index=0 requires --strategy=multi')):
    assert message in splits.refusal(options.check_alone)
  _Options().check_alone()


def _meet(*counts):
  """Lets processes with these numbers of GPUs meet; returns their errors.

  The first one comes late, after a stranger has called the second one.
  """
  workers = tuple(hosts_lib.hosts(len(counts)))

  def join(rank):
    clusters.rendezvous(clusters.Cluster(workers, rank), 60.0, counts[rank])

  with futures.ThreadPoolExecutor() as pool:
    others = [pool.submit(join, i) for i in range(1, len(counts))]
    host, port = workers[1].split(':')
    for said in b'', b'[0, 1]x', b'{}', b'[[0], 1]', b'[7, 5]', b'9' * 999:
      while True:
        try:
          with socket.create_connection((host, int(port))) as stranger:
            stranger.sendall(said)
          break
        except ConnectionRefusedError:  # It is not there yet.
          pass
    return [f.exception() for f in (pool.submit(join, 0), *others)]


def test_processes_meet():
  assert _meet(0, 0, 0) == [None] * 3


def test_unequal_numbers_of_gpus_are_refused_by_all():
  for error in _meet(2, 1):
    assert re.fullmatch(
        r'strategy=multi_worker: expected as many GPUs in each process. '
        r'localhost:\d+ has 2, localhost:\d+ has 1. Hide some by CUDA_VISIBLE_'
        'DEVICES.', str(error))


def test_a_process_that_does_not_come():
  workers = tuple(hosts_lib.hosts())
  with pytest.raises(
      clusters.PeerLostError, match=f'^{workers[1]} did not join within 0.3 s'):
    clusters.rendezvous(clusters.Cluster(workers, 0), 0.3, 0)
  with socket.create_server(('', int(workers[0].split(':')[1]))):
    assert f'worker_hosts={workers[0]}: expected a port that is free' in (
        splits.refusal(
            clusters.rendezvous, clusters.Cluster(workers, 0), 0.3, 0))
