"""Runs of the tests of tools, of which functions say the same."""

from tests.commands.conftest import digits_workdir as digits_workdir
from tests.commands.conftest import labelled_workdir as labelled_workdir
from tests.commands.conftest import table as table
from tests.commands.conftest import table_workdir as table_workdir
