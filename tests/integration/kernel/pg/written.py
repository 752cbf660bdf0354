"""Named statements of the tests of roles."""

from headwater.kernel.pg import queries

SQL = queries.load("tests.integration.kernel.pg", "written.sql")
