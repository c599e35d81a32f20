"""Sections of a configuration: model type, objective, optimizer, run."""

import dataclasses
from typing import Literal

from tf_resflow.specs import fields
from tf_resflow.specs import registries


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelTypeConfig(fields.Section):
  """Model type."""

  model: str | None = fields.field(
      None, help='Model type: image (multi-scale) or vector (fully connected); '
      'by default that of the data set.', choices=registries.MODELS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ObjectiveConfig(fields.Section):
  """Training objective."""

  objective: str | Literal['auto'] = fields.field(
      fields.AUTO, help='Training loss; auto follows from the data, --hybrid '
      'and --nll_weight.', choices=registries.OBJECTIVES)
  hybrid: bool = fields.field(
      False, help='Train the flow and a classifier of the labels on its '
      'features.')
  nll_weight: float | Literal['1/D'] = fields.field(
      1.0, help='With --hybrid: weight lambda in the loss lambda * nats(x) + '
      'cross entropy; 1/D is one over the dimension of x, 0 trains only the '
      'classifier.', minimum=0)
  annealing_steps: int = fields.field(
      0, help='Number of updates over which the weight of the log-determinant '
      'in the loss (not in metrics) rises linearly from 0 to 1; 0 disables '
      'annealing.', minimum=0)
  order_gradient: str = fields.field(
      'likelihood', help='With --norms=learned: train the orders by the loss '
      '(likelihood) or by 0.01 times the mean norm of layers (norm, as the '
      'authors).',
      choices=('likelihood', 'norm'))

  def check(self) -> None:
    if self.objective != fields.AUTO:
      self.require_defaults(
          ('nll_weight',), f'with objective={self.objective}',
          'Write objective=hybrid:WEIGHT.')
    self.require(
        not (self.annealing_steps and self.hybrid and self.nll_weight == 0),
        'annealing_steps', problem='has no effect with nll_weight=0')

  def nll_weight_of(self, event_size: int) -> float:
    """Returns `nll_weight` as a number; 1/D is one over `event_size`."""
    return 1.0 / event_size if self.nll_weight == '1/D' else self.nll_weight


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerConfig(fields.Section):
  """Optimizer, learning rate and batches."""

  num_steps: int = fields.field(
      1000, help='Total number of updates; --schedule=constant lets you raise '
      'it later. auto is 500 for your own vectors below 1,000, 2000 for '
      'more, or four epochs, at most 6000, and 1000 for other data.',
      minimum=1, placeholders=(fields.AUTO,),
      resumable=lambda config, _: config.is_endless, is_basic=True)
  batch_size: int = fields.field(
      64, help='Examples per batch, over all devices.', minimum=1,
      is_basic=True)
  accumulation_steps: int = fields.field(
      1, help='Number of batches whose gradients are averaged per update; '
      'raise it where memory limits --batch_size.', minimum=1)
  optimizer: str = fields.field(
      'adam', help='Optimizer: adam, sgd (with momentum), rmsprop, or adamax '
      '(Adam with an infinity-norm second moment).',
      choices=registries.OPTIMIZERS)
  learning_rate: float = fields.field(
      1e-3, help='Learning rate after the warm-up; lower it if training '
      'diverges.', above=0, is_basic=True)
  warmup_steps: int = fields.field(
      1000, help='Number of updates of the linear learning rate warm-up; raise '
      'it if training diverges early.', minimum=0)
  schedule: str = fields.field(
      'constant', help='Learning rate schedule after the warm-up: constant, or '
      'cosine decay to zero at --num_steps.', choices=registries.SCHEDULES)
  decay_steps: int = fields.field(
      0, help='Number of updates at which --schedule=cosine and --input_noise '
      'reach zero, at least --num_steps; 0 for --num_steps.', minimum=0)
  momentum: float = fields.field(
      0.9, help='Momentum of sgd (beta_1 of adam and adamax is 0.9).',
      minimum=0, below=1)
  beta_2: float = fields.field(
      0.99, help='Decay rate of the second-moment estimates of adam, rmsprop '
      'and adamax.', minimum=0, below=1)
  epsilon: float = fields.field(
      1e-8, help='Constant that adam, rmsprop and adamax add to denominators '
      'for numerical stability.', above=0)
  input_noise: float = fields.field(
      fields.AUTO, help='Regularisation of flows on vectors: standard '
      'deviation of Gaussian noise that is added to standardised vectors in '
      'training and falls to zero over --num_steps; auto follows from the rows '
      'of your own vectors, larger for few of them, and is 0 for other data.',
      minimum=0, placeholders=(fields.AUTO,))
  weight_decay: float = fields.field(
      0.0, help='Decoupled weight decay of kernels (as in AdamW), with every '
      'optimizer.', minimum=0)
  clip_norm: float = fields.field(
      1.0, help='Maximum global norm of gradients, for clipping; lower it if '
      'training diverges.', above=0)
  skip_nonfinite: int = fields.field(
      0, help='Pass over at most this many batches of a run whose loss or '
      'gradient is not finite, instead of ending it.', minimum=0,
      resumable=True)
  ema_decay: float = fields.field(
      0.999, help='Decay of the exponential moving average of the weights '
      'that evaluation uses.', minimum=0, below=1)

  @property
  def is_endless(self) -> bool:
    """Whether no update depends on the number of them."""
    return self.schedule in registries.ENDLESS_SCHEDULES and (
        self.input_noise in (0, fields.AUTO))

  @property
  def num_decay_steps(self) -> int:
    """Number of updates of a schedule that ends."""
    return self.decay_steps or self.num_steps

  def check(self) -> None:
    self.require(
        self.num_steps == fields.AUTO or self.num_decay_steps >= self.num_steps,
        'decay_steps', expected=f'0, or at least num_steps={self.num_steps}')


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig(fields.Section):
  """Run: seed, devices, checkpoints and logs."""

  seed: int = fields.field(
      0, help='Random seed of the initial weights, data order, noise and '
      'log-determinant estimators.', minimum=0, maximum=2**31 - 1,
      is_basic=True)
  imports: tuple[str, ...] = fields.field(
      (), help='Comma-separated Python modules to import first; they register '
      'your own types.',
      flag='import', resumable=True)
  strategy: str = fields.field(
      'auto', help='Devices to train on: single (one), mirrored (all), '
      'multi_worker (all of several processes), or auto (all GPUs, else one '
      'CPU; several processes if TF_CONFIG names them).',
      choices=registries.STRATEGIES,
      resumable=True, is_basic=True)
  jit_compile: bool = fields.field(
      False, help='Compile the gradient computation with XLA; it may be faster '
      'on GPUs, but is slower on CPUs.', resumable=True)
  checkpoint_every: int = fields.field(
      1000, help='Updates between checkpoints.', minimum=1, resumable=True)
  checkpoints_to_keep: int = fields.field(
      3, help='Number of most recent checkpoints to keep.', minimum=1,
      resumable=True)
  log_every: int = fields.field(
      50, help='Updates between entries of metrics.csv and TensorBoard.',
      minimum=1, resumable=True)
  sample_every: int = fields.field(
      1000, help='Updates between pictures of samples; 0 for none.', minimum=0,
      resumable=True)
  evaluate_every: int = fields.field(
      fields.AUTO, help='Updates between validations; needs --num_validation '
      '(unbiased log-likelihood, and the bias of a biased estimator); 0 for '
      'none; auto is 0 except for your own vectors.',
      minimum=0, placeholders=(fields.AUTO,), resumable=True, is_basic=True)
  keep_best: bool = fields.field(
      fields.AUTO, help='Also keep the checkpoint with the lowest validation '
      'loss, in WORKDIR/best, which other commands load unless there is a '
      '--refit; auto does so only for your own vectors.',
      placeholders=(fields.AUTO,), resumable=True, is_basic=True)
  patience: int = fields.field(
      fields.AUTO, help='Stop after this many updates without a lower '
      'validation loss; needs --keep_best; 0 for never; auto is 0 except for '
      'your own vectors.', minimum=0, placeholders=(fields.AUTO,),
      resumable=True, is_basic=True)
  refit: bool = fields.field(
      fields.AUTO, help='Train the flow of the lowest validation loss again at '
      'the end, on all training rows, those for validation too, for as many '
      'updates; needs --keep_best; auto does so below 1,000 rows, if a test '
      'part remains.', placeholders=(fields.AUTO,), resumable=True,
      is_basic=True)

  def check(self) -> None:
    self.require(
        self.refit is not True or self.keep_best is not False, 'refit',
        problem='requires keep_best', advice='--norefit leaves it out.')
    self.require(
        self.evaluate_every != 0 or self.keep_best is not True, 'keep_best',
        problem='requires evaluate_every and num_validation')
    self.require(
        self.patience in (0, fields.AUTO) or self.keep_best is not False,
        'patience', problem='requires keep_best')
