"""The Ray cluster that actors live in: one that exists, or a Ray of the run's own."""

from __future__ import annotations

import logging
import os

import ray
from ray._private import ray_constants

from rlcont.core import UserError

LOCAL_STORE_BYTES = 256 * 2**20
"""Shared memory of a Ray of the run's own: rollouts and weights on their way, a few MB for each actor."""


def connect(address: str) -> str:
    """Joins the cluster at `address`, or starts a Ray for this run alone; returns what it is, in words.

    A Ray of the run's own listens on the loopback interface only, has no dashboard, and ends with this process.

    Raises:
        UserError: there is no cluster at `address`.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address != "local":
        try:
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
            return f"Ray cluster at {ray.get_runtime_context().gcs_address}"
        except ConnectionError as error:
            if address != "auto":
                raise UserError(f"actors.address={address}: no Ray cluster answers there") from error
    _start_on_loopback()
    return "Ray of its own"


def _start_on_loopback() -> None:
    # What Ray does by itself on macOS and Windows; on Linux it would listen on every interface.
    os.environ[ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR] = "0"
    ray_constants.ENABLE_RAY_CLUSTER = False
    ray.init(
        "local",
        num_cpus=1,
        object_store_memory=LOCAL_STORE_BYTES,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    node = ray.util.get_node_ip_address()
    if node not in ("127.0.0.1", "::1"):
        ray.shutdown()
        raise UserError(f"actors.address=local: this Ray would listen on {node} instead of the loopback interface")
