"""An algorithm outside rlcont, as a user would write it: the files of a small package."""

from pathlib import Path

CONFIG = '''\
"""Hyper-parameters."""

from typing import Annotated

from pydantic import Field

from rlcont.algos.ddpg.config import DDPGConfig
from rlcont.core.schema import Number, schema


@schema
class ScaledConfig(DDPGConfig):
    """DDPG's and one more."""

    scale: Annotated[Number, Field(gt=0, le=2)]
    """Factor of the TD targets."""
'''
AGENT = '''\
"""The agent."""

from rlcont.algos.ddpg.agent import DDPG


class Scaled(DDPG):
    """DDPG whose TD targets are scaled."""

    def td_target(self, batch):
        return self.config.scale * super().td_target(batch)
'''
VALUES = """\
# DDPG whose TD targets are scaled.
defaults: [ddpg, _self_]

scale: 0.9
auto_noise:
  kind: none
"""
NAME = "scaled_plugin:Scaled"


def write_package(folder: Path) -> Path:
    """Writes the package scaled_plugin into `folder`, its two parts in files of their own."""
    package = folder / "scaled_plugin"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "config.py").write_text(CONFIG)
    (package / "agent.py").write_text(AGENT)
    (package / "Scaled.yaml").write_text(VALUES)
    return package
