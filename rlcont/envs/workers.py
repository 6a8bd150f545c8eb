"""Environments that are stepped by several processes."""

import contextlib
import dataclasses
import json
import select
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from multiprocessing.connection import Connection, Pipe
from typing import Any

import numpy as np

from rlcont.core.errors import UserError
from rlcont.core.packing import from_message, to_message
from rlcont.core.process import prepare_process
from rlcont.core.types import Array, EnvStep
from rlcont.envs.box import BoxEnv
from rlcont.envs.config import EnvConfig
from rlcont.envs.door import entry_point
from rlcont.envs.vector import Environments

PATIENCE = 300.0
"""Seconds without an answer after which a worker counts as hung; some environments load a world at reset."""
EXCHANGE_SECONDS = 3e-4
"""Overhead of one round trip to a worker, in seconds."""
CLOSING_SECONDS = 60.0
"""How long a worker may take to end once its connection is closed: it may be within a step, on a busy machine."""
TIMED_STEPS = 50
SPIN_SECONDS = 1e-3
"""How long both ends poll for a message before they sleep: an idle core takes longer to wake than a step takes."""

START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from rlcont.envs.workers import serve; "
    "serve(int(sys.argv[2]))"
)
"""What a worker's process runs. One of multiprocessing would first run the main script of this one again."""

_RESET, _TAKE, _PUT_BACK = b"r", b"t", b"p"
_OK, _MISTAKE, _FAILURE = b"o", b"m", b"f"


def useful_workers(config: EnvConfig, num_envs: int, cores: int) -> int:
    """The number of processes that step `num_envs` environments fastest, judged by the time of a few steps."""
    most = min(cores, num_envs)
    if most == 1 or entry_point(config).startswith("__main__:"):  # No other process finds it.
        return 1
    seconds = _step_seconds(config)
    largest_group = -(-num_envs // most)
    return most if seconds * (num_envs - largest_group) > EXCHANGE_SECONDS else 1


def _step_seconds(config: EnvConfig) -> float:
    env = BoxEnv(config)
    rng = np.random.default_rng(0)
    env.reset(0)
    # CPU time of this thread: waiting for a busy machine is no reason for more processes.
    start = time.thread_time()
    for _ in range(TIMED_STEPS):
        _, _, terminated, truncated, _ = env.step(rng.uniform(-1, 1, env.spec.action_dim))
        if terminated or truncated:
            env.reset()
    seconds = time.thread_time() - start
    env.close()
    return seconds / TIMED_STEPS


class WorkerEnvironments:
    """E environments in groups; this process steps the first group, and a worker process each of the others.

    Each environment has its own seed and is independent of the others, so the numbers are those of `Environments`.
    After an error, Ctrl-C included, all workers are ended: their pending answers would be taken for those to the next
    step.

    Args:
        own: the environments of the first group, where there are some already.
    """

    def __init__(self, config: EnvConfig, seeds: list[int], num_workers: int, own: list[BoxEnv] | None = None):
        groups = [group.tolist() for group in np.array_split(seeds, num_workers)]
        self.num_breakdowns = 0
        self._num_envs = len(seeds)
        ends = np.cumsum([len(group) for group in groups]).tolist()
        self._slices = [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
        self._workers: list[_Worker] = []
        self._called: list[_Worker] = []
        with self._ended_by_an_error():
            for group in groups[1:]:
                self._workers.append(_Worker(config, group))
            self._own = Environments(config, groups[0], own and own[: len(groups[0])])
        self.first, self.spec = self._own.first, self._own.spec
        self._info_names = config.info
        self._obs: Array = np.empty((len(seeds), self.spec.obs_dim), np.float32)

    def __len__(self) -> int:
        return self._num_envs

    def reset(self) -> Array:
        with self._ended_by_an_error():
            for worker in self._workers:
                worker.ask(_RESET)
            own = self._own.reset()
            self._obs = np.concatenate([own, *(worker.rows_like(own) for worker in self._workers)])
        return self._obs

    def step(self, action: Array) -> EnvStep:
        groups = [action[rows] for rows in self._slices]
        with self._ended_by_an_error():
            for worker, group in zip(self._workers, groups[1:], strict=True):
                worker.ask(np.asarray(group, np.float32).tobytes())
            own = _packed(self._own.step(groups[0]), self._info_names)
            rows = np.concatenate([own, *(worker.rows_like(own) for worker in self._workers)])
        step = _unpacked(rows, self._obs, action, self._info_names)
        self.num_breakdowns += int(np.count_nonzero(~step.valid))
        self._obs = step.obs_to_act_on
        return step

    def state_dict(self) -> dict[str, Any]:
        with self._ended_by_an_error():
            for worker in self._workers:
                worker.ask(_TAKE)
            groups = [self._own.state_dict(), *(from_message(worker.answer()) for worker in self._workers)]
        pairs = zip(self._slices, groups, strict=True)
        drawn = {str(rows.start): group["globals"]["0"] for rows, group in pairs if group["globals"]}
        envs = [env for group in groups for env in group["envs"]]
        whole = {"obs": self._obs, "num_breakdowns": self.num_breakdowns, "envs": envs, "globals": drawn}
        return groups[0] | whole

    def put_back(self, state: dict[str, Any]) -> tuple[Array, Array]:
        drawn = {start: {"0": each} for start, each in state["globals"].items()}
        own, *others = (
            state
            | {"obs": state["obs"][rows], "num_breakdowns": 0, "envs": state["envs"][rows]}
            | {"globals": drawn.get(str(rows.start), {})}
            for rows in self._slices
        )
        with self._ended_by_an_error():
            for worker, group in zip(self._workers, others, strict=True):
                worker.ask(_PUT_BACK)
                worker.ask(to_message(group))
            parts = [self._own.put_back(own), *(from_message(worker.answer()) for worker in self._workers)]
        self._obs, restarted = (np.concatenate(part) for part in zip(*parts, strict=True))
        self.num_breakdowns = state["num_breakdowns"]
        return self._obs, restarted

    def close(self) -> None:
        """Ends the workers and closes the environments."""
        self.end_workers()
        self._own.close()

    @contextlib.contextmanager
    def _ended_by_an_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.end_workers()
            raise

    def call_workers(self) -> None:
        """Lets the workers make their environments; `workers_are_there` says when they have."""
        for worker in self._workers:
            worker.ask(_RESET)
        self._called = list(self._workers)

    def workers_are_there(self) -> bool:
        """Whether the workers that were called have answered.

        Raises:
            UserError, RuntimeError: as `_Worker.answer`.
        """
        while self._called and self._called[-1].poll.poll(0):
            self._called.pop().answer()
        return not self._called

    def end_workers(self) -> None:
        for worker in self._workers:
            worker.connection.close()
        for worker in self._workers:
            worker.end()


class _Worker:
    """The process of one group of environments."""

    def __init__(self, config: EnvConfig, seeds: list[int]):
        self.env_id = config.id
        self.connection, theirs = Pipe()
        command = [sys.executable, "-c", START, json.dumps(sys.path), str(theirs.fileno())]
        # A terminal sends Ctrl-C, and SIGHUP when it closes, to all its processes. Workers are born deaf to them; the
        # training process ends them.
        deaf = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
        try:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=(theirs.fileno(),))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, deaf)
        theirs.close()
        self.poll = _poll(self.connection)
        self.ask(to_message({"config": dataclasses.asdict(config), "seeds": seeds}))

    def ask(self, message: bytes) -> None:
        with contextlib.suppress(BrokenPipeError):  # `answer` reports why.
            self.connection.send_bytes(message)

    def rows_like(self, own: Array) -> Array:
        """The next answer as rows [N, W] of the width and type of `own`."""
        return np.frombuffer(self.answer(), own.dtype).reshape(-1, own.shape[1])

    def answer(self) -> bytes:
        """The content of the next answer.

        Raises:
            UserError: an environment's mistake, or the worker died or did not answer.
            RuntimeError: any other exception in the worker.
        """
        if not _arrives(self.poll, PATIENCE):
            self.process.kill()
            raise UserError(
                f"env={self.env_id}: a worker process did not answer for {PATIENCE:.0f} s; "
                "workers=1 steps all environments in one process"
            )
        try:
            message = self.connection.recv_bytes()
        except (EOFError, OSError):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(5)
            raise UserError(
                f"env={self.env_id}: a worker process died (exit code {self.process.returncode}); "
                "workers=1 steps all environments in one process"
            ) from None
        kind, content = message[:1], message[1:]
        if kind == _MISTAKE:
            raise UserError(content.decode())
        if kind == _FAILURE:
            raise RuntimeError(f"env={self.env_id}: failed in a worker process:\n{content.decode()}")
        return content

    def end(self) -> None:
        """Waits until the process ends, which it does once its connection is closed; kills it if it does not."""
        try:
            self.process.wait(CLOSING_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def serve(file: int) -> None:
    """The main function of a worker: answers messages until the other end of the connection is closed."""
    prepare_process()
    connection = Connection(file)
    envs: Environments | None = None
    poll = _poll(connection)
    with contextlib.suppress(EOFError, OSError):
        given = from_message(connection.recv_bytes())
        config = EnvConfig(**given["config"])
        while True:
            _arrives(poll, None)
            message = connection.recv_bytes()
            try:
                envs = envs or Environments(config, given["seeds"])
                connection.send_bytes(_OK + _answer(envs, config.info, message, connection))
            except UserError as error:
                connection.send_bytes(_MISTAKE + str(error).encode())
            except Exception:
                connection.send_bytes(_FAILURE + traceback.format_exc().encode())
    if envs is not None:
        envs.close()


def _poll(connection: Connection) -> select.poll:
    """A poll object for the connection; connection.poll would make a new selector at each step."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return poll


def _arrives(poll: select.poll, patience: float | None) -> bool:
    """Waits for a message or the end of the connection; False if `patience` seconds pass without either."""
    end = time.perf_counter() + SPIN_SECONDS
    while time.perf_counter() < end:
        if poll.poll(0):
            return True
    return bool(poll.poll(None if patience is None else 1000 * patience))


def _answer(envs: Environments, info_names: tuple[str, ...], message: bytes, connection: Connection) -> bytes:
    """Executes a message, one of the commands above or actions, and returns the answer."""
    if message == _RESET:
        return envs.reset().tobytes()
    if message == _TAKE:
        return to_message(envs.state_dict())
    if message == _PUT_BACK:
        return to_message(envs.put_back(from_message(connection.recv_bytes())))
    actions = np.frombuffer(message, np.float32).reshape(len(envs), -1)
    return _packed(envs.step(actions), info_names).tobytes()


def _packed(step: EnvStep, info_names: tuple[str, ...]) -> Array:
    """A step as rows [E, 2 O + 4 + I], without `obs` and `action`, which the receiver has; I values of info.

    Only values of info need float64.
    """
    num_envs, dim = step.obs.shape
    nothing = np.full(num_envs, np.nan)
    info = [step.info.get(name, nothing) for name in info_names]
    rows = np.empty((num_envs, 2 * dim + 4 + len(info)), np.float64 if info else np.float32)
    rows[:, :dim], rows[:, dim : 2 * dim] = step.next_obs, step.obs_to_act_on
    rows[:, 2 * dim :] = np.array((step.reward, step.terminated, step.truncated, step.valid, *info)).T
    return rows


def _unpacked(rows: Array, obs: Array, action: Array, info_names: tuple[str, ...]) -> EnvStep:
    dim = obs.shape[1]
    given = rows[:, : 2 * dim + 4].astype(np.float32, copy=False)
    next_obs, obs_to_act_on = given[:, :dim], given[:, dim : 2 * dim]
    reward, *flags = given[:, 2 * dim :].T
    terminated, truncated, valid = (flag.astype(bool) for flag in flags)
    info = dict(zip(info_names, rows[:, 2 * dim + 4 :].T, strict=True))
    return EnvStep(obs, action, reward, next_obs, terminated, truncated, obs_to_act_on, valid, info)
