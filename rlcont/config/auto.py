"""What `auto` stands for where the algorithm decides: num_envs, checkpoint.every and noise.

An algorithm's YAML file says it under `auto_num_envs`, `auto_checkpoint_every` and `auto_noise`. These keys are gone
before a configuration is validated, so that no dataclass has them.
"""

from typing import Any

from rlcont.config.fields import kinds
from rlcont.config.names import origin
from rlcont.config.run import BY_ALGORITHM
from rlcont.core.errors import UserError
from rlcont.core.spelling import flat_keys, nearest, spelled


def refuse_typed(line: str, key: str, value: Any, noise: str | None) -> None:
    """Refuses a typed `algo.auto_…` that has no effect, or that is an override of its own."""
    if key.startswith("algo.auto_noise") and noise != "auto":
        raise UserError(f"{line}: counts only with noise=auto")
    for target, (name, _) in BY_ALGORITHM.items():
        if key == f"algo.{name}":
            raise UserError(f"{line}: is what {target}=auto stands for; type {target}={spelled(value)}")


def resolve(container: dict[str, Any], origins: dict[str, str]) -> None:
    """Replaces each `auto` of a composed container by what it stands for, and each origin likewise."""
    auto_noise = container["algo"].pop("auto_noise", {"kind": "none"})
    if container["noise"].get("kind") == "auto":
        for key in flat_keys(container["noise"], "noise."):
            if key != "noise.kind":
                raise UserError(f"{origin(key, origins)}{key}: noise is auto; set algo.auto_{key}")
        kind = auto_noise.get("kind") if isinstance(auto_noise, dict) else auto_noise
        if kind not in kinds("noise"):
            key = "algo.auto_noise.kind"
            hint = nearest(str(kind), kinds("noise"))
            allowed = ", ".join(kinds("noise"))
            raise UserError(f"{origin(key, origins)}{key}={spelled(kind)}: allowed: {allowed}{hint}")
        container["noise"] = auto_noise
        moved = {key: file for key, file in origins.items() if key.startswith("algo.auto_noise")}
        origins |= {key.removeprefix("algo.auto_"): file for key, file in moved.items()}
    for key, (name, default) in BY_ALGORITHM.items():
        number = container["algo"].pop(name, default)
        place, _, leaf = key.rpartition(".")
        values = container[place] if place else container
        if values[leaf] == "auto":
            values[leaf] = number
            if f"algo.{name}" in origins:
                origins[key] = origins[f"algo.{name}"]
