"""The guide's example algorithm is real: its two files, put where it says, train."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tiny import TINY

ROOT = Path(__file__).parent.parent


def test_an_algorithm_is_one_python_file_and_one_yaml_file(tmp_path):
    guide = (ROOT / "CONTRIBUTING.md").read_text()
    (python,) = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    (yaml,) = re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL)
    for part in ("rlcont", "configs"):
        shutil.copytree(ROOT / part, tmp_path / part)
    (tmp_path / "rlcont" / "algos" / "smooth.py").write_text(python)
    (tmp_path / "configs" / "algo" / "smooth.yaml").write_text(yaml)
    result = subprocess.run(
        [sys.executable, "-m", "rlcont", "algo=smooth", "algo.target_sigma=0.3", *TINY],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    (run,) = (tmp_path / "outputs" / "Pendulum-v1" / "smooth").iterdir()
    assert "target_sigma: 0.3" in (run / "config.yaml").read_text()
