"""README and the pages of docs: their links lead somewhere, and the commands of README and guide work, shortened."""

import re
import shlex
from pathlib import Path

import pytest
from script import rlcont
from tiny import TINY, tiny

from rlcont.config.compose import expand_sweep, make_plan
from rlcont.config.names import CONFIG_DIR
from rlcont.search.plan import plan_search

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
GUIDE = (ROOT / "docs" / "guide.md").read_text()
LINES = [line for page in (README, GUIDE) for line in page.splitlines() if line.startswith("    rlcont ")]
COMMANDS = [re.sub(r"\boutputs/\S+|\bRUN\b", "latest", line.partition(" #")[0].strip()) for line in LINES]
NOT_HERE = ("my_envs", "my_package", "gymnasium_robotics", "shimmy", "render=true", "video=true")
"""Words of commands that need a module of one's own, another package, or something to draw with."""
TAKE_A_RUN = ("runs", "eval", "resume", "compare", "export")
OF_RUNS = [line for line in COMMANDS if line.split()[1] in TAKE_A_RUN or "latest" in line]
OTHERS = [line for line in COMMANDS if line not in OF_RUNS]


def _here(lines):
    return list(dict.fromkeys(line for line in lines if not any(word in line for word in NOT_HERE)))


def anchors(page):
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("https://", "http://")):
            continue
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.exists(), target
        assert not anchor or anchor in anchors(place), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_lines_are_wrapped(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    # Tables, code and pictures cannot be broken.
    assert [
        line
        for line in text.splitlines()
        if len(line) > 100 and not line.lstrip().startswith("|") and not line.startswith(("    ", "!["))
    ] == []


def test_readme_is_short_and_names_every_algorithm():
    assert len(README) <= 9000
    assert all(len(line) <= 120 for line in README.splitlines())
    assert set(re.findall(r"^\| `(\w+)` \|", README.partition("## Why")[0], re.MULTILINE)) == {
        path.stem for path in (CONFIG_DIR / "algo").glob("*.yaml")
    }


def test_readme_installs_the_torch_that_is_tested():
    assert set(re.findall(r"torch==[\d.]+", README)) == {
        line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.startswith("torch==")
    }


@pytest.mark.parametrize("line", _here(OTHERS))
def test_commands_that_train_are_right(line):
    words = shlex.split(line)[1:]
    if "--help" in words:
        return
    if words[0] == "search":
        assert plan_search(words[1:]).space.varied
    elif words[0] == "-m":
        jobs = expand_sweep([word for word in words if not word.startswith(("-", "hydra"))])
        assert len([make_plan(job) for job in jobs]) > 1
    else:
        make_plan([word for word in words if word != "--cfg"])


@pytest.fixture(scope="module")
def cwd(tmp_path_factory):
    """A folder with two tiny runs and the module of README."""
    folder = tmp_path_factory.mktemp("readme")
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (folder / "my_envs.py").write_text(next(block for block in blocks if "PointMass" in block))
    for seed in (0, 1):
        assert rlcont(folder, f"seed={seed}", *TINY).returncode == 0
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("line", _here(OF_RUNS))
def test_commands_that_take_a_run_work(cwd, line):
    words = shlex.split(
        line.replace("30000", "500").replace("2e6", "600").replace("warmup_steps=1000", "warmup_steps=100")
    )[1:]
    short = [word for word in TINY if word.partition("=")[0] not in {each.partition("=")[0] for each in words}]
    result = rlcont(cwd, *words, *(short if words[0] not in TAKE_A_RUN and "from=latest" not in words else []))
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
def test_the_environment_of_readme_trains(cwd):
    line = next(line for line in COMMANDS if "my_envs:PointMass" in line)
    result = rlcont(cwd, *tiny(shlex.split(line)[1], "total_steps=200"))
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
def test_the_python_of_readme_works(cwd, monkeypatch, capsys):
    monkeypatch.chdir(cwd)
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    code = next(block for block in blocks if "rlcont.load" in block)
    values = {}
    short, replaced = re.subn(r"rlcont\.train\(.*?\)", f"rlcont.train(*{tiny('seed=2')!r})", code)
    assert replaced == short.count("total_steps=30000") == 1
    exec(short.replace("total_steps=30000", "total_steps=500"), values)
    assert (values["run"] / "evaluations.csv").read_text().splitlines()[-1].startswith("500,")
    assert values["action"].shape == (1,)
    assert float(capsys.readouterr().out.splitlines()[-1]) < 0
