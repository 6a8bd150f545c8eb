"""The policies in a run's folder: policies/NAME.safetensors, with NAME last, best or step-N."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlcont.core.errors import UserError, one_line
from rlcont.core.spelling import nearest
from rlcont.runs.files import write_json, write_whole

if TYPE_CHECKING:
    import torch


def save_policy(folder: Path, name: str, state: dict[str, torch.Tensor], facts: dict[str, Any]) -> None:
    """Writes policies/<name>.safetensors and .json, each atomically."""
    from safetensors.torch import save

    policies = folder / "policies"
    policies.mkdir(exist_ok=True)
    tensors = {key: value.detach().cpu().contiguous().clone() for key, value in state.items()}
    write_whole(policies / f"{name}.safetensors", save(tensors))
    write_json(policies / f"{name}.json", facts)


def policy_path(folder: Path, name: str) -> Path:
    """The file of a policy."""
    path = folder / "policies" / f"{name}.safetensors"
    kept = sorted(file.stem for file in path.parent.glob("*.safetensors"))
    if name not in kept:
        saves = "; eval.save_policies=true keeps that of each evaluation"
        hint = saves if name.startswith("step-") else nearest(name, kept)
        has = f"keeps {', '.join(kept)}" if kept else "has saved no policy yet; evaluations and checkpoints do"
        raise UserError(f"policy={name}: {folder} {has}{hint}")
    return path


def load_policy(folder: Path, name: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tensors of a policy, and its facts: step and evaluation."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    path = policy_path(folder, name)
    try:
        tensors, facts = path.read_bytes(), path.with_suffix(".json").read_text()
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be read ({error.strerror})") from error
    try:
        return load(tensors), json.loads(facts)
    except (SafetensorError, ValueError) as error:
        raise UserError(f"{path}: the policy or its .json is damaged ({one_line(error)})") from error


def misfit(theirs: dict[str, torch.Tensor], ours: dict[str, torch.Tensor]) -> str:
    """Why the tensors of a policy cannot be those of another one; empty where they can."""
    for name in [*ours, *theirs]:
        there, here = (list(each[name].shape) if name in each else None for each in (theirs, ours))
        if there != here:
            return "its layers are others" if None in (there, here) else f"{name} is {there} there and {here} here"
    return ""
