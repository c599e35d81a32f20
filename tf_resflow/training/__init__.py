"""Training: flags to configuration, the step, the loop, checkpoints, EMA."""

from tf_resflow.training.ema import ExponentialMovingAverage
from tf_resflow.training.loop import initialize
from tf_resflow.training.loop import make_strategy
from tf_resflow.training.loop import train
from tf_resflow.training.loop import Trainer
from tf_resflow.training.loop import TrainingDivergedError
from tf_resflow.training.loop import TrainingInterruptedError
from tf_resflow.training.metrics import MetricsWriter
from tf_resflow.training.optimizers import make_optimizer
from tf_resflow.training.step import TrainStep
from tf_resflow.training.workdir import check_is_new
from tf_resflow.training.workdir import create_workdir
from tf_resflow.training.workdir import load_config
from tf_resflow.training.workdir import load_model
