"""Exceptions that end a command early without being defects."""

from __future__ import annotations


class UserError(Exception):
    """A mistake that the user can correct. Its message is the one line that is printed."""

    def __str__(self) -> str:
        return " ".join(super().__str__().split())


class ForeignError(UserError):
    """An exception of the user's own code, such as an environment's, as one line."""


class ActorsLost(UserError):
    """No actor is left; the learner itself is intact."""


class Stopped(KeyboardInterrupt):
    """A signal ended the run. Its message is the one line that is printed."""

    def __init__(self, number: int, message: str):
        super().__init__(message)
        self.exit_code = 128 + number


def one_line(error: BaseException) -> str:
    """An error as one line: its type, unless it is a UserError, and the first line of its message."""
    text = str(error).strip().partition("\n")[0]
    if isinstance(error, UserError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
