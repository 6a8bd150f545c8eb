"""A folder from a stranger is refused in one line, or its older checkpoint taken; nothing in it is executed."""

import json
import shutil
import sys

import pytest
import yaml
from hostile import ARRAYS, CONFIG_VALUES, MANIFEST_CHANGES, ROWS, STATES, YAML_CODE
from interruptions import train
from tiny import TINY, tiny

from rlcont.core.errors import UserError
from rlcont.report.play import evaluate_run
from rlcont.runs import checkpoint
from rlcont.runs.resume import plan_resume
from rlcont.training.run import resume

FORBIDDEN = {"os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "pickle.find_class"}
seen: list[str] = []
sys.addaudithook(lambda event, _: seen.append(event) if event in FORBIDDEN else None)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return train(tiny(f"output={tmp_path_factory.mktemp('base')}", "checkpoint.every=100", base=TINY))


@pytest.fixture
def folder(finished, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def refused_quietly(action):
    """Whether `action` ends in a user's one line, and nothing was executed."""
    seen.clear()
    with pytest.raises(UserError) as error:
        action()
    assert not seen
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000
    return str(error.value)


def go_on(folder):
    resume(plan_resume(folder, ["total_steps=500"]))


def checkpoints(folder):
    return sorted((folder / "checkpoints").glob("step-*"))


def replaced(folder, change):
    """Changes every checkpoint's files by name, and seals the manifests as if nothing had happened."""
    for path in checkpoints(folder):
        manifest = json.loads((path / "manifest.json").read_text())
        del manifest["sha256"]
        for name in ("state.json", "arrays.safetensors"):
            content = change(name, (path / name).read_bytes())
            (path / name).write_bytes(content)
            manifest["files"][name] = [len(content), checkpoint._sum(content)]
        for row in manifest["rows"]:
            rows = folder / "checkpoints" / "rows" / checkpoint.Segment(*row).name
            content = change("rows", rows.read_bytes())
            rows.write_bytes(content)
            row[2:] = [len(content), checkpoint._sum(content)]
        (path / "manifest.json").write_bytes(checkpoint._sealed(manifest))


def test_the_folder_goes_on_where_nobody_touched_it(folder):
    replaced(folder, lambda name, content: content)
    go_on(folder)
    assert checkpoints(folder)[-1].name == "step-000000000500"


@pytest.mark.parametrize(
    ("what", "variant"), [(what, i) for what in STATES for i in range(6 if what == "a pickle" else 1)]
)
def test_a_state_that_is_none_is_refused(folder, what, variant):
    replaced(folder, lambda name, content: STATES[what](variant) if name == "state.json" else content)
    assert "run" in refused_quietly(lambda: go_on(folder))


@pytest.mark.parametrize("what", ARRAYS)
def test_arrays_that_are_none_are_refused(folder, what):
    replaced(folder, lambda name, content: ARRAYS[what] if name == "arrays.safetensors" else content)
    assert "no checkpoint is whole" in refused_quietly(lambda: go_on(folder))


@pytest.mark.parametrize("what", ROWS)
def test_rows_that_are_none_are_refused(folder, what):
    replaced(folder, lambda name, content: ROWS[what] if name == "rows" else content)
    assert "no checkpoint is whole" in refused_quietly(lambda: go_on(folder))


@pytest.mark.parametrize("what", MANIFEST_CHANGES)
def test_a_manifest_of_another_form_is_refused(folder, what):
    for path in checkpoints(folder):
        manifest = json.loads((path / "manifest.json").read_text())
        del manifest["sha256"]
        MANIFEST_CHANGES[what](manifest)
        (path / "manifest.json").write_bytes(checkpoint._sealed(manifest))
    if what == "a foreign key":
        go_on(folder)
    else:
        said = "its checkpoints are those of rlcont" if what == "a later format" else "no checkpoint is whole"
        assert said in refused_quietly(lambda: go_on(folder))


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in CONFIG_VALUES.items() for value in values])
def test_a_configuration_is_values_not_code(folder, key, value):
    container = yaml.safe_load((folder / "config.yaml").read_text())
    *parents, name = key.split(".")
    place = container
    for parent in parents:
        place = place[parent]
    place[name] = value
    (folder / "config.yaml").write_text(yaml.safe_dump(container))
    refused_quietly(lambda: evaluate_run(folder, "last", 1, None))
    refused_quietly(lambda: go_on(folder))


@pytest.mark.parametrize("text", YAML_CODE)
def test_yaml_tags_make_no_objects(folder, text):
    (folder / "config.yaml").write_text(text)
    assert "config.yaml" in refused_quietly(lambda: go_on(folder))


@pytest.mark.parametrize("text", ["", "[]", "{", "null", '{"acceleration": "os.system"}', '{"acceleration": {}}'])
def test_a_description_that_is_none_is_refused(folder, text):
    (folder / "run.json").write_text(text)
    refused_quietly(lambda: go_on(folder))


@pytest.mark.parametrize(
    "key", ["../../evil", "_target_", "algo._target_", "hydra.run.dir", "algo.lr", "seed", "output"]
)
def test_what_was_learned_by_cannot_be_typed_over(folder, key):
    assert key in refused_quietly(lambda: plan_resume(folder, [f"{key}=1"]))


def test_the_corpus_is_large():
    configs = sum(map(len, CONFIG_VALUES.values()))
    assert len(STATES) + 5 + len(ARRAYS) + len(ROWS) + len(MANIFEST_CHANGES) + configs + len(YAML_CODE) >= 60
