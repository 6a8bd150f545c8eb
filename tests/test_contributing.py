"""The guide's example algorithm is real: copied out into a package of its own, it does all that the guide says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from interruptions import differences
from script import rlcont
from tiny import tiny

ROOT = Path(__file__).parent.parent
WORDS = tiny("algo=blurry:Blurry", "tuned=none", "algo.blur=0.3", "checkpoint.every=100")


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A folder outside the checkout that holds the example as a package."""
    guide = (ROOT / "CONTRIBUTING.md").read_text()
    config, agent = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    (values,) = re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL)
    folder = tmp_path_factory.mktemp("outside")
    (folder / "blurry").mkdir()
    for name, text in (("__init__.py", ""), ("config.py", config), ("agent.py", agent), ("Blurry.yaml", values)):
        (folder / "blurry" / name).write_text(text)
    return folder


def said(package, *words):
    result = rlcont(package, *words, env={"PYTHONPATH": str(package)})
    assert result.returncode == 0, result.stderr
    return result


@pytest.mark.slow
def test_it_passes_the_type_checker(package):
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), "blurry"]
    result = subprocess.run(
        command, cwd=package, capture_output=True, text=True, env={"MYPYPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.slow
def test_it_trains_and_resumes_to_the_last_bit(package, monkeypatch):
    monkeypatch.syspath_prepend(package)
    said(package, *WORDS, "output=whole")
    said(package, *tiny("output=parts", "total_steps=200", base=WORDS))
    (part,) = package.glob("parts/*/*/*")
    said(package, "resume", str(part), "total_steps=400")
    (whole,) = package.glob("whole/*/*/*")
    assert differences(whole, part) == []
    assert "blur: 0.3" in (whole / "config.yaml").read_text()


@pytest.mark.slow
def test_it_compiles(package):
    result = said(package, *tiny("output=compiled", "compile=true", "total_steps=150", base=WORDS))
    assert "compiled updates" in result.stdout
    assert "eager" not in result.stdout + result.stderr


def test_its_keys_are_described(package):
    described = " ".join(said(package, "--help", "algo=blurry:Blurry").stdout.split())
    assert "algo.blur number at least 0; default 0.01 Standard deviation of the noise on observations" in described
    assert "algo.gamma number from 0 to 1; default 0.99" in described
