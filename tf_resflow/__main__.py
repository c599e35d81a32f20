"""`python -m tf_resflow TOOL` is the console script `tf_resflow TOOL`."""

from tf_resflow.commands import runner

runner.main()
