"""A copy of a run's scalars at Weights & Biases, where log.wandb names a project."""

import hashlib
from pathlib import Path
from typing import Any

from rlcont.core.errors import UserError, one_line


def begin_copy(project: str, folder: Path, settings: dict[str, Any]) -> Any:
    """Starts the run in W&B's `project`, or goes on with that of a run that resumes."""
    import wandb

    try:
        return wandb.init(
            project=project,
            dir=str(folder),
            name=folder.name,
            id=hashlib.sha256(str(folder).encode()).hexdigest()[:16],
            resume="allow",
            config=settings,
        )
    except Exception as error:  # Its own classes, and those of the network below it.
        raise UserError(f"log.wandb={project}: {one_line(error)}; WANDB_MODE=offline needs no network") from error
