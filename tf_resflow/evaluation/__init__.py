"""Evaluation: likelihoods with their errors, inversion, baselines, figures."""

from tf_resflow.evaluation.classification import accuracy
from tf_resflow.evaluation.figures import image_grid
from tf_resflow.evaluation.figures import save_image
from tf_resflow.evaluation.figures import save_image_grid
from tf_resflow.evaluation.inputs import evaluate_inputs
from tf_resflow.evaluation.inputs import exact_batch_size
from tf_resflow.evaluation.inputs import read_inputs
from tf_resflow.evaluation.inversion import check_inverse
from tf_resflow.evaluation.inversion import InversionReport
from tf_resflow.evaluation.likelihood import bits_per_dim
from tf_resflow.evaluation.likelihood import default_estimator
from tf_resflow.evaluation.likelihood import roulette_estimator
from tf_resflow.evaluation.report import evaluate
from tf_resflow.evaluation.report import format_table
from tf_resflow.evaluation.report import report_inputs
