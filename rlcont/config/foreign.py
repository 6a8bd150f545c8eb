"""Hints for unknown keys, among them the names that Stable-Baselines3, its zoo, CleanRL and TorchRL use."""

from collections.abc import Iterable

from rlcont.config.fields import algorithm_fields
from rlcont.config.names import options
from rlcont.core.spelling import did_you_mean, nearest_key

THEIRS = {
    "algo.replay_size": "buffer_size memory_size",
    "algo.warmup_steps": "learning_starts init_random_frames start_timesteps",
    "lr": "learning_rate",
    "algo.actor.lr": "actor_learning_rate policy_lr",
    "algo.critic.lr": "critic_learning_rate q_lr",
    "algo.rollout_steps": "n_steps num_steps frames_per_batch",
    "algo.n_step": "n_steps",
    "total_steps": "num_steps total_timesteps n_timesteps total_frames n",
    "algo.entropy_coef": "ent_coef",
    "algo.init_temperature": "ent_coef alpha",
    "algo.value_coef": "vf_coef",
    "algo.clip_range": "clip_coef clip_epsilon",
    "algo.num_epochs": "n_epochs update_epochs",
    "algo.num_minibatches": "n_minibatches",
    "algo.gae_lambda": "lmbda",
    "algo.tau": "polyak",
    "algo.policy_delay": "policy_frequency",
    "algo.target_sigma": "target_policy_noise policy_noise",
    "algo.target_clip": "target_noise_clip noise_clip",
    "algo.auto_noise.sigma": "exploration_noise",
    "noise": "action_noise",
    "algo.updates_per_step": "gradient_steps train_freq utd_ratio",
    "hidden": "net_arch num_cells",
    "activation": "activation_fn",
    "algo.normalize_obs": "norm_obs",
    "algo.normalize_reward": "norm_reward",
    "num_envs": "n_envs",
    "env.wrappers": "env_wrapper",
    "log.wandb": "wandb_project_name track",
    "env": "env_id env_name",
    "env.kwargs.NAME": "env_kwargs",
    "eval.every": "eval_freq freq",
    "eval.episodes": "eval_episodes n_eval_episodes",
    "checkpoint.every": "save_freq",
    "log.every": "log_interval verbose",
    "output": "tensorboard_log log_folder f exp_name run_name",
    "rlcont eval RUN_DIR video=true": "capture_video",
}
"""The end of a key of ours, or a command, and what other libraries call it; of two keys, the first that the chosen
algorithm has."""


def ours(theirs: str) -> list[str]:
    """Our keys for another library's name."""
    return [our for our, names in THEIRS.items() if theirs in names.split()]


def key_hint(key: str, known: Iterable[str]) -> str:
    """'; did you mean …?' with our key for another library's name, else with the nearest of the `known` keys."""
    known = list(known)
    candidates = ours(key.rpartition(".")[2].lower())
    for name in candidates:
        if found := [each for each in known if each == name or each.endswith(f".{name}")]:
            return did_you_mean(found)
    for name in candidates:
        algorithms = [each for each in options("algo") if name in (field.key for field in algorithm_fields(each))]
        if algorithms:
            return f"; did you mean {name} of algo={' or '.join(algorithms)}?"
    return did_you_mean(candidates[:1]) or nearest_key(key, known)
