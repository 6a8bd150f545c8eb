"""The exceptions that end a command early and are no defect."""

from __future__ import annotations


class UserError(Exception):
    """A mistake the user can mend; its message is the one line they will read."""

    def __str__(self) -> str:
        return " ".join(super().__str__().split())


class ActorsLost(UserError):
    """Nobody acts for the learner any more, which is whole itself."""


class Stopped(KeyboardInterrupt):
    """A signal ended the run; its message is the one line the user will read."""

    def __init__(self, number: int, message: str):
        super().__init__(message)
        self.exit_code = 128 + number
