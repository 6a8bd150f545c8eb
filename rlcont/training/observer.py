"""The side effects of training: log, policies, checkpoints, status and signals."""

import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rlcont.config.run import RunConfig
from rlcont.core.errors import ActorsLost, Stopped
from rlcont.core.spelling import flat_keys
from rlcont.core.typed import way_on
from rlcont.core.types import Evaluation
from rlcont.runs.checkpoint import Checkpoints
from rlcont.runs.console import make_reporter
from rlcont.runs.evaluations import evaluation_row
from rlcont.runs.files import shown, writing_to
from rlcont.runs.folder import config_text
from rlcont.runs.log import RunLog
from rlcont.runs.policies import save_policy
from rlcont.runs.status import StatusFile
from rlcont.training.build import RunParts
from rlcont.training.interrupt import Interrupt
from rlcont.training.loop import Training

log = logging.getLogger(__name__)


class RunObserver:
    """Writes what training reports to TensorBoard, policies, checkpoints, status.json and the terminal.

    Args:
        before: for a resumed run, the observer's state in the checkpoint.
    """

    def __init__(
        self,
        config: RunConfig,
        folder: Path,
        parts: RunParts,
        checkpoints: Checkpoints,
        interrupt: Interrupt,
        before: dict[str, Any] | None = None,
    ):
        container = dataclasses.asdict(config)
        container.pop("output")
        position, step = (before["log"], before["step"]) if before else (None, 0)
        self.log = RunLog(folder, flat_keys(container), config_text(config), position, step)
        self.status = StatusFile(folder, "running", config.total_steps)
        self.status.update(step=step)
        self.reporter = make_reporter(config.total_steps, lambda: (parts.training.step, parts.training.learns))
        self.statistics: Callable[[], list[dict[str, Any]]] = parts.env.snapshots.statistics
        """Running statistics of the environments' wrappers, which belong to a policy."""
        if parts.evaluate is not None:
            self.statistics = parts.evaluate.statistics
            parts.evaluate.tell = self.reporter.evaluating
        self.checkpoints = checkpoints
        self.config = config
        self.folder = folder
        self.training, self.agent = parts.training, parts.training.agent
        self.best = before["best"] if before else float("-inf")
        self.interrupt = interrupt
        self.has_remarked = False
        self.start = time.perf_counter() - (before["seconds"] if before else 0)

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        with contextlib.suppress(OSError):  # The disk may be full, and the error that ended the run says so already.
            self.log.close()
        self.reporter.close()
        with contextlib.suppress(OSError):
            self.status.end(error)

    @property
    def seconds(self) -> float:
        """Seconds that the run has taken, those before it was resumed included."""
        return time.perf_counter() - self.start

    def trained(self, values: dict[str, float], step: int, remark: str) -> None:
        if remark and not self.has_remarked:  # Once: the figures go on changing.
            self.has_remarked = True
            log.warning("rlcont: %s", remark)
        train_return, speed = values.get("train/return"), values["train/steps_per_second"]
        self.reporter.progress(step, self.training.learns, train_return, speed)
        with self._writing(step):
            self.log.scalars(values, step)
            returned = {} if train_return is None else {"train_return": train_return}
            self.status.update(
                step=step, steps_per_second=speed, seconds_left=self.reporter.remaining.seconds, **returned
            )

    def evaluated(self, evaluation: Evaluation, step: int) -> None:
        row = evaluation_row(evaluation)
        names = ["last"]
        if row["return_mean"] > self.best:
            self.best = row["return_mean"]
            names.append("best")
        if self.config.eval.save_policies:
            names.append(f"step-{step}")
        self.reporter.evaluated(step, row)
        with self._writing(step):
            self.log.histograms(self.agent.distributions(), step)
            self.log.evaluation(evaluation, step, self.seconds)
            self._save_policies(names, {"step": step, **row})
            figures = {key: row[key] for key in ("return_mean", "return_std")}
            self.status.update(step=step, evaluation_step=step, **figures)

    def keep(self, training: Training) -> None:
        self.status.update(step=training.step)
        if self.config.eval.every is None:
            with self._writing(training.step):
                self._save_policies(["last"], {"step": training.step})
        if self.config.checkpoint.every is None:
            return
        with self._writing(training.step):
            own = {"step": training.step, "log": self.log.position(), "best": self.best, "seconds": self.seconds}
        self.checkpoints.save(training.step, {"training": training.state_dict(), "observer": own}, training.agent.rows)

    def _save_policies(self, names: list[str], facts: dict[str, Any]) -> None:
        state, statistics = self.agent.policy_state(), self.statistics()
        if any(statistics):
            facts["statistics"] = statistics
        for name in names:
            save_policy(self.folder, name, state, facts)

    def wants_stop(self) -> bool:
        return self.interrupt.received is not None

    def stop(self, step: int) -> None:
        assert self.interrupt.received is not None
        raise Stopped(self.interrupt.received, f"interrupted at step {step}; {self._way_on}")

    def lost(self, error: ActorsLost) -> None:
        raise ActorsLost(f"{error}; {self._way_on}") from error

    @property
    def _way_on(self) -> str:
        if self.config.checkpoint.every is None:
            return "it kept no checkpoint (checkpoint.every=null)"
        return way_on(shown(self.folder))

    def _writing(self, step: int) -> contextlib.AbstractContextManager[None]:
        return writing_to(str(shown(self.folder)), f" at step {step}")
