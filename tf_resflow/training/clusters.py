"""Clusters of processes that train together: by flags, TF_CONFIG or Slurm.

Known without TensorFlow, and before it connects the processes.
"""

from collections.abc import Mapping
import contextlib
import json
import re
import socket
import time
from typing import NamedTuple

from tf_resflow import errors

# Ports of the processes of Slurm, one for each job.
_PORTS = range(20_000, 50_000)
# Seconds between two calls of each other process.
_PAUSE = 0.2


class PeerLostError(errors.ExpectedError):
  """Another process of the run has ended or hangs."""

  exit_status = 4


class Cluster(NamedTuple):
  """`HOST:PORT` of the processes of a run, the chief first; this is `rank`."""

  workers: tuple[str, ...]
  rank: int


class ClusterOptions(NamedTuple):
  """Options of a process that trains together with others.

  Attributes:
    hosts: `HOST:PORT` of each process, this one included.
    rank: position of this process among them; by default the completion index
      of a Kubernetes job.
    timeout: seconds to wait for them at the start.
  """

  hosts: tuple[str, ...] = ()
  rank: int | None = None
  timeout: float = 300.0

  def check_alone(self) -> None:
    """Raises `InvalidValueError` if other processes are named."""
    for name, value in (('worker_hosts', ','.join(self.hosts) or None),
                        ('worker_index', self.rank)):
      errors.check(
          value is None, name, value,
          problem='requires --strategy=multi_worker')


def find(environment: Mapping[str, str], options: ClusterOptions) -> Cluster:
  """Returns the cluster of this process.

  It is that of the given hosts, of TF_CONFIG, or of the step of Slurm, in this
  order. `environment` is one such as `os.environ`.

  Raises:
    InvalidValueError: if what is given names no process of a cluster.

  Example:
    >>> find({}, ClusterOptions(('a:2222', 'b:2222'), 1))
    Cluster(workers=('a:2222', 'b:2222'), rank=1)
  """
  if options.hosts:
    return _of_hosts(options, environment)
  if cluster := _of_tf_config(environment):
    return cluster
  if _num_slurm_tasks(environment):
    return _of_slurm(environment)
  raise errors.InvalidValueError(
      'strategy', 'multi_worker', 'the processes to train with',
      'Give --worker_hosts and --worker_index, or set TF_CONFIG, or start them '
      'by srun.')


def find_named(environment: Mapping[str, str]) -> Cluster | None:
  """Returns the cluster of two or more tasks that TF_CONFIG names, or None.

  Without one, several processes of Slurm or Kubernetes are refused: they may be
  runs of their own.

  Raises:
    InvalidValueError: for these, or if TF_CONFIG is none.
  """
  if environment.get('TF_CONFIG'):
    cluster = _of_tf_config(environment)
    return cluster if cluster and len(cluster.workers) > 1 else None
  several = (
      'a step of several tasks of Slurm' if _num_slurm_tasks(environment) > 1
      else 'an indexed job of Kubernetes' if environment.get(
          'JOB_COMPLETION_INDEX') else '')
  errors.check(
      not several, 'strategy', 'auto', 'multi_worker for processes that train '
      'together, or single or mirrored for runs of their own',
      f'This process belongs to {several}.')
  return None


def _checked(name, value, workers, index):
  """Returns a cluster, unless two processes have one address."""
  for worker in workers:
    host, _, port = worker.rpartition(':')
    errors.check(host and port.isdigit(), name, value, 'HOST:PORT of each '
                 'process', f'One is {worker!r}.')
    errors.check(workers.count(worker) == 1, name, value, 'an address of its '
                 'own for each process', f'{worker} is there twice.')
  errors.check(0 <= index < len(workers), name, value,
               f'an index below {len(workers)}, the number of processes',
               f'The index is {index}.')
  return Cluster(tuple(workers), index)


def _of_hosts(options, environment):
  text, index = ','.join(options.hosts), options.rank
  if index is None:
    completion = environment.get('JOB_COMPLETION_INDEX', '')
    errors.check(
        completion.isdigit(), 'worker_hosts', text,
        problem='requires --worker_index',
        advice='It is the position of this process among them.')
    index = int(completion)
  return _checked('worker_hosts', text, options.hosts, index)


def _of_tf_config(environment):
  """Returns the cluster that TF_CONFIG describes; None without a cluster."""
  text = environment.get('TF_CONFIG') or '{}'
  try:
    value = json.loads(text)
    jobs, task = value.get('cluster', {}), value.get('task', {})
    if not jobs:
      return None
    others = {*jobs, task['type']} - {'chief', 'worker'}
    errors.check(not others, 'TF_CONFIG', text, 'tasks of the types chief and '
                 'worker', f'It has {", ".join(sorted(others))}.')
    chiefs, workers = (list(jobs.get(job, [])) for job in ('chief', 'worker'))
    first = len(chiefs) if task['type'] == 'worker' else 0
    return _checked(
        'TF_CONFIG', text, chiefs + workers, first + int(task['index']))
  except (AttributeError, KeyError, TypeError, RecursionError,
          json.JSONDecodeError) as error:
    raise errors.InvalidValueError(
        'TF_CONFIG', text, '{"cluster": {"worker": ["HOST:PORT", ...]}, '
        '"task": {"type": "worker", "index": 0}}', errors.sentence(error)
    ) from None


def _num_slurm_tasks(environment):
  """Returns the number of tasks of the step, which that of a job is not."""
  return int(environment.get('SLURM_STEP_NUM_TASKS') or
             ('SLURM_PROCID' in environment))


def _of_slurm(environment):
  """Returns the step of this process, with a task on each node.

  The port of all follows from the number of the job.
  """
  try:
    nodes = expand(environment['SLURM_STEP_NODELIST'])
    rank, job = (
        int(environment[name]) for name in ('SLURM_PROCID', 'SLURM_JOB_ID'))
  except (KeyError, ValueError) as error:
    raise errors.InvalidValueError(
        'strategy', 'multi_worker', 'the variables of a step of Slurm',
        f'{errors.sentence(error)} Start the processes by srun.') from None
  count = _num_slurm_tasks(environment)
  errors.check(
      count == len(nodes), 'strategy', 'multi_worker', 'one task on each node',
      f'There are {count} on {len(nodes)}. Start them by srun '
      '--ntasks-per-node=1, or give --worker_hosts.')
  port = _PORTS[job % len(_PORTS)]
  return _checked(
      'SLURM_STEP_NODELIST', environment['SLURM_STEP_NODELIST'],
      [f'{node}:{port}' for node in nodes], rank)


def expand(nodes: str) -> list[str]:
  """Returns the names in a list of nodes of Slurm, in its order.

  Example:
    >>> expand('n[9-10,12]-a,login')
    ['n9-a', 'n10-a', 'n12-a', 'login']
  """
  names = []
  for prefix, ranges, suffix in re.findall(
      r'([^\[\],]*)(?:\[([^\]]*)\])?([^\[\],]*)(?:,|$)', nodes):
    for part in filter(None, ranges.split(',')):
      first, _, last = part.partition('-')
      names += [f'{prefix}{i:0{len(first)}}{suffix}' for i in range(
          int(first), int(last or first) + 1)]
    if not ranges and prefix:
      names.append(prefix)
  return names


def rendezvous(cluster: Cluster, timeout: float, num_gpus: int) -> None:
  """Waits until all processes are there, and compares their numbers of GPUs.

  TensorFlow itself would wait for ever, whatever its `cluster_register_timeout`
  and in a call that no signal ends.

  Args:
    cluster: the processes.
    timeout: seconds to wait.
    num_gpus: number of GPUs of this process.

  Raises:
    InvalidValueError: if the port of this process is taken, or the numbers of
      GPUs differ.
    PeerLostError: if a process does not come in time.
  """
  others = {*range(len(cluster.workers))} - {cluster.rank}
  found, told = {cluster.rank: num_gpus}, set[int]()
  _, port = _address(cluster.workers[cluster.rank])
  deadline = time.monotonic() + timeout
  try:
    server = socket.create_server(('', port))
  except OSError as error:
    raise errors.InvalidValueError(
        'worker_hosts', cluster.workers[cluster.rank], 'a port that is free',
        errors.sentence(error)) from error
  with server:
    server.settimeout(_PAUSE)
    while missing := others - (found.keys() & told):
      if time.monotonic() > deadline:
        names = ', '.join(cluster.workers[i] for i in sorted(missing))
        raise PeerLostError(
            f'{names} did not join within {timeout:g} s. Start all processes '
            'again, or raise --cluster_timeout.')
      # Again and again, since one may have been started anew.
      told |= {i for i in others if _announce(
          cluster.workers[i], [cluster.rank, num_gpus])}
      with contextlib.suppress(OSError):  # Nobody calls.
        for _ in others:
          found.update(_accept(server, others))
  counts = ', '.join(
      f'{worker} has {found[i]}' for i, worker in enumerate(cluster.workers))
  errors.check(
      len({*found.values()}) == 1, 'strategy', 'multi_worker', 'as many GPUs '
      'in each process', f'{counts}. Hide some by CUDA_VISIBLE_DEVICES.')


def _address(worker):
  host, _, port = worker.rpartition(':')
  return host, int(port)


def _announce(worker, message):
  """Sends a message to a process; returns whether it was there."""
  try:
    with socket.create_connection(_address(worker), timeout=2.0) as connection:
      connection.sendall(json.dumps(message).encode())
  except OSError:
    return False
  return True


def _accept(server, others):
  """Returns the number that a process sends, by its rank; none of strangers."""
  connection, _ = server.accept()
  connection.settimeout(2.0)
  with connection, connection.makefile('rb') as file:
    try:
      rank, count = json.loads(file.read(64))
      return {rank: int(count)} if rank in others else {}
    except (TypeError, ValueError):
      return {}
