"""What the off-policy algorithms share: an actor and critics that learn from a replay."""

import abc
from typing import Any, ClassVar

import torch

from rlcont.algos.off_policy.config import OffPolicyConfig
from rlcont.core.agent import Learner
from rlcont.core.seeding import torch_generator
from rlcont.core.types import Array, Batch, EnvSpec, EnvStep, Experience, Histogram, Metrics
from rlcont.exploration.config import NoiseConfig
from rlcont.exploration.explorer import Explorer
from rlcont.memory.prioritized import PrioritizedReplay
from rlcont.memory.replay import Replay
from rlcont.nn import nets
from rlcont.nn.normalize import RewardScale, RunningNorm
from rlcont.nn.optim import Adam, clip_norm, polyak_


class OffPolicy(Learner):
    """An actor and critics that learn from a replay.

    Source: DDPG, arXiv:1509.02971, Algorithm 1; several critics and a delayed actor as in TD3, arXiv:1802.09477.
    Differs: the replay is preceded by uniformly random actions; a truncated episode bootstraps; no weight decay and no
    batch normalisation; the action enters the critic's first layer; TD targets may span several steps, and transitions
    be drawn by their priority; with `normalize_obs` or `normalize_reward`, rows are stored raw and normalised when
    sampled, and a return that scales rewards goes on across a time limit, as bootstrapping does; with `target_every`,
    targets move seldom and by more, as in DQN (doi:10.1038/nature14236); with `average_rate`, a running average of the
    actor is evaluated (Polyak and Juditsky, doi:10.1137/0330046).

    Seams for the algorithms built on this, in the order an update meets them; an algorithm must define make_actor,
    next_value and actor_loss:
        make_actor, explorer_class: the policy network, and how it explores.
        make_critic, make_targets: one critic, and which networks have targets.
        draw: fills tensors of random numbers before each update.
        normalized: what an update sees of a batch.
        actor_is_due: whether an update also moves the actor and the targets.
        next_value, td_target, critic_loss: what the critics learn.
        q_value: what the actor climbs.
        actor_loss: what the actor learns.
        update_critic, update_actor, update_targets: the three steps of an update, each as a whole.
    """

    explorer_class: type[Explorer] = Explorer
    unsaved: ClassVar[tuple[str, ...]] = ("evaluated",)  # It shares its state with the explorer and the average.

    def __init__(
        self, config: OffPolicyConfig, noise: NoiseConfig, spec: EnvSpec, *, seed: int, device: str, **sizes: Any
    ):
        super().__init__(config, spec, device=device, **sizes)
        init = torch_generator(seed, "init", device)
        self.explorer = self.make_explorer(
            config, noise, spec, init, num_envs=self.num_envs, total_steps=self.total_steps, seed=seed, device=device
        )
        self.actor = self.explorer.policy
        self.critic = nets.FlatNetwork(nets.Critics([self.make_critic(init) for _ in range(config.num_critics)]))
        self.make_targets()
        self.make_average()
        self.actor_optimizer = Adam(self.actor.weights, config.actor.lr)
        self.critic_optimizer = Adam(self.critic.weights, config.critic.lr)
        self.normalizer = self.explorer.normalizer
        self.reward_scale = RewardScale(device, config.return_bound) if config.normalize_reward else None
        self.replay = self.make_replay(torch_generator(seed, "replay"), self.total_steps)
        self.accelerated_update = self.accelerate(self.update)
        self.accelerated_critic_update = self.accelerate(self.update_without_actor)

    def make_replay(self, generator: torch.Generator, total_steps: int) -> Replay:
        """The memory, empty."""
        config = self.config
        sizes = (config.replay_size, self.spec.obs_dim, self.spec.action_dim)
        arguments = (*sizes, generator, self.device, config.num_rows(total_steps, self.num_envs))
        if config.replay == "uniform":
            return Replay(*arguments)
        alpha, beta = config.priority_alpha, config.priority_beta
        num_batches = config.num_updates(total_steps, self.num_envs)
        return PrioritizedReplay(*arguments, alpha=alpha, beta=beta, num_batches=num_batches)

    @classmethod
    def make_explorer(
        cls,
        config: OffPolicyConfig,
        noise: NoiseConfig,
        spec: EnvSpec,
        init: torch.Generator,
        *,
        device: str,
        **sizes: Any,
    ) -> Explorer:
        """The acting side, with a policy network drawn from `init`; remote actors have one of their own."""
        return cls.explorer_class(
            nets.FlatNetwork(cls.make_actor(config, spec, init)),
            RunningNorm(spec.obs_dim, device) if config.normalize_obs else None,
            noise,
            spec,
            warmup_steps=config.warmup_steps,
            gamma=config.gamma,
            n_step=config.n_step,
            device=device,
            **sizes,
        )

    @classmethod
    def make_policy(
        cls, config: OffPolicyConfig, noise: NoiseConfig, spec: EnvSpec, *, seed: int, device: str
    ) -> Explorer:
        """The explorer alone: acting needs neither critics nor a replay."""
        init = torch_generator(seed, "init", device)
        return cls.make_explorer(config, noise, spec, init, num_envs=1, total_steps=1, seed=seed, device=device)

    @staticmethod
    @abc.abstractmethod
    def make_actor(config: Any, spec: EnvSpec, generator: torch.Generator) -> torch.nn.Module:
        """The policy network, obs [B, O] -> action [B, A], or whatever `explorer_class` explores by."""

    def make_critic(self, generator: torch.Generator) -> torch.nn.Module:
        """One critic, (obs [B, O], action [B, A]) -> what `next_value`, `critic_loss` and `q_value` read."""
        return nets.QFunction(nets.mlp(self.spec.obs_dim + self.spec.action_dim, self.config.critic, 1, generator))

    def make_targets(self) -> None:
        """The networks that `next_value` reads."""
        self.target_critic = self.critic.frozen_copy()

    def make_average(self) -> None:
        """The running average of the actor's weights, and what acts by it without exploration."""
        self.average = None if self.config.average_rate is None else self.actor.frozen_copy()
        self.evaluated = self.explorer if self.average is None else self.explorer.acting_by(self.average)

    def draw(self) -> None:
        """Draws what the next update needs of randomness, in place into tensors that are parts of the agent.

        It is called before each update: a compiled update cannot draw from a generator.
        """

    def actor_is_due(self) -> bool:
        """Whether the next update also moves the actor and the targets; it may depend on `num_updates`."""
        return (self.num_updates + 1) % self.config.policy_delay == 0

    def targets_are_due(self) -> bool:
        """Whether the last update is followed by one of the targets, where not every update moves them itself."""
        every = self.config.target_every
        return every > 1 and self.num_updates % (every * self.config.policy_delay) == 0

    def update(self, batch: Batch) -> Metrics:
        """One gradient step of the critic, then one of the actor, then the targets follow, unless they move seldom.

        Returns:
            What to log, and under "priority" that of each row [B].
        """
        batch = self.normalized(batch)
        metrics = self.update_critic(batch)
        metrics |= self.update_actor(batch)
        if self.config.target_every == 1:
            self.update_targets()
        self.update_average()
        return metrics

    def update_without_actor(self, batch: Batch) -> Metrics:
        """The critic's gradient step alone; returns as `update` does."""
        return self.update_critic(self.normalized(batch))

    def normalized(self, batch: Batch) -> Batch:
        """`batch` by the running statistics of the moment."""
        if self.normalizer is not None:
            batch = batch._replace(obs=self.normalizer(batch.obs), next_obs=self.normalizer(batch.next_obs))
        if self.reward_scale is not None:
            batch = batch._replace(reward=self.reward_scale(batch.reward))
        return batch

    def update_critic(self, batch: Batch) -> Metrics:
        """One gradient step of the critic, each row's loss times its weight."""
        with torch.no_grad():
            td_target = self.td_target(batch)
        losses, priority, metrics = self.critic_loss(batch, td_target)
        loss = (batch.weight * losses).mean()
        self.descend(loss, self.critic, self.critic_optimizer)
        return metrics | {"critic_loss": loss.detach(), "priority": priority.detach()}

    def update_actor(self, batch: Batch) -> Metrics:
        """One gradient step of the actor, using the critic as just updated."""
        loss, metrics = self.actor_loss(batch.obs)
        self.descend(loss, self.actor, self.actor_optimizer)
        return metrics | {"actor_loss": loss.detach()}

    def update_targets(self) -> None:
        """One soft update of the target networks."""
        with torch.no_grad():
            polyak_(self.target_critic.weights, self.critic.weights, self.config.tau)

    def update_average(self) -> None:
        """The running average of the actor takes in the actor of the moment."""
        if self.average is not None:
            with torch.no_grad():
                polyak_(self.average.weights, self.actor.weights, self.config.average_rate)

    @abc.abstractmethod
    def next_value(self, batch: Batch) -> Any:
        """What a TD target bootstraps from, V(s') [B]."""

    def td_target(self, batch: Batch) -> Any:
        """y = r + discount V(s'), [B]."""
        return batch.reward + batch.discount * self.next_value(batch)

    def critic_loss(self, batch: Batch, td_target: Any) -> tuple[torch.Tensor, torch.Tensor, Metrics]:
        """Each row's squared TD error [B], summed over the critics, its priority [B], and what to log."""
        q = self.critic(batch.obs, batch.action)
        error = q - td_target
        return error.square().sum(0), error.detach().abs().amax(0), {"q_mean": q.detach().mean()}

    def q_value(self, obs: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """The expected return [B] that the first online critic sees in (obs, action)."""
        return self.critic(obs, action, 1)[0]

    @abc.abstractmethod
    def actor_loss(self, obs: torch.Tensor) -> tuple[torch.Tensor, Metrics]:
        """What the actor's step descends, and what to log."""

    def descend(self, loss: torch.Tensor, network: nets.FlatNetwork, optimizer: Adam) -> None:
        """Steps `network` down the gradient of `loss`."""
        grad = network.gradient(loss)
        if self.config.max_grad_norm is not None:
            grad = clip_norm(grad, self.config.max_grad_norm)
        optimizer.step(grad)

    def act(self, obs: Array, *, explore: bool) -> Array:
        return (self.explorer if explore else self.evaluated).act(obs, explore=explore)

    def observe(self, step: EnvStep) -> None:
        self.receive(self.explorer.observe(step))

    def receive(self, experience: Experience) -> None:
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
            self.draw()
            update = self.accelerated_update if self.actor_is_due() else self.accelerated_critic_update
            metrics = update(batch)
            metrics |= self.replay.prioritize(batch, metrics.pop("priority"))
            self.num_updates += 1
            if self.targets_are_due():
                self.update_targets()
        return metrics

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

    def distributions(self) -> dict[str, Histogram]:
        return self.replay.distributions()

    def policy_module(self) -> torch.nn.Module:
        return self.evaluated.policy_module()

    def policy_state(self) -> dict[str, torch.Tensor]:
        return self.evaluated.policy_state()

    def explorer_state(self) -> dict[str, torch.Tensor]:
        return self.explorer.policy_state()

    def load_policy_state(self, state: dict[str, torch.Tensor]) -> None:
        self.explorer.load_policy_state(state)
        self.make_targets()
        self.make_average()
