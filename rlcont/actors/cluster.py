"""The Ray cluster of the actors: an existing one, or one of the run's own on this machine.

Ray reads environment variables when it is imported, so nothing imports it before `prepare_ray`.
"""

import logging
import os
import socket
from pathlib import Path
from typing import Any

from rlcont.core.errors import UserError
from rlcont.core.resources import available_cores

LOCAL = "local"
LOCAL_STORE_BYTES = 256 * 2**20
"""Shared memory of the run's own cluster; rollouts and weights in transit take a few MB per actor."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")
ANSWER_SECONDS = 5.0  # How long a cluster may take to accept a connection.
SKIPPED_LOGS = "A worker died or was killed|PYTHON worker processes have been started"
"""Messages of Ray that are not printed: the collector reports lost actors itself, and many actors are intended."""


def prepare_ray(address: str) -> str:
    """Locates the cluster and sets Ray's environment variables; returns HOST:PORT or LOCAL.

    A cluster is joined with the user's token if there is one, as `ray start` does. A cluster on this machine stays on
    the loopback interface, as Ray's clusters do on macOS and Windows.
    """
    if address == "auto":
        named = os.environ.get("RAY_ADDRESS") or "auto"
        address = _cluster_of_this_machine() if named == "auto" else named
    if address != LOCAL and not is_there(address, ANSWER_SECONDS):
        raise UserError(
            f"actors.address={address}: no Ray cluster answers there; actors.address=local starts one for this run"
        )
    if address == LOCAL or address.rpartition(":")[0] in LOOPBACK:
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    if address == LOCAL:
        os.environ["RAY_AUTH_MODE"] = "token"
    elif {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys() or Path(
        "~/.ray/auth_token"
    ).expanduser().exists():
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    # Ray's workers run at a low priority by default, even while they start. Actors set their own after that.
    os.environ.setdefault("RAY_worker_niceness", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", SKIPPED_LOGS)
    # Ray kills a process that has lost its cluster for this long. The run ends itself earlier, with a checkpoint.
    os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", "600")
    return address


def connect(address: str) -> None:
    """Joins the cluster that `prepare_ray` located, or starts one for this run.

    The run's own cluster listens on the loopback interface only, has no dashboard, and ends with this process.
    """
    import ray

    own: dict[str, Any] = {}
    if address == LOCAL:
        own = {"num_cpus": available_cores(), "object_store_memory": LOCAL_STORE_BYTES, "include_dashboard": False}
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **own)
    except Exception as error:  # On a busy machine, where Ray's own processes start late, Ray raises bare Exceptions.
        reason = str(error).strip().partition("\n")[0]
        what = "Ray cannot be started" if address == LOCAL else "this Ray cluster cannot be joined"
        raise UserError(f"actors.address={address}: {what} ({reason})") from error
    node = ray.util.get_node_ip_address()
    if address == LOCAL and node not in LOOPBACK:
        ray.shutdown()
        raise UserError(f"actors.address={LOCAL}: this Ray would listen on {node} instead of the loopback interface")


def _cluster_of_this_machine() -> str:
    """Address of the cluster that `ray start` began on this machine, if it answers; else LOCAL."""
    folder = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"
    try:
        address = Path(folder, "ray", "ray_current_cluster").read_text().strip()
    except OSError:
        return LOCAL
    if is_there(address):
        return address
    print(f"the Ray cluster of this machine, {address}, does not answer; starting one for this run", flush=True)
    return LOCAL


def is_there(address: str, patience: float = 1.0) -> bool:
    """Whether something listens at HOST:PORT."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), patience).close()
    except (OSError, ValueError, OverflowError):
        return False
    return True
