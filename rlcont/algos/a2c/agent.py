"""Advantage actor-critic for continuous actions."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch

from rlcont.algos.a2c.config import A2CConfig
from rlcont.core.agent import Agent
from rlcont.core.seeding import numpy_generator, torch_generator
from rlcont.core.state import flat_state, load_flat_state
from rlcont.core.types import Array, EnvSpec, EnvStep, Metrics
from rlcont.exploration.config import NoiseConfig
from rlcont.memory.rollout import Rollout, RolloutMemory
from rlcont.nn import nets, numpy_forward, policies
from rlcont.nn.normalize import RewardScale, RunningNorm, RunningReturn
from rlcont.nn.optim import Adam, RMSProp, clip_norm
from rlcont.nn.returns import gae

Mean = Callable[[torch.Tensor], torch.Tensor]


class Minibatch(NamedTuple):
    """Rows of a rollout, with what to learn from each.

    Shapes:
        obs [B, O], normalised; sample [B, A]; advantage, value_target, valid [B]; all float32 on the agent's device.
    """

    obs: torch.Tensor
    sample: torch.Tensor
    advantage: torch.Tensor
    value_target: torch.Tensor
    valid: torch.Tensor


class A2C(Agent):
    """An on-policy actor-critic: it learns from each row of a rollout once, and forgets it.

    Source: arXiv:1602.01783 (A3C), Algorithm S3, with all environments in step, as in OpenAI Baselines' A2C; advantages
    of arXiv:1506.02438.
    Differs: a truncated episode bootstraps from the value of its own last observation; a rollout may be learned
    from in several gradient steps, each on some of its rows, with the advantages of before the first; observations,
    rewards and advantages may be normalised; the standard deviation does not depend on the observation; networks begin
    orthogonal.

    Seams for algorithms built on this one:
        make_network: policy and value.
        adam: the class behind algo.optimizer=adam.
        prepare: what is computed from a rollout before learning from it.
        passes, stops_early: the passes over its rows, with the columns of each, and when to stop before the last.
        policy_loss: what the policy learns.
        lr: the step size of the next rollout's updates.
    """

    counters: ClassVar[tuple[str, ...]] = ("num_rollouts",)
    unsaved: ClassVar[tuple[str, ...]] = ("policy",)  # It is within the network.
    adam: ClassVar[type[Adam]] = Adam

    def __init__(self, config: A2CConfig, noise: NoiseConfig, spec: EnvSpec, *, seed: int, device: str, **sizes: Any):
        super().__init__(config, spec, device=device, **sizes)
        self.num_rollouts = 0
        """Rollouts that were learned from."""

        module = self.make_network(torch_generator(seed, "init", device))
        self.network = nets.FlatNetwork(module)
        self.policy: Any = module.policy
        optimizer = self.adam if config.optimizer == "adam" else RMSProp
        self.optimizer: Adam | RMSProp = optimizer(self.network.weights, config.lr)
        self.accelerated_prepare = self.accelerate(self.prepare)
        self.accelerated_update = self.accelerate(self.update)

        self.policy_rng = numpy_generator(seed, "policy")
        self.minibatch_rng = numpy_generator(seed, "minibatches")
        self.memory = RolloutMemory(config.rollout_steps, self.num_envs, spec.obs_dim, spec.action_dim)
        self.normalizer = RunningNorm(spec.obs_dim, device) if config.normalize_obs else None
        self.running_return = RunningReturn(config.gamma, self.num_envs)
        self.reward_scale = RewardScale(device) if config.normalize_reward else None
        self.forward = numpy_forward.make_forward(module.acting(), self.normalizer, device)
        self.sample: Array = np.empty((self.num_envs, spec.action_dim), np.float32)
        """What the policy drew for the step under way, before it was made an action."""

    def make_network(self, generator: torch.Generator) -> nets.ActorCritic:
        """Policy and value, obs [..., O] -> (the policy's parameters [..., A] each, value [...])."""
        net, spec = self.config.network, self.spec
        width = net.hidden[-1]

        def trunk() -> torch.nn.Module:
            return nets.body(spec.obs_dim, net, generator, nets.orthogonal)

        policy = policies.POLICIES[self.config.policy](width, spec.action_dim, self.config.init_std, generator)
        value = nets.orthogonal(width, 1, generator, nets.OutputLinear, gain=1.0)
        return nets.ActorCritic(trunk(), policy, value, None if self.config.shared_trunk else trunk())

    def prepare(self, rollout: Rollout) -> dict[str, torch.Tensor]:
        """What is computed from a rollout with the present weights, before they learn from it.

        Returns:
            `advantage` and `value_target` of each row [T, E, ...], and `obs` where it is normalised; `value_mean` and
            `explained_variance` to log.
        """
        obs, next_obs = rollout.obs, rollout.next_obs
        if self.normalizer is not None:
            obs, next_obs = self.normalizer(obs), self.normalizer(next_obs)
        mean = mean_over(rollout.valid.float())
        with torch.no_grad():
            value, next_value = self.network(torch.stack([obs, next_obs]), True)
            advantage = self.advantages(rollout, value, next_value)
            value_target = value + advantage
            value_mean = mean(value_target)
            unexplained = mean(advantage.square()) / mean((value_target - value_mean).square()).clamp(min=1e-8)
            if self.config.normalize_advantage:
                advantage = advantage - mean(advantage)
                advantage = advantage / (mean(advantage.square()).sqrt() + 1e-8)
        prepared = {"advantage": advantage, "value_target": value_target}
        # Compiled code returns only tensors that it made.
        normalized = {} if self.normalizer is None else {"obs": obs}
        return prepared | normalized | {"value_mean": value_mean, "explained_variance": 1 - unexplained}

    def advantages(self, rollout: Rollout, value: torch.Tensor, next_value: torch.Tensor) -> torch.Tensor:
        """Advantages [T, E] from values [T, E]; 0 in rows that are not valid."""
        reward = rollout.reward if self.reward_scale is None else self.reward_scale(rollout.reward)
        # A row that is not valid gets nothing to carry to the row before it.
        valid = rollout.valid.float()
        reward, discount, value = reward * valid, rollout.discount * valid, value * valid
        return gae(reward, discount, value, next_value, rollout.ended, self.config.gae_lambda)

    def passes(self, rollout: Rollout, prepared: dict[str, torch.Tensor]) -> Iterator[NamedTuple]:
        """For each pass over a rollout all its rows [T, E, ...], as the type that `update` takes; here for one pass."""
        obs = prepared.get("obs", rollout.obs)
        yield Minibatch(obs, rollout.sample, prepared["advantage"], prepared["value_target"], rollout.valid.float())

    def update(self, batch: Any) -> Metrics:
        """One gradient step of policy and value."""
        config = self.config
        parameters, value = self.network(batch.obs)
        mean = mean_over(batch.valid)
        policy_loss, metrics = self.policy_loss(batch, self.policy.log_prob(batch.sample, *parameters), mean)
        value_loss = mean((value - batch.value_target).square())
        entropy = mean(self.policy.entropy(*parameters))
        loss = policy_loss + config.value_coef * value_loss - config.entropy_coef * entropy

        grad = self.network.gradient(loss)
        grad_norm = grad.norm()
        if config.max_grad_norm is not None:
            grad = clip_norm(grad, config.max_grad_norm)
        self.optimizer.step(grad)
        return metrics | {
            "policy_loss": policy_loss.detach(),
            "value_loss": value_loss.detach(),
            "entropy": entropy.detach(),
            "grad_norm": grad_norm,
        }

    def policy_loss(self, batch: Any, log_prob: torch.Tensor, mean: Mean) -> tuple[torch.Tensor, Metrics]:
        """Minus the `mean` over the valid rows of advantage times log-probability [B], and what else to log."""
        return -mean(batch.advantage * log_prob), {}

    def stops_early(self, metrics: Metrics) -> bool:
        """Whether to stop learning from the rollout after an update with these `metrics`."""
        return False

    def act(self, obs: Array, *, explore: bool) -> Array:
        parameters = self.forward(obs)
        if not explore:
            return self.policy.deterministic(*parameters)
        self.sample = self.policy.sample(self.policy_rng, *parameters)
        return self.policy.to_action(self.sample)

    def observe(self, step: EnvStep) -> None:
        self.num_steps += len(step.obs)
        discount = self.config.gamma * ~step.terminated
        self.memory.add(step.obs, self.sample, step.reward, discount, step.next_obs, step.ended, step.valid)

    def learn(self) -> Metrics:
        if not self.memory.full:
            return {}
        rollout = self.memory.tensors
        if self.reward_scale is not None:
            steps = (rollout.reward.numpy(), rollout.ended.numpy(), rollout.valid.numpy())
            self.reward_scale.update(self.running_return(*steps))
        self.optimizer.lr.fill_(self.lr())
        on_device = Rollout(*(tensor.to(self.device) for tensor in rollout))
        prepared = self.accelerated_prepare(on_device)
        for batch in self.minibatches(self.passes(on_device, prepared)):
            metrics = self.accelerated_update(batch)
            self.num_updates += 1
            if self.stops_early(metrics):
                break
        self.num_rollouts += 1
        if self.normalizer is not None:
            # After the updates: they have to see what acting saw.
            self.normalizer.update(rollout.obs[rollout.valid].numpy())
        self.memory.clear()
        return metrics | {name: prepared[name] for name in ("value_mean", "explained_variance")}

    def minibatches(self, passes: Iterable[NamedTuple]) -> Iterator[NamedTuple]:
        """The rows [T, E, ...] of each pass, dealt at random into equal parts [B, ...]."""
        for rows in passes:
            columns = [column.flatten(0, 1) for column in rows]
            order = torch.from_numpy(self.minibatch_rng.permutation(len(columns[0]))).to(self.device)
            for part in order.chunk(self.config.num_minibatches):
                yield type(rows)(*(column[part] for column in columns))

    def lr(self) -> float:
        """The step size of the next rollout's updates, by the steps of the rollouts that were learned from."""
        num_steps = self.num_rollouts * self.config.rollout_steps * self.num_envs
        return self.config.lr * self.config.lr_decay.factor(num_steps, self.total_steps)

    def cut_off(self, envs: Array) -> None:
        self.memory.cut_off(envs)
        if self.memory.position == 0:
            self.running_return.cut_off(envs)

    def status(self) -> dict[str, float]:
        return {"lr": self.lr(), "num_updates": self.num_updates}

    def policy_module(self) -> torch.nn.Module:
        norm = [] if self.normalizer is None else [self.normalizer.fixed()]
        network: Any = self.network.module
        policy = policies.Deterministic(network.policy, self.policy.deterministic)
        return torch.nn.Sequential(*norm, network.trunk, policy)

    def policy_state(self) -> dict[str, torch.Tensor]:
        return flat_state(network=self.network, normalizer=self.normalizer)

    def load_policy_state(self, state: dict[str, torch.Tensor]) -> None:
        load_flat_state(state, network=self.network, normalizer=self.normalizer)


def mean_over(valid: torch.Tensor) -> Mean:
    """The mean over the rows that are valid, given 1 or 0 for each; in float32 even where bfloat16 is on."""
    weight = valid.flatten()
    weight = weight / weight.sum().clamp(min=1)

    def mean(x: torch.Tensor) -> torch.Tensor:
        if not torch.is_autocast_enabled(x.device.type):
            return weight @ x.flatten()
        with torch.autocast(x.device.type, enabled=False):
            return weight @ x.flatten().float()

    return mean
