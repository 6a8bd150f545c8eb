"""rlcont: a laboratory for reinforcement learning with continuous actions."""

from rlcont.lazy import lazy

__version__ = "0.1.0"

lazy("torch")
lazy("rlcont.nets")
