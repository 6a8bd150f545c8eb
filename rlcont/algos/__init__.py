"""The algorithms: a folder each, with `config.py` (hyper-parameters, without torch) and `agent.py`.

`algo=NAME` stands for the folder `rlcont/algos/NAME`; `algo=my_package:MyAlgo` for a package from anywhere. The names
of the classes are those of the algorithm in any mixture of cases: `DDPGConfig` in config.py, `DDPG` in agent.py.
There is no registry.

An agent is an `rlcont.core.agent.Agent`, made by `NAME(config, noise, spec, *, num_envs, total_steps, seed, device,
accelerate)`. The configuration is an `AlgorithmConfig` (algos/base.py).
"""
