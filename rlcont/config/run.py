"""The configuration of a run, as frozen and validated dataclasses."""

from typing import Annotated, Any, Literal

from pydantic import Field

from rlcont.config.actors import ActorsConfig, RayActors
from rlcont.core.schema import Count, Flag, NonNegativeInt, Number, Text, list_of, schema
from rlcont.envs.config import EnvConfig
from rlcont.exploration.config import NoiseConfig

BY_ALGORITHM = {"num_envs": ("auto_num_envs", 1), "checkpoint.every": ("auto_checkpoint_every", 10_000)}
"""Keys that may be `auto` until a run is composed: what an algorithm's YAML file calls its own number, and the number
of an algorithm whose file names none."""
ROUNDING = ("device", "compile", "precision")
"""Keys that change how a run is computed: its numbers may differ in their last digit."""
CHANGEABLE = (
    *("total_steps", "stop_at", "eval.every", "eval.save_policies", "log.every", "checkpoint.every", "checkpoint.keep"),
    *("actors.address", "env.info", "log.wandb", "workers"),
    *ROUNDING,
)
"""Keys that may change when a run is resumed: none of them changes how or from what the agent learns."""


@schema
class EvalConfig:
    """Deterministic evaluation on environments of its own."""

    every: Count | None
    """Environment steps between two evaluations; null: never, for a simulator that can exist only once."""
    episodes: Annotated[Count, Field(le=100_000)]
    """Episodes of one evaluation, the same seeds each time."""
    save_policies: Flag
    """Keep the policy of every evaluation, besides the last and the best."""


@schema
class LogConfig:
    """Log lines and TensorBoard points."""

    every: Count
    """Environment steps between two log lines."""
    wandb: Text | None
    """Project of Weights & Biases that gets a copy of what TensorBoard gets; null: none. WANDB_MODE=offline keeps it in
    the run's folder."""


@schema
class CheckpointConfig:
    """Checkpoints, from which an interrupted run is resumed."""

    every: Count | None
    """Environment steps between two checkpoints; null: none; auto: the algorithm's own number."""
    keep: Count
    """Number of checkpoints to keep; older ones are deleted."""


@schema
class RunConfig:
    """One run, complete."""

    algo_name: Text
    """Name of the algorithm: a file of the group algo, or module:Class."""
    algorithm: Text
    """Algorithm whose hyper-parameters that file holds: a folder of rlcont/algos, or module:Class."""
    algo: Any
    """Hyper-parameters, in the algorithm's own dataclass."""
    env: EnvConfig
    """The environment."""
    noise: NoiseConfig
    """Exploration noise."""
    actors: ActorsConfig
    """Where acting happens: in the training process, or in remote actors."""
    seed: NonNegativeInt
    """The one seed of all randomness."""
    total_steps: Count
    """Environment steps, summed over the environments."""
    stop_at: Number | None
    """Mean return of an evaluation that ends the run; null: only total_steps does."""
    init: Text | None
    """Folder of a run whose last policy this run starts from, with its normaliser; null: from random weights."""
    num_envs: Annotated[Count, Field(le=4096)]
    """Environments stepped side by side, by each actor; auto: the algorithm's own number."""
    workers: Literal["auto"] | Count
    """Processes that step the environments; auto: one, or one per core where a step takes long enough. For Gymnasium's
    MuJoCo tasks, one and several are then compared on the way, and the faster go on (docs/guide.md)."""
    threads: Literal["auto"] | Annotated[Count, Field(le=1024)]
    """Threads of updates; auto: one or two, whichever is faster at the moment, with the same numbers."""
    device: Literal["auto", "cpu", "cuda"]
    """Device of the networks and the replay; auto: cuda where there is one."""
    compile: Literal["auto"] | Flag
    """Compile the update; auto: where a compiler is found and the run is long enough."""
    precision: Literal["auto", "fp32", "bf16"]
    """Precision of matrix products in updates; auto: fp32, because bf16 was measured to learn later."""
    eval: EvalConfig
    """Evaluation."""
    log: LogConfig
    """Logging."""
    checkpoint: CheckpointConfig
    """Checkpoints."""
    output: Annotated[Text, Field(min_length=1)]
    """Folder in which runs are created."""

    @property
    def total_envs(self) -> int:
        """Environments of all actors."""
        return self.num_envs * (self.actors.num if isinstance(self.actors, RayActors) else 1)


@schema
class SweepConfig:
    """Settings of a sweep as a whole, not of its jobs."""

    jobs: Literal["auto"] | Count
    """Jobs that run at once; auto: one per core."""
    zip: Annotated[tuple[Text, ...], list_of("keys, as in [algo.actor.lr,algo.critic.lr]")]
    """Keys whose values are paired, first with first and so on, in place of every combination."""


@schema
class SearchConfig:
    """Settings of a search as a whole, not of its runs."""

    trials: Count
    """Number of settings to try, including those that are cut short or fail."""
    sampler: Literal["tpe", "random"]
    """How settings are proposed: tpe learns from earlier trials, random does not."""
    pruner: Literal["median", "asha", "none"]
    """When a trial is cut short, at the earliest after a quarter of its steps: median, if its best evaluation since
    then is below the median of the other trials; asha, if it is not in the better half after a quarter or a half of
    the steps; none, never."""
    seed: NonNegativeInt
    """Seed of the proposals."""
