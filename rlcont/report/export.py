"""`rlcont export`: writes a policy as ONNX and torch.export files."""

import copy
import logging
import tempfile
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from rlcont.core.errors import UserError
from rlcont.core.protocols import Policy
from rlcont.core.types import Array
from rlcont.envs.box import BoxEnv
from rlcont.report.play import load_trained
from rlcont.runs.files import shown, write_json, write_whole, writing_to
from rlcont.runs.folder import load_config
from rlcont.training.interrupt import interrupts_raise, whole_before_interrupts

OBSERVATIONS = 1000
"""Recorded observations on which the exported policy is compared with the agent."""
TOLERANCE = 1e-5
"""Largest difference of an action, in units of half its range."""


class ScaledPolicy(torch.nn.Module):
    """Maps the environment's own flat observations [B, O] to actions [B, A] within its bounds.

    Shapes:
        low, high [A].
    """

    low: torch.Tensor
    high: torch.Tensor

    def __init__(self, policy: torch.nn.Module, low: torch.Tensor, high: torch.Tensor):
        super().__init__()
        self.policy = policy
        self.register_buffer("low", low)
        self.register_buffer("high", high)

    def forward(self, obs: torch.Tensor) -> torch.Tensor:
        action = self.policy(obs).clamp(-1, 1)
        return self.low + (action + 1) / 2 * (self.high - self.low)


def export_run(folder: Path, policy: str, to: Path) -> str:
    """Writes a policy of the run in `folder` to `to`, as policy.onnx and policy.pt2; returns the text to print.

    The files contain the normaliser and the scaling of actions. They are written only if their actions on recorded
    observations equal the agent's.
    """
    folder, to = folder.absolute(), to.absolute()  # An environment may change the working directory.
    config = load_config(folder)
    env = BoxEnv(config.env)
    agent, facts = load_trained(config, folder, policy, env.spec)
    if "statistics" in facts:
        env.snapshots.put_statistics(facts["statistics"], freeze=True)
    obs = recorded_observations(agent, env, config.seed)
    expected = env.to_env(agent.act(obs, explore=False))
    env.close()
    low, high = (torch.from_numpy(bound.astype(np.float32)) for bound in (env.low, env.high))
    module = _on_its_own(ScaledPolicy(agent.policy_module(), low, high))
    differences = {}
    with interrupts_raise(), tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        # The exporters warn of operators that no policy has.
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        for name, write in (("policy.onnx", _write_onnx), ("policy.pt2", _write_pt2)):
            path = Path(scratch) / name
            actions = write(module, torch.from_numpy(obs), path)(obs)
            differences[name] = float((np.abs(actions - expected) / (high - low).numpy() * 2).max())
            if not differences[name] <= TOLERANCE:
                raise UserError(
                    f"{name}: its actions differ from the agent's by {differences[name]:.1e}; nothing was written"
                )
        with writing_to(f"to={shown(to)}"), whole_before_interrupts():
            to.mkdir(parents=True, exist_ok=True)
            for name in differences:
                write_whole(to / name, (Path(scratch) / name).read_bytes())
            write_json(to / "policy.json", _description(env, facts, differences, len(obs)))
    checked = ", ".join(f"{name} to {difference:.1e}" for name, difference in differences.items())
    return f"{shown(to)}: acts as the agent on {len(obs)} recorded observations ({checked} of half the action range)"


def recorded_observations(policy: Policy, env: BoxEnv, seed: int) -> Array:
    """Observations [N, O] of episodes that the policy plays."""
    obs = [env.reset(seed)]
    while len(obs) < OBSERVATIONS:
        following, _, terminated, truncated, _ = env.step(policy.act(obs[-1][None], explore=False)[0])
        obs.append(env.reset() if terminated or truncated else following)
    return np.stack(obs)


def _on_its_own(module: torch.nn.Module) -> torch.nn.Module:
    """A copy on the CPU whose parameters own their memory, as exporters require."""
    copied = copy.deepcopy(module).cpu().eval()
    for parameter in copied.parameters():
        parameter.data = parameter.data.clone()
    return copied


def _write_onnx(module: torch.nn.Module, obs: torch.Tensor, path: Path) -> Callable[[Array], Array]:
    try:
        torch.onnx.export(
            module,
            (obs[:2],),
            path,
            dynamo=True,
            external_data=False,
            verbose=False,
            input_names=["obs"],
            output_names=["action"],
            dynamic_shapes={"obs": {0: torch.export.Dim("batch")}},
        )
    except ImportError as error:  # Each onnxscript has a module for each torch that it knows.
        raise UserError(
            f"export: onnxscript {version('onnxscript')} does not know torch {torch.__version__} ({error}); "
            "pip install --upgrade onnxscript"
        ) from None
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda rows: session.run(["action"], {"obs": rows})[0]


def _write_pt2(module: torch.nn.Module, obs: torch.Tensor, path: Path) -> Callable[[Array], Array]:
    program = torch.export.export(module, (obs[:2],), dynamic_shapes={"obs": {0: torch.export.Dim("batch")}})
    torch.export.save(program, path)
    loaded = torch.export.load(path).module()
    return lambda rows: loaded(torch.from_numpy(rows)).detach().numpy()


def _description(env: BoxEnv, facts: dict[str, Any], differences: dict[str, float], num: int) -> dict[str, Any]:
    low, high = (bound.astype(np.float32).tolist() for bound in (env.low, env.high))
    return {
        "env": env.spec.env_id,
        "input": "obs [batch, O] float32: the parts of observations one after the other, each flattened row by row",
        "output": "action [batch, A] float32, within low and high; reshape each row to the shape of actions",
        "O": env.spec.obs_dim,
        "A": env.spec.action_dim,
        **env.facts(),
        "low": low,
        "high": high,
        "policy": facts,
        "checked_on": num,
        "largest_difference": differences,
    }
