"""The smallest runs that still go through everything."""

TINY = [
    "env=Pendulum-v1",
    "total_steps=400",
    "algo.warmup_steps=100",
    "algo.batch_size=16",
    "algo.replay_size=1000",
    "algo.actor.hidden=[16]",
    "algo.critic.hidden=[16]",
    "eval.every=200",
    "eval.episodes=2",
    "log.every=100",
]


TINY_A2C = [
    "algo=a2c",
    "env=Pendulum-v1",
    "tuned=none",
    "total_steps=400",
    "num_envs=2",
    "algo.rollout_steps=10",
    "algo.num_minibatches=2",
    "algo.network.hidden=[16]",
    "eval.every=200",
    "eval.episodes=2",
    "log.every=100",
]

TINY_PPO = ["algo=ppo", *TINY_A2C[1:], "algo.num_epochs=2"]


def tiny(*changes: str, base: list[str] = TINY) -> list[str]:
    """`base` with some settings changed or added; a key that is typed twice is a mistake."""
    changed = {change.partition("=")[0] for change in changes}
    return [setting for setting in base if setting.partition("=")[0] not in changed] + list(changes)
