"""The one exception for a user's mistake, in a file that costs nothing to import."""

from __future__ import annotations


class UserError(Exception):
    """A mistake the user can mend; its message is the one line they will read."""

    def __str__(self) -> str:
        return " ".join(super().__str__().split())
