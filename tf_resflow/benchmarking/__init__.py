"""Time and memory of the tasks of a flow, each in a process of its own."""

from tf_resflow.benchmarking.figures import save_memory
from tf_resflow.benchmarking.figures import save_scaling
from tf_resflow.benchmarking.operations import matmul_rate
from tf_resflow.benchmarking.operations import step_work
from tf_resflow.benchmarking.processes import measure
from tf_resflow.benchmarking.report import format_table
from tf_resflow.benchmarking.report import read_baseline
from tf_resflow.benchmarking.studies import predict_training
from tf_resflow.benchmarking.studies import study_cost
from tf_resflow.benchmarking.studies import study_memory
from tf_resflow.benchmarking.tasks import measure_evaluation
from tf_resflow.benchmarking.tasks import measure_sampling
from tf_resflow.benchmarking.tasks import measure_training
from tf_resflow.benchmarking.tasks import peak_memory_gb
from tf_resflow.benchmarking.tasks import Settings
