"""What `make test` leaves out of the members of one kind."""

import pytest


def quick(cases, number=1):
    """Cases of a parametrised test of which all but the first `number` are slow."""
    cases = list(cases)
    rest = (case if isinstance(case, tuple) else (case,) for case in cases[number:])
    return [*cases[:number], *(pytest.param(*case, marks=pytest.mark.slow) for case in rest)]
