"""Distributed distributional deterministic policy gradient."""

from typing import Any

import torch

from rlcont.algos.d4pg.config import D4PGConfig
from rlcont.algos.ddpg.agent import DDPG
from rlcont.core.types import Batch, EnvSpec, Experience, Histogram, Metrics
from rlcont.exploration.config import NoiseConfig
from rlcont.nn import nets
from rlcont.nn.categorical import Support, project, resampling


class D4PG(DDPG):
    """DDPG with a distribution over returns in place of their mean.

    Source: arXiv:1804.08617, Algorithm 1, with the categorical distribution of its appendix A.
    Differs: soft target updates; the actor's step is taken on the critic after its own; atoms that follow the returns
    where no bounds are given; the untrained distribution is narrow and around 0; the actor's loss is in widths of the
    support; replay is uniform unless prioritised is chosen, then with the weights of arXiv:1511.05952; acting
    is local unless remote actors are chosen.
    """

    def __init__(self, config: D4PGConfig, noise: NoiseConfig, spec: EnvSpec, *, device: str, **sizes: Any):
        self.support = Support(config.num_atoms, config.bounds, device)
        super().__init__(config, noise, spec, device=device, **sizes)
        self._begin_at_zero()

    def make_critic(self, generator: torch.Generator) -> torch.nn.Module:
        """The critic network, (obs [B, O], action [B, A]) -> logits [B, K]."""
        num_in, num_atoms = self.spec.obs_dim + self.spec.action_dim, len(self.support.atoms)
        return nets.Critic(nets.mlp(num_in, self.config.critic, num_atoms, generator))

    def q_value(self, obs: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        return self._mean(self.critic(obs, action, 1)[0].softmax(-1))

    def actor_loss(self, obs: torch.Tensor) -> tuple[torch.Tensor, Metrics]:
        """Minus the mean value of the policy's own actions, in widths of the support: a gradient without a unit."""
        loss, metrics = super().actor_loss(obs)
        return loss / (self.support.atoms[-1] - self.support.atoms[0]), metrics

    def next_value(self, batch: Batch) -> torch.Tensor:
        """The distribution Z'(s', mu'(s')) [B, K], of several critics that whose mean is the lowest, row by row."""
        probs = self.target_critic(batch.next_obs, self.next_action(batch)).softmax(-1)
        lowest = self._mean(probs).argmin(0)
        return probs[lowest, torch.arange(len(lowest), device=lowest.device)]

    def td_target(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """The projected distribution of r + discount Z'(s', mu'(s')) [B, K], and the mass that was clipped [B]."""
        return project(self.next_value(batch), self.support.atoms, batch.reward, batch.discount)

    def critic_loss(self, batch: Batch, td_target: Any) -> tuple[torch.Tensor, torch.Tensor, Metrics]:
        """Each row's cross-entropy to its target [B], summed over the critics, its priority [B], and what to log.

        The priority is the highest cross-entropy of any critic. It is never below the target's own entropy: rows whose
        return is uncertain stay interesting.
        """
        target, clipped = td_target
        log_probs = self.critic(batch.obs, batch.action).log_softmax(-1)
        loss = -(target * log_probs).sum(-1)
        logs = log_probs.detach()
        probs = logs.exp()
        metrics = {
            "q_mean": self._mean(probs).mean(),
            "value_entropy": -(probs * logs).sum(-1).mean(),
            "clipped_mass": clipped.mean(),
        }
        return loss.sum(0), loss.detach().amax(0), metrics

    def receive(self, experience: Experience) -> None:
        super().receive(experience)
        self.support.include(experience.returns)

    def learn(self) -> Metrics:
        if self.support.outgrown() and self.num_updates < self.config.num_updates(self.num_steps, self.num_envs):
            self._fit_support()
        return super().learn()

    def status(self) -> dict[str, float]:
        v_min, v_max = self.support.bounds
        return super().status() | {"v_min": v_min, "v_max": v_max}

    def remark(self, values: dict[str, float]) -> str:
        """Warns of a support that is too narrow."""
        clipped = values.get("learn/clipped_mass", 0.0)
        if clipped <= 0.05:
            return ""
        v_min, v_max = self.support.bounds
        if self.config.v_min is not None:
            way_out = "leave algo.v_min and algo.v_max at null to have them found"
        elif self.support.given:
            way_out = "algo.normalize_reward=false has them found from the returns"
        else:
            way_out = "they grow beyond any return seen"
        return (
            f"{100 * clipped:.0f}% of the values lie outside the critic's support, v_min={v_min:.4g} to "
            f"v_max={v_max:.4g}, and are clipped; {way_out}"
        )

    def distributions(self) -> dict[str, Histogram]:
        """Also the value distribution, averaged over the last 256 transitions."""
        if len(self.replay) == 0:
            return {}
        last = self.replay.last(256)
        obs = last.obs if self.normalizer is None else self.normalizer(last.obs)
        with torch.no_grad():
            probs = self.critic(obs, last.action, 1)[0].softmax(-1).mean(0)
        return super().distributions() | {"value": Histogram(self.support.atoms.tolist(), probs.tolist())}

    def _mean(self, probs: torch.Tensor) -> torch.Tensor:
        # No matrix product: it would be rounded where bfloat16 is on.
        return (probs * self.support.atoms).sum(-1)

    def _begin_at_zero(self) -> None:
        """Makes the critics say the same everywhere: a narrow bump at 0, or at the bound nearest to it.

        A critic that begins far from the values it is to learn sends the actor into a corner of its box.
        """
        atoms = self.support.atoms
        centre, width = atoms.clamp(min=0)[0] + atoms.clamp(max=0)[-1], 0.05 * (atoms[-1] - atoms[0])
        for weight, bias in self.critic.last_layers(*self._critic_vectors()):
            weight.zero_()
            bias.zero_()
        for _, bias in self.critic.last_layers(self.critic.weights, self.target_critic.weights):
            bias.copy_(-0.5 * ((atoms - centre) / width).square())

    def _fit_support(self) -> None:
        """Moves the atoms; the critics' distributions stay about where they were."""
        was_fitted, old = self.support.fitted, self.support.bounds
        self.support.fit()
        if not was_fitted:
            self._begin_at_zero()
            return
        transform = resampling(len(self.support.atoms), old, self.support.bounds)
        matrix, offset = (x.float().to(self.device) for x in transform)
        for weight, bias in self.critic.last_layers(*self._critic_vectors()):
            weight.copy_(matrix @ weight)
            bias.copy_(matrix @ bias)
        for _, bias in self.critic.last_layers(self.critic.weights, self.target_critic.weights):
            bias.add_(offset)

    def _critic_vectors(self) -> list[torch.Tensor]:
        """All that has a number for each weight of the critic; the optimiser's moments follow as they can."""
        optimizer = self.critic_optimizer
        return [self.critic.weights, self.target_critic.weights, optimizer.mean, optimizer.square]
