"""Deep deterministic policy gradient."""

from __future__ import annotations

from typing import Any

import torch

from rlcont.algos.ddpg.config import DDPGConfig
from rlcont.core.protocols import Accelerate, as_it_is
from rlcont.core.seeding import torch_generator
from rlcont.core.state import existing, load_states, states
from rlcont.core.types import Array, Batch, Distribution, EnvSpec, EnvStep, Experience, Metrics
from rlcont.exploration.config import NoiseConfig
from rlcont.exploration.explorer import Explorer
from rlcont.memory.prioritized import PrioritizedReplay
from rlcont.memory.replay import Replay
from rlcont.nn import nets
from rlcont.nn.normalize import RewardScale, RunningNorm
from rlcont.nn.optim import Adam, clip_norm, polyak_


class DDPG:
    """An off-policy actor-critic with a deterministic policy.

    Source: arXiv:1509.02971, Algorithm 1.
    Differs: the replay is preceded by uniformly random actions; a truncated episode bootstraps; no weight decay;
    the action enters the critic's first layer; TD targets may span several steps, and transitions be drawn by their
    priority; with `normalize_obs` or `normalize_reward`, rows are stored raw and normalised when sampled, and a return
    that scales rewards goes on across a time limit, as bootstrapping does.

    Seams for algorithms built on this one: `make_critic`, `q_value`, `td_target`, `critic_loss` and `actor_loss`.
    """

    Config: type[DDPGConfig] = DDPGConfig

    def __init__(
        self,
        config: DDPGConfig,
        noise: NoiseConfig,
        spec: EnvSpec,
        *,
        num_envs: int,
        total_steps: int,
        seed: int,
        device: str,
        accelerate: Accelerate = as_it_is,
    ):
        self.config = config
        self.spec = spec
        self.num_envs = num_envs
        self.device = device
        self.num_steps = 0
        self.num_updates = 0

        init = torch_generator(seed, "init", device)
        self.explorer = self.make_explorer(
            config, noise, spec, init, num_envs=num_envs, total_steps=total_steps, seed=seed, device=device
        )
        self.actor = self.explorer.policy
        self.critic = nets.FlatNetwork(self.make_critic(init))
        self.target_actor = self.actor.frozen_copy()
        self.target_critic = self.critic.frozen_copy()
        self.actor_optimizer = Adam(self.actor.weights, config.actor.lr)
        self.critic_optimizer = Adam(self.critic.weights, config.critic.lr)
        self.accelerated_update = accelerate(self.update)
        self.normalizer = self.explorer.normalizer
        self.reward_scale = RewardScale(device) if config.normalize_reward else None
        self.replay = self.make_replay(torch_generator(seed, "replay"), total_steps)

    def make_replay(self, generator: torch.Generator, total_steps: int) -> Replay:
        """The memory, empty."""
        config, dims = self.config, (self.spec.obs_dim, self.spec.action_dim)
        if config.replay == "uniform":
            return Replay(config.replay_size, *dims, generator, self.device)
        return PrioritizedReplay(
            config.replay_size,
            *dims,
            generator,
            self.device,
            alpha=config.priority_alpha,
            beta=config.priority_beta,
            num_batches=config.num_updates(total_steps, self.num_envs),
        )

    @staticmethod
    def make_explorer(
        config: DDPGConfig,
        noise: NoiseConfig,
        spec: EnvSpec,
        init: torch.Generator,
        *,
        num_envs: int,
        total_steps: int,
        seed: int,
        device: str,
    ) -> Explorer:
        """The policy network, obs [B, O] -> action [B, A], drawn from `init`, and what exploring with it takes."""
        net = config.actor
        body = nets.mlp(spec.obs_dim, net.hidden, spec.action_dim, net.activation, net.layer_norm, init)
        return Explorer(
            nets.FlatNetwork(nets.DeterministicPolicy(body)),
            RunningNorm(spec.obs_dim, device) if config.normalize_obs else None,
            noise,
            spec,
            num_envs=num_envs,
            total_steps=total_steps,
            warmup_steps=config.warmup_steps,
            gamma=config.gamma,
            n_step=config.n_step,
            seed=seed,
            device=device,
        )

    def make_critic(self, generator: torch.Generator) -> torch.nn.Module:
        """The critic network, (obs [B, O], action [B, A]) -> whatever `q_value` and `critic_loss` read."""
        net, spec = self.config.critic, self.spec
        num_in = spec.obs_dim + spec.action_dim
        return nets.QFunction(nets.mlp(num_in, net.hidden, 1, net.activation, net.layer_norm, generator))

    def q_value(self, obs: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """The expected return [B] that the online critic sees in (obs, action)."""
        return self.critic(obs, action)

    def td_target(self, batch: Batch) -> Any:
        """y = r + discount Q'(s', mu'(s')), [B] (equation 5 with Algorithm 1's target networks)."""
        return batch.reward + batch.discount * self.target_critic(batch.next_obs, self.target_actor(batch.next_obs))

    def critic_loss(self, batch: Batch, td_target: Any) -> tuple[torch.Tensor, torch.Tensor, Metrics]:
        """Each row's squared TD error (equation 4) [B], its priority [B], and what to log."""
        q = self.critic(batch.obs, batch.action)
        loss = torch.nn.functional.mse_loss(q, td_target, reduction="none")
        return loss, (q.detach() - td_target).abs(), {"q_mean": q.detach().mean()}

    def actor_loss(self, obs: torch.Tensor) -> torch.Tensor:
        """Minus the mean value of the policy's own actions (equation 6)."""
        return -self.q_value(obs, self.actor(obs)).mean()

    def update(self, batch: Batch) -> Metrics:
        """One gradient step of critic and actor, one soft update of both targets.

        Returns:
            What to log, and under "priority" that of each row [B].
        """
        if self.normalizer is not None:
            batch = batch._replace(obs=self.normalizer(batch.obs), next_obs=self.normalizer(batch.next_obs))
        if self.reward_scale is not None:
            batch = batch._replace(reward=self.reward_scale(batch.reward))
        with torch.no_grad():
            td_target = self.td_target(batch)
        losses, priority, metrics = self.critic_loss(batch, td_target)
        critic_loss = (batch.weight * losses).mean()
        self._descend(critic_loss, self.critic, self.critic_optimizer)
        actor_loss = self.actor_loss(batch.obs)
        self._descend(actor_loss, self.actor, self.actor_optimizer)
        with torch.no_grad():
            polyak_(self.target_actor.weights, self.actor.weights, self.config.tau)
            polyak_(self.target_critic.weights, self.critic.weights, self.config.tau)
        losses_to_log = {"critic_loss": critic_loss.detach(), "actor_loss": actor_loss.detach()}
        return metrics | losses_to_log | {"priority": priority.detach()}

    def _descend(self, loss: torch.Tensor, network: nets.FlatNetwork, optimizer: Adam) -> None:
        """Steps `network` down the gradient of `loss`."""
        grad = network.gradient(loss)
        if self.config.max_grad_norm is not None:
            grad = clip_norm(grad, self.config.max_grad_norm)
        optimizer.step(grad)

    def act(self, obs: Array, *, explore: bool) -> Array:
        return self.explorer.act(obs) if explore else self.explorer.forward(obs)

    def observe(self, step: EnvStep) -> None:
        self.receive(self.explorer.observe(step))

    def receive(self, experience: Experience) -> None:
        """Remembers what an actor had to tell."""
        self.num_steps += experience.num_steps
        if self.reward_scale is not None:
            self.reward_scale.update(experience.returns)
        if self.normalizer is not None:
            self.normalizer.update(experience.transitions.obs)
        self.replay.add(experience.transitions)

    def learn(self) -> Metrics:
        metrics: Metrics = {}
        while self.num_updates < self.config.num_updates(self.num_steps, self.num_envs):
            batch = self.replay.sample(self.config.batch_size)
            metrics = self.accelerated_update(batch)
            metrics |= self.replay.prioritize(batch, metrics.pop("priority"))
            self.num_updates += 1
        return metrics

    def is_finite(self) -> bool:
        return self.actor_optimizer.guard.is_finite() and self.critic_optimizer.guard.is_finite()

    @property
    def rows(self) -> Replay:
        return self.replay

    def cut_off(self, envs: Array) -> None:
        self.receive(self.explorer.cut_off(envs))

    def status(self) -> dict[str, float]:
        return {
            "noise_scale": self.explorer.noise.scale(self.num_steps),
            "num_updates": self.num_updates,
            **self.replay.status(),
        }

    def distributions(self) -> dict[str, Distribution]:
        return self.replay.distributions()

    def policy_module(self) -> torch.nn.Module:
        norm = [] if self.normalizer is None else [self.normalizer.as_it_is()]
        return torch.nn.Sequential(*norm, self.actor.module)

    def policy_state(self) -> dict[str, torch.Tensor]:
        return self.explorer.policy_state()

    def load_policy_state(self, state: dict[str, torch.Tensor]) -> None:
        self.explorer.load_policy_state(state)

    def state_dict(self) -> dict[str, Any]:
        return states(self._parts()) | {"num_steps": self.num_steps, "num_updates": self.num_updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        load_states(self._parts(), state)
        self.num_steps = state["num_steps"]
        self.num_updates = state["num_updates"]

    def _parts(self) -> dict[str, Any]:
        """Everything with a state of its own, by the name it is saved under."""
        return existing(
            actor=self.actor,
            critic=self.critic,
            target_actor=self.target_actor,
            target_critic=self.target_critic,
            actor_optimizer=self.actor_optimizer,
            critic_optimizer=self.critic_optimizer,
            explorer=self.explorer,
            replay=self.replay,
            normalizer=self.normalizer,
            reward_scale=self.reward_scale,
        )
