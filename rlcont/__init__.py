"""rlcont: a laboratory for reinforcement learning with continuous actions."""

__version__ = "0.2.0"
