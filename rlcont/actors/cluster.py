"""The Ray cluster that actors live in: one that exists, or a Ray of the run's own.

Ray reads its environment when it is imported, so nothing here imports it before `prepare_ray`.
"""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path
from typing import Any

from rlcont.core.errors import UserError
from rlcont.core.resources import available_cores

LOCAL = "local"
LOCAL_STORE_BYTES = 256 * 2**20
"""Shared memory of a Ray of the run's own: rollouts and weights on their way, a few MB for each actor."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")
ANSWER_SECONDS = 5.0
NOT_TO_BE_TOLD = "A worker died or was killed|PYTHON worker processes have been started"
"""What Ray would print, at length, of actors that are lost, which the collector tells of, and of many actors."""


def prepare_ray(address: str) -> str:
    """Finds out where the cluster is, and tells Ray by the environment how to meet it; returns HOST:PORT or LOCAL.

    A cluster is met with the token there is, as `ray start` does. What is to stay on this machine is told what Ray does
    by itself on macOS and Windows, which is to stay on the loopback interface.

    Raises:
        UserError: nobody listens at `address`.
    """
    if address == "auto":
        named = os.environ.get("RAY_ADDRESS", "auto")
        address = _cluster_of_this_machine() if named == "auto" else named
    if address != LOCAL and not is_there(address, ANSWER_SECONDS):
        raise UserError(
            f"actors.address={address}: no Ray cluster answers there; actors.address=local starts one for this run"
        )
    if address == LOCAL or address.rpartition(":")[0] in LOOPBACK:
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    if address == LOCAL:
        os.environ["RAY_AUTH_MODE"] = "token"
    elif _has_token():
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    # Ray's workers would yield to every other process, while they start as well; actors see to it themselves.
    os.environ.setdefault("RAY_worker_niceness", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", NOT_TO_BE_TOLD)
    # Ray ends a process that has missed its cluster for so long; the run is to end by itself, in order, long before.
    os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", "600")
    return address


def connect(address: str) -> None:
    """Joins the cluster that `prepare_ray` found, or starts a Ray for this run alone.

    A Ray of the run's own listens on the loopback interface only, has no dashboard, and ends with this process.

    Raises:
        UserError: the cluster lets nobody in, or this Ray cannot be kept on the loopback interface.
    """
    import ray

    own: dict[str, Any] = {
        "num_cpus": available_cores(),
        "object_store_memory": LOCAL_STORE_BYTES,
        "include_dashboard": False,
    }
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **(own if address == LOCAL else {}))
    except Exception as error:  # On a machine so busy that Ray's own processes are late, Ray raises just that.
        reason = str(error).strip().partition("\n")[0]
        what = "Ray cannot be started" if address == LOCAL else "this Ray cluster cannot be joined"
        raise UserError(f"actors.address={address}: {what} ({reason})") from error
    node = ray.util.get_node_ip_address()
    if address == LOCAL and node not in LOOPBACK:
        ray.shutdown()
        raise UserError(f"actors.address={LOCAL}: this Ray would listen on {node} instead of the loopback interface")


def _cluster_of_this_machine() -> str:
    """The cluster of which `ray start` has left the address, if it answers; else LOCAL."""
    folder = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"
    try:
        address = Path(folder, "ray", "ray_current_cluster").read_text().strip()
    except OSError:
        return LOCAL
    if is_there(address):
        return address
    print(f"the Ray cluster that this machine was part of, {address}, is gone; starting a Ray for this run", flush=True)
    return LOCAL


def _has_token() -> bool:
    named = any(name in os.environ for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
    return named or (Path.home() / ".ray" / "auth_token").exists()


def is_there(address: str, patience: float = 1.0) -> bool:
    """Whether somebody listens at HOST:PORT."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), patience).close()
    except (OSError, ValueError, OverflowError):
        return False
    return True
