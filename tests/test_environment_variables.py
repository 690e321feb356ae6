"""What one test sets in the environment, the next one does not meet."""

from __future__ import annotations

import os


def test_one_sets_a_variable() -> None:
    os.environ["UNBLOAT_LEFT_BEHIND"] = "1"


def test_the_next_does_not_meet_it() -> None:
    assert "UNBLOAT_LEFT_BEHIND" not in os.environ
