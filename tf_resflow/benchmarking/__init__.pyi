from . import programs as programs
from . import report as report
from . import tasks as tasks
