"""Exceptions that end a command early without being defects."""

from __future__ import annotations


class UserError(Exception):
    """A mistake that the user can correct. Its message is the one line that is printed."""

    def __str__(self) -> str:
        return " ".join(super().__str__().split())


class ActorsLost(UserError):
    """No actor is left; the learner itself is intact."""


class Stopped(KeyboardInterrupt):
    """A signal ended the run. Its message is the one line that is printed."""

    def __init__(self, number: int, message: str):
        super().__init__(message)
        self.exit_code = 128 + number
