"""What `rlcont resume` may change of a run. Help and completion read this, so it imports nothing."""

ROUNDING = ("device", "compile", "precision", "workers")
"""Keys that change how numbers are rounded, and nothing else about learning."""
CHANGEABLE = (
    *("total_steps", "eval.every", "eval.save_policies", "log.every", "checkpoint.every", "checkpoint.keep"),
    "actors.address",
    *ROUNDING,
)
"""Keys that `rlcont resume` may change. None of them changes what is learned, or from which data."""
