"""Hints for unknown keys, among them the names that Stable-Baselines3, its zoo, CleanRL and TorchRL use."""

from collections.abc import Iterable

from rlcont.config.fields import algorithm_fields
from rlcont.config.names import options
from rlcont.core.spelling import did_you_mean, nearest_key

OURS = {
    "buffer_size": "algo.replay_size",
    "memory_size": "algo.replay_size",
    "learning_starts": "algo.warmup_steps",
    "init_random_frames": "algo.warmup_steps",
    "start_timesteps": "algo.warmup_steps",
    "learning_rate": "lr",
    "actor_learning_rate": "algo.actor.lr",
    "critic_learning_rate": "algo.critic.lr",
    "policy_lr": "algo.actor.lr",
    "q_lr": "algo.critic.lr",
    "n_steps": "algo.rollout_steps algo.n_step",
    "num_steps": "algo.rollout_steps total_steps",
    "frames_per_batch": "algo.rollout_steps",
    "ent_coef": "algo.entropy_coef algo.init_temperature",
    "vf_coef": "algo.value_coef",
    "clip_coef": "algo.clip_range",
    "clip_epsilon": "algo.clip_range",
    "n_epochs": "algo.num_epochs",
    "update_epochs": "algo.num_epochs",
    "n_minibatches": "algo.num_minibatches",
    "lmbda": "algo.gae_lambda",
    "alpha": "algo.init_temperature",
    "polyak": "algo.tau",
    "policy_frequency": "algo.policy_delay",
    "target_policy_noise": "algo.target_sigma",
    "policy_noise": "algo.target_sigma",
    "target_noise_clip": "algo.target_clip",
    "noise_clip": "algo.target_clip",
    "exploration_noise": "algo.auto_noise.sigma",
    "action_noise": "noise",
    "gradient_steps": "algo.updates_per_step",
    "train_freq": "algo.updates_per_step",
    "utd_ratio": "algo.updates_per_step",
    "net_arch": "hidden",
    "num_cells": "hidden",
    "activation_fn": "activation",
    "norm_obs": "algo.normalize_obs",
    "norm_reward": "algo.normalize_reward",
    "n_envs": "num_envs",
    "env_wrapper": "env.wrappers",
    "wandb_project_name": "log.wandb",
    "track": "log.wandb",
    "env_id": "env",
    "env_name": "env",
    "env_kwargs": "env.kwargs.NAME",
    "total_timesteps": "total_steps",
    "n_timesteps": "total_steps",
    "total_frames": "total_steps",
    "n": "total_steps",
    "eval_freq": "eval.every",
    "eval_episodes": "eval.episodes",
    "n_eval_episodes": "eval.episodes",
    "save_freq": "checkpoint.every",
    "log_interval": "log.every",
    "tensorboard_log": "output",
    "log_folder": "output",
    "f": "output",
}
"""Another library's name of a key, and the end of ours; of two, the first that the chosen algorithm has."""


def key_hint(key: str, known: Iterable[str]) -> str:
    """'; did you mean …?' with our key for another library's name, else with the nearest of the `known` keys."""
    known = list(known)
    ours = OURS.get(key.rpartition(".")[2].lower(), "").split()
    for name in ours:
        if found := [each for each in known if each == name or each.endswith(f".{name}")]:
            return did_you_mean(found)
    for name in ours:
        algorithms = [each for each in options("algo") if name in (field.key for field in algorithm_fields(each))]
        if algorithms:
            return f"; did you mean {name} of algo={' or '.join(algorithms)}?"
    return did_you_mean(ours[:1]) or nearest_key(key, known)
