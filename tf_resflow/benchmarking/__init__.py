"""Time and memory of the tasks of a flow, each in a process of its own."""

from tf_resflow.benchmarking.operations import count_evaluation
from tf_resflow.benchmarking.operations import count_training_step
from tf_resflow.benchmarking.operations import matmul_rate
from tf_resflow.benchmarking.processes import measure
from tf_resflow.benchmarking.report import format_table
from tf_resflow.benchmarking.report import read_baseline
from tf_resflow.benchmarking.tasks import measure_evaluation
from tf_resflow.benchmarking.tasks import measure_sampling
from tf_resflow.benchmarking.tasks import measure_training
from tf_resflow.benchmarking.tasks import Settings
