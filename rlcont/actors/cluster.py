"""The Ray cluster that actors live in: one that exists, or a Ray of the run's own.

Ray reads its environment when it is imported, so nothing here imports it before `prepare`.
"""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path

from rlcont.core import UserError

LOCAL = "local"
LOCAL_STORE_BYTES = 256 * 2**20
"""Shared memory of a Ray of the run's own: rollouts and weights on their way, a few MB for each actor."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")
ANSWER_SECONDS = 5.0


def prepare(address: str) -> str:
    """Finds out where the cluster is, and tells Ray by the environment how to meet it; returns HOST:PORT or LOCAL.

    A cluster is met with the token there is, as `ray start` does. What is to stay on this machine is told what Ray does
    by itself on macOS and Windows, which is to stay on the loopback interface.

    Raises:
        UserError: nobody listens at `address`.
    """
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS") or _cluster_of_this_machine() or LOCAL
    if address != LOCAL and not is_there(address, ANSWER_SECONDS):
        raise UserError(
            f"actors.address={address}: no Ray cluster answers there; actors.address=local starts one for this run"
        )
    if address == LOCAL or address.rpartition(":")[0] in LOOPBACK:
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    if address == LOCAL or _has_token():
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    # Ray's workers would yield to every other process; actors have half of the work to do.
    os.environ.setdefault("RAY_worker_niceness", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    return address


def connect(address: str) -> None:
    """Joins the cluster that `prepare` found, or starts a Ray for this run alone.

    A Ray of the run's own listens on the loopback interface only, has no dashboard, and ends with this process.

    Raises:
        UserError: the cluster lets nobody in, or this Ray cannot be kept on the loopback interface.
    """
    import ray

    if address != LOCAL:
        try:
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise UserError(f"actors.address={address}: this Ray cluster cannot be joined ({reason})") from error
        return
    ray.init(
        LOCAL,
        num_cpus=1,
        object_store_memory=LOCAL_STORE_BYTES,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    node = ray.util.get_node_ip_address()
    if node not in LOOPBACK:
        ray.shutdown()
        raise UserError(f"actors.address={LOCAL}: this Ray would listen on {node} instead of the loopback interface")


def _cluster_of_this_machine() -> str:
    """The address that `ray start` left, if there is one."""
    try:
        return (Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray" / "ray_current_cluster").read_text().strip()
    except OSError:
        return ""


def _has_token() -> bool:
    named = any(name in os.environ for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
    return named or (Path.home() / ".ray" / "auth_token").exists()


def is_there(address: str, patience: float = 1.0) -> bool:
    """Whether somebody listens at HOST:PORT."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), patience).close()
    except OSError:
        return False
    return True
