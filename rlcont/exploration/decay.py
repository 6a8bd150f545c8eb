"""A factor that shrinks from 1 as training goes on."""

from rlcont.exploration.config import DecayConfig


def decay_factor(config: DecayConfig, step: int, total_steps: int) -> float:
    """The factor at environment step `step`, constant once the decay is over."""
    progress = min(step / (config.steps or total_steps), 1.0)
    match config.kind:
        case "linear":
            return 1.0 + progress * (config.final - 1.0)
        case "exponential":
            return config.final**progress
        case "none":
            return 1.0
