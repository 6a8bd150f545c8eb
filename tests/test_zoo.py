"""The policies that come with rlcont play as well as they did when they were kept."""

import json
import re
from pathlib import Path

import pytest

from rlcont.core.errors import UserError
from rlcont.report.play import evaluate_run
from rlcont.runs.find import ZOO, named_folder, products_folder, run_folders

NAMES = sorted("/".join(folder.parts[-2:]) for folder in run_folders(ZOO))


def test_there_are_policies():
    assert "ppo/HalfCheetah-v4" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_policy_acts_as_it_did(name, capsys):
    folder = named_folder(Path(f"zoo:{name}"))
    kept = json.loads((folder / "policies/last.json").read_text())
    text = evaluate_run(folder, "last", 1, None)
    assert "older rlcont" not in capsys.readouterr().err
    played = float(text.partition("return ")[2].split()[0])
    low, high = kept["return_min"], kept["return_max"]
    assert low - 0.05 * abs(low) <= played <= high + 0.05 * abs(high)


@pytest.mark.parametrize("name", NAMES)
def test_a_description_names_no_folder_of_the_machine_that_made_it(name):
    folder = named_folder(Path(f"zoo:{name}"))
    text = (folder / "run.json").read_text() + (folder / "config.yaml").read_text()
    assert not re.search(r"""(^|[\s"'=])/""", text)


def test_a_name_that_is_not_there_is_told_with_those_that_are():
    with pytest.raises(UserError, match=r"zoo:ppo/HalfCheeta-v4: the zoo has .*; did you mean ppo/HalfCheetah-v4\?"):
        named_folder(Path("zoo:ppo/HalfCheeta-v4"))


def test_films_of_the_zoo_go_to_the_working_directory_and_others_to_their_run(tmp_path):
    assert products_folder(named_folder(Path(f"zoo:{NAMES[0]}"))) == Path()
    assert products_folder(tmp_path) == tmp_path
