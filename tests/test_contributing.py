"""The guide's example algorithm is real: its two files, put where it says, train."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tiny import TINY

ROOT = Path(__file__).parent.parent


def rlcont(folder, *arguments):
    """What rlcont says when it is run from the copy in `folder`."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "rlcont", *arguments]
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_an_algorithm_is_one_python_file_and_one_yaml_file(tmp_path):
    guide = (ROOT / "CONTRIBUTING.md").read_text()
    (python,) = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    (yaml,) = re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL)
    for part in ("rlcont", "configs"):
        shutil.copytree(ROOT / part, tmp_path / part)
    (tmp_path / "rlcont" / "algos" / "smooth.py").write_text(python)
    (tmp_path / "configs" / "algo" / "smooth.yaml").write_text(yaml)
    rlcont(tmp_path, "algo=smooth", "algo.target_sigma=0.3", *TINY)
    (run,) = (tmp_path / "outputs" / "Pendulum-v1" / "smooth").iterdir()
    assert "target_sigma: 0.3" in (run / "config.yaml").read_text()
    described = " ".join(rlcont(tmp_path, "--help", "algo=smooth").split())
    assert "smooth DDPG with the target policy smoothing of TD3" in described
    assert "algo.target_clip number at least 0; default 0.5 Bound of that noise." in described
    assert "algo.gamma number from 0 to 1; default 0.99" in described
