"""The parts of the benchmarks that need neither peers nor time."""

import argparse
import importlib
import json
import math
import re
import sys
from functools import partial
from pathlib import Path

import a2c_setting
import gymnasium
import learn
import numpy as np
import profile_step
import pytest
import speed
import speed_report
import torch
import window
import workers
from gymnasium.vector import SyncVectorEnv
from profile_step import Product, products
from speed import RunError, run_command
from speed_report import BEGIN, END, ITEMS, replace_between_markers, speed_tables, steps_to_return, time_table
from tiny import tiny
from torch.utils.flop_counter import FlopCounterMode

from rlcont.config.compose import make_plan
from rlcont.core.types import Batch
from rlcont.envs.config import EnvConfig
from rlcont.envs.vector import Environments
from rlcont.training.build import make_agent

ROOT = Path(__file__).parent.parent


def row(item, speed=None, error="", **more):
    measured = {"steps": "4000", "steps_per_second": str(speed), "versions": "torch 1"} if speed else {"steps": ""}
    common = {"item": item, "extra": "", "load": "0.10", "busy_percent": "1", "date": "2026-01-02T03:04:05"}
    return {**common, "machine": "a CPU, 2 cores", "versions": "", "error": error, **measured, **more}


def cells(table, label, network):
    (line,) = [line for line in table.splitlines() if line.startswith(f"| {label} | {network} |")]
    return [cell.strip() for cell in line.strip("|").split("|")][2:]


def test_table_gives_medians_spread_and_ratios():
    rows = [row("rlcont-256", speed) for speed in (300, 100, 200)] + [
        row("sb3-256", speed) for speed in (40, 90, 50, 10, 60)
    ]
    rows += [row("rlcont-256-x2", 320), row("rlcont-400-300", 150), row("sbx-400-300", 200)]
    table = speed_tables(rows)
    assert cells(table, "rlcont", "256-256") == ["200", "150–250", "3", ""]
    assert cells(table, "Stable-Baselines3", "256-256") == ["50", "40–60", "5", "**4.00 ×** as fast"]
    assert cells(table, "SBX (JAX)", "400-300") == ["200", "200–200", "1", "**0.75 ×** as fast"]
    assert cells(table, "rlcont, two seeds at once", "256-256")[3] == "1.60 × the speed of rlcont"
    assert "Tianshou" not in table


def test_runs_beside_a_busy_process_have_columns_of_their_own(tmp_path):
    rows = [row("rlcont-256", 200), row("sb3-256", 50), row("sbx-256", 100)]
    rows += [row("rlcont-256", speed, beside="1", load="3.00") for speed in (90, 30, 60)]
    rows += [row("sb3-256", 20, beside="1"), row("sbx-256", error="no memory", beside="1")]
    table = speed_tables(rows)
    assert len({line.count("|") for line in table.splitlines() if line.startswith("|")}) == 1
    assert cells(table, "rlcont", "256-256") == ["200", "200–200", "1", "", "60 (45–75)", ""]
    assert cells(table, "Stable-Baselines3", "256-256")[3:] == [
        "**4.00 ×** as fast",
        "20 (20–20)",
        "**3.00 ×** as fast",
    ]
    assert cells(table, "SBX (JAX)", "256-256")[3:] == ["**2.00 ×** as fast", "–", ""]
    assert "0.10–0.10 between the runs" in table


def test_failed_runs_stay_in_the_table_with_their_error():
    rows = [row("rlcont-256", 200), row("sbx-256", error="no | such module"), row("sb3-256", 50)]
    table = speed_tables([*rows, row("sb3-256", error="killed")])
    assert cells(table, "Stable-Baselines3", "256-256") == [
        "50",
        "50–50",
        "1 of 2",
        "**4.00 ×** as fast failed: killed",
    ]
    assert r"| SBX (JAX) | 256-256 | – | – | 0 of 1 | failed: no \| such module |" in table


def test_the_settings_of_a_run_stand_beside_its_name():
    assert (
        cells(speed_tables([row("rlcont-256", 9, extra="compile=true")]), "rlcont, compile=true", "256-256")[0] == "9"
    )


def test_a_run_tells_what_its_system_chose():
    rows = [row("rlcont-a2c", 12, extra="workers=2"), row("rlcont-a2c", 4, extra="workers=1")]
    assert cells(speed_tables(rows), "rlcont, workers=2, workers=1", "workers=auto")[:2] == ["8", "6–10"]
    rows = [row("rlcont-a2c", 4, extra="precision=bf16 workers=1 at first")]
    assert cells(speed_tables(rows), "rlcont, precision=bf16, workers=1 at first", "workers=auto")[0] == "4"


def test_every_algorithm_has_a_table_of_its_own():
    a2c = [row("rlcont-a2c", 900, steps="61440"), row("sb3-a2c", 300), row("sb3-a2c-subproc", 450)]
    table = speed_tables(a2c)
    assert table.startswith("| A2C | environments | steps/s, median |")
    assert cells(table, "rlcont", "workers=auto") == ["900", "900–900", "1", ""]
    assert cells(table, "Stable-Baselines3", "DummyVecEnv, 1 process")[3] == "**3.00 ×** as fast"
    assert cells(table, "Stable-Baselines3", "SubprocVecEnv, 8 processes")[3] == "**2.00 ×** as fast"
    ddpg = [row("rlcont-256", 200)]
    assert speed_tables([*a2c, *ddpg]) == f"{speed_tables(ddpg)}\n\n{table}"


def test_items_are_compared_with_the_default_run_of_the_same_network():
    by_name = {item.name: item for item in ITEMS}
    assert len(by_name) == len(ITEMS)
    for item in ITEMS:
        if item.compared_with:
            other = by_name[item.compared_with]
            assert (other.system, other.hidden, other.processes) == ("rlcont", item.hidden, 1)
            assert other.options == (("--settings", "algo=td3") if item.algo == "td3" else ())
            assert (other.algo, other.steps) == (item.algo, item.steps)


def test_every_item_has_a_driver():
    for item in ITEMS:
        assert (ROOT / "benchmarks/peers" / item.driver).exists()


def test_the_window_is_set_for_ddpg_alone():
    arguments = argparse.Namespace(only=["rlcont-256", "sbx-256", "rlcont-a2c", "sb3-a2c"], peers=["sb3"], steps=500)
    chosen = {item.name: item.steps for item in speed.chosen_items(arguments)}
    default = {item.name: item.steps for item in ITEMS}
    assert chosen == {"rlcont-256": 500, "rlcont-a2c": default["rlcont-a2c"], "sb3-a2c": default["sb3-a2c"]}


def test_report_tells_machine_versions_and_load(tmp_path):
    rows = [row("rlcont-256", 200, load="0.50"), row("sb3-256", 50, busy_percent="7")]
    text = " ".join(speed_report.report([*rows, row("rlcont-256-x2", 300, steps="8000")], tmp_path).split())
    for fact in (
        "a CPU, 2 cores",
        "- torch 1",
        "2026-01-02;",
        "0.50 at the start",
        "1–7 %",
        "windows of 4000 steps.",
    ):
        assert fact in text
    elsewhere = row("sb3-a2c", 50, steps="61440", machine="another CPU")
    ddpg, a2c = " ".join(speed_report.report([*rows, elsewhere], tmp_path).split()).split("| A2C |")
    assert "windows of 4000 steps. Machine: a CPU, 2 cores." in ddpg
    assert "windows of 61440 steps. Machine: another CPU." in a2c


def test_a_run_leaves_the_rows_of_other_algorithms(tmp_path):
    path = tmp_path / "speed.csv"
    by_name = {item.name: item for item in ITEMS}
    assert speed.rows_of_other_algorithms(path, ITEMS) == []
    speed_report.write_rows(path, [row("rlcont-256", 1), row("sb3-256", 2), row("sb3-a2c", 3)])
    left = {
        name: [kept["item"] for kept in speed.rows_of_other_algorithms(path, [by_name[name]])]
        for name in ("rlcont-256", "rlcont-a2c")
    }
    assert left == {"rlcont-256": ["sb3-a2c"], "rlcont-a2c": ["rlcont-256", "sb3-256"]}


def test_runs_survive_their_file(tmp_path):
    rows = [row("rlcont-256", 200), row("sbx-256", error='a, "quoted" line')]
    speed_report.write_rows(tmp_path / "new" / "speed.csv", rows)
    read = speed_report.read_rows(tmp_path / "new" / "speed.csv")
    assert [{key: value for key, value in new.items() if value or key in rows[i]} for i, new in enumerate(read)] == rows
    assert speed_report.report(read, tmp_path) == speed_report.report(rows, tmp_path)


def test_only_what_is_between_the_markers_changes(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"# Title\n\n{BEGIN}\nold\n{END}\n\nafter\n")
    speed_report.write_page(page, [row("rlcont-256", 200)])
    text = page.read_text()
    assert text.startswith(f"# Title\n\n{BEGIN}\n| DDPG |")
    assert text.endswith(f"\n{END}\n\nafter\n")
    assert "old" not in text
    speed_report.write_page(page, [row("rlcont-256", 200)])
    assert page.read_text() == text


@pytest.mark.parametrize("page", ["", BEGIN, f"{END}{BEGIN}", f"{BEGIN}{END}{BEGIN}{END}", f"{END}{BEGIN}{END}"])
def test_a_page_without_one_pair_of_markers_is_refused(page):
    with pytest.raises(ValueError, match="the page must have one"):
        replace_between_markers(page, "text")


def test_the_page_in_docs_shows_the_runs_in_docs():
    page = speed_report.PAGE.read_text()
    assert replace_between_markers(page, speed_report.report(speed_report.read_rows(speed_report.RUNS))) == page


@pytest.mark.parametrize(
    ("command", "runs", "page"),
    [
        ([], speed_report.RUNS, speed_report.PAGE),
        (["--only", "rlcont-a2c", "sb3-a2c", "sb3-a2c-subproc"], speed_report.RUNS, speed_report.PAGE),
        (["--only", "rlcont-256", "sb3-256"], speed.PART, None),
        (["--peers", "sb3"], speed.PART, None),
        (["--csv", "my.csv"], Path("my.csv"), None),
        (["--only", "rlcont-256", "--csv", "my.csv", "--page", "my.md"], Path("my.csv"), Path("my.md")),
    ],
)
def test_only_whole_tables_go_into_the_docs(monkeypatch, command, runs, page):
    monkeypatch.setattr(sys, "argv", ["speed.py", *command])
    arguments = speed.parse_arguments()
    assert speed.destinations(arguments, speed.chosen_items(arguments)) == (runs, page)


def evaluations(path, returns):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{10_000 * i},{value}" for i, value in enumerate(returns)]
    path.write_text("\n".join(["step,return_mean", *lines]) + "\n")


def test_steps_to_return_is_the_first_evaluation_that_reaches_it(tmp_path):
    evaluations(tmp_path / "run.csv", [-1, 5000, 8000, 7000, 9000])
    assert steps_to_return(tmp_path / "run.csv", 8000) == (20_000, 40_000)
    assert steps_to_return(tmp_path / "run.csv", 8000.1) == (40_000, 40_000)
    assert steps_to_return(tmp_path / "run.csv", 9001) == (math.inf, 40_000)


def test_time_is_the_median_of_the_runs_over_the_measured_speed(tmp_path):
    ours, sb3 = tmp_path / "results/ddpg/HalfCheetah-v4", tmp_path / "results/peers/HalfCheetah-v4"
    for seed, reached in enumerate((2, 9)):
        evaluations(ours / f"gaussian-0.1-s{seed}.csv", [0] * reached + [8000])
    evaluations(ours / "fp32-s0.csv", [0] * 4 + [8000])
    evaluations(ours / "ou-0.1-s0.csv", [8000])
    evaluations(sb3 / "sb3-s0.csv", [0, 8000])
    evaluations(sb3 / "sb3-s1.csv", [0, 0])
    table = time_table([row("rlcont-256", 10)], tmp_path)
    assert "| rlcont, DDPG | 20 k, 90 k, 40 k | 40 k | 10 (rlcont-256) | 1 h 07 min |" in table
    assert "| Stable-Baselines3, DDPG | 10 k, not in 10 k | not reached | – (sb3-400-300) | – |" in table
    assert "| SBX (JAX), DDPG | not measured yet: docs/results/peers/HalfCheetah-v4/sbx-s*.csv | – | – | – |" in table


def run_window(updates_per_step, steps_per_update=1):
    updates = 0
    measured = window.Window(10, 20, lambda: {"critic": int(updates), "actor": int(updates)}, steps_per_update)
    for step in range(40):
        measured.tick(step)
        updates += updates_per_step
    measured.report("system", ["torch"])


def test_window_counts_the_updates_between_its_ends(capsys):
    run_window(1)
    result = json.loads(capsys.readouterr().out)
    assert result["updates"] == {"critic": 20, "actor": 20}
    assert result["steps"] == 20
    assert result["steps_per_second"] == pytest.approx(20 / result["seconds"])


def test_window_refuses_other_work_than_one_update_per_step():
    with pytest.raises(SystemExit, match="20 environment steps in the window, but updates were"):
        run_window(2)


def test_window_knows_how_many_steps_an_update_takes(capsys):
    run_window(0.25, steps_per_update=4)
    assert json.loads(capsys.readouterr().out)["updates"] == {"critic": 5, "actor": 5}
    with pytest.raises(SystemExit, match="20 environment steps in the window, but updates were"):
        run_window(0.5, steps_per_update=4)


@pytest.mark.parametrize("steps", ["0", "255", "1000", "-256"])
def test_a_window_of_a2c_must_end_with_a_rollout(steps, capsys):
    assert a2c_setting.parser("any").parse_args(["--steps", "512"]).steps == 512
    with pytest.raises(SystemExit):
        a2c_setting.parser("any").parse_args([f"--steps={steps}"])
    assert f"{steps} is no multiple of 256" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("algo", "sizes", "updates"),
    [
        (
            "ddpg",
            ["--warmup", "300", "--settle", "100", "--steps", "100", "--settings", "compile=false"],
            {"critic and actor": 100},
        ),
        (
            "ddpg",
            ["--warmup", "300", "--settle", "100", "--steps", "100", "--settings", "algo=d4pg", "compile=false"],
            {"critic and actor": 100},
        ),
        (
            "ddpg",
            ["--warmup", "300", "--settle", "100", "--steps", "200"],
            {"critic and actor": 200},
        ),
        ("a2c", ["--settle", "512", "--steps", "768"], {"policy and value": 3}),
    ],
)
def test_the_drivers_of_rlcont_measure_the_command(algo, sizes, updates):
    output = run_command([sys.executable, ROOT / f"benchmarks/peers/{algo}_rlcont.py", "--hidden", "8", *sizes])
    result = json.loads(output.splitlines()[-1])
    assert result["updates"] == updates
    assert result["steps_per_second"] > 0
    assert re.fullmatch(r"workers=\d+ at first" if algo == "a2c" else "", result["chosen"])


def test_a_failed_run_is_told_by_the_last_line_of_what_it_said():
    with pytest.raises(RunError, match=r"^two$"):
        run_command([sys.executable, "-c", "import sys; print('output'); sys.exit('one\\ntwo')"])


def test_a_run_that_takes_too_long_is_ended_with_its_children():
    # The child holds the pipes open: were it left alive, this would wait for it.
    script = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(3600)'])"
    with pytest.raises(RunError, match="given up after 1 s"):
        run_command([sys.executable, "-c", script], limit=1)


def test_peers_run_the_torch_that_rlcont_is_tested_with():
    (torch_pin,) = re.findall(r"(?m)^torch==.*$", (ROOT / "constraints.txt").read_text())
    files = sorted((ROOT / "benchmarks/peers/requirements").glob("*.txt"))
    assert {f"{path.stem}" for path in files} == {item.system for item in ITEMS} - {"rlcont"}
    for path in files:
        lines = path.read_text().splitlines()
        # RLtools is C++ and takes no torch.
        assert (torch_pin in lines) == (path.stem != "rltools")
        assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)


def test_products_of_a_tiny_update_counted_by_hand():
    shapes = [product[1:] for product in products(3, 2, [5], [7], batch_size=4)]
    assert shapes == [
        (4, 3, 5, "forward"),  # target actor
        (4, 5, 2, "forward"),
        (4, 5, 7, "forward"),  # target critic
        (4, 7, 1, "forward"),
        (4, 5, 7, "forward"),  # critic
        (4, 7, 1, "forward"),
        (1, 4, 7, "weights"),
        (7, 4, 5, "weights"),
        (4, 1, 7, "inputs"),
        (4, 3, 5, "forward"),  # actor
        (4, 5, 2, "forward"),
        (4, 5, 7, "forward"),  # critic of the actor's actions
        (4, 7, 1, "forward"),
        (4, 1, 7, "inputs"),
        (4, 7, 2, "inputs"),  # the action's two columns, not the observation's three
        (2, 4, 5, "weights"),  # actor
        (5, 4, 3, "weights"),
        (4, 2, 5, "inputs"),
    ]
    assert Product("any", 4, 3, 5, "forward").flops == 120


def test_products_of_the_default_networks():
    needed = products(17, 6, [256, 256], [256, 256], 256)
    assert len(needed) == 28
    assert round(sum(product.flops for product in needed) / 1e6) == 359


def test_products_are_those_that_an_update_does():
    config = make_plan(tiny("algo.actor.hidden=[16,12]", "algo.critic.hidden=[11,9]")).config
    spec = Environments(config.env, [0]).spec
    agent = make_agent(config, spec)
    size = config.algo.batch_size
    obs, next_obs = torch.randn(2, size, spec.obs_dim)
    action, index = torch.rand(size, spec.action_dim), torch.arange(size)
    batch = Batch(obs, action, torch.randn(size), torch.ones(size), next_obs, torch.ones(size), index)
    with FlopCounterMode(display=False) as counter:
        agent.update(batch)
    needed = sum(product.flops for product in products(spec.obs_dim, spec.action_dim, [16, 12], [11, 9], size))
    # Autograd gives the gradient of the critic's whole input; an update may leave out the observation's columns.
    unneeded = 2 * size * spec.obs_dim * 11
    assert counter.get_total_flops() - needed in (0, unneeded)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_limit_does_every_product(dtype):
    needed = products(3, 2, [5], [7], batch_size=4)
    run = profile_step.runner(needed, dtype)
    with FlopCounterMode(display=False) as counter:
        run()
    assert counter.get_total_flops() == sum(product.flops for product in needed)


def test_profile_table_divides_the_best_limit_of_its_precision_by_the_update():
    seconds = {"act": [0.001], "environment": [0.001], "observe": [0.001], "learn": [0.007]}
    seconds |= {"sample": [0.001], "update": [0.004, 0.005, 0.1]}
    limits = {("fp32", 1): [0.002, 0.001, 0.5], ("fp32", 2): [0.003], ("bf16", 1): [0.0005]}
    text = profile_step.table(seconds, limits, [Product("any", 100, 100, 100, "forward")], 0.4, 2, "fp32")
    assert "| **step** | **10.000** | 100 steps/s |" in text
    assert "| … its matrix products, by torch.profiler | 2.000 | 40% of update |" in text
    assert "| fp32 | 1 | 2.000 | 1 | 40% |\n| fp32 | 2 | 3.000 | 1 | – |\n| bf16 | 1 | 0.500 | 4 | – |" in text


def test_threads_step_the_same_environments():
    config = EnvConfig(id="Pendulum-v1", kwargs={}, max_episode_steps=5, wrappers=(), info=())
    plain, threaded = Environments(config, [3, 4, 5]), workers.ThreadedEnvironments(config, [3, 4, 5], 2)
    np.testing.assert_array_equal(threaded.reset(), plain.reset())
    for action in np.random.default_rng(0).uniform(-1, 1, (12, 3, 1)):
        step = plain.step(action)
        obs, reward = threaded.step(action)
        np.testing.assert_array_equal(obs, step.obs_to_act_on)
        np.testing.assert_array_equal(reward, step.reward)
    threaded.close()
    plain.close()


def test_random_actions_fill_the_bounds_of_what_they_are_for():
    config = EnvConfig(id="Pendulum-v1", kwargs={}, max_episode_steps=None, wrappers=(), info=())
    own, gymnasium_own = Environments(config, [0]), SyncVectorEnv([partial(gymnasium.make, config.id)])
    for envs, bound in ((own, 1), (gymnasium_own, 2)):
        actions = workers.random_actions(envs, 4, gymnasium_own.single_action_space)
        assert actions.shape == (workers.NUM_ACTIONS, 4, 1)
        assert 0.9 * bound < np.abs(actions).max() <= bound
        envs.close()


def test_workers_table_compares_with_one_process():
    medians = {"Any-v1": {"one process": 100.0, "2 processes": 150.0}, "Other-v1": {"one process": 9, "2 processes": 3}}
    assert workers.table(medians, {"Any-v1": 2, "Other-v1": 1}).splitlines()[2:] == [
        "| Any-v1 | 100 (1.00 ×) | 150 (1.50 ×) | 2 |",
        "| Other-v1 | 9 (1.00 ×) | 3 (0.33 ×) | 1 |",
    ]


def test_a_run_is_worse_that_lies_further_below_its_range_than_that_is_wide():
    entries = [{"run": name, "range": [100.0, 120.0]} for name in ("better", "near", "far")]
    lines = learn.compare(entries, [[150.0], [80.0], [79.9]])
    assert [line.partition(":")[0] for line in lines] == ["as before", "as before", "WORSE"]


def test_learn_has_a_range_for_every_algorithm_on_two_tasks():
    entries = learn.yaml.safe_load(learn.ENTRIES.read_text())
    tasks = {tuple(word.partition("=")[2] for word in entry["run"].split()[:2]) for entry in entries}
    algorithms = ("a2c", "ppo", "ddpg", "td3", "sac", "d4pg")
    assert tasks == {(algo, env) for algo in algorithms for env in ("Pendulum-v1", "HalfCheetah-v4")}
    assert all(low < high for low, high in (entry["range"] for entry in entries))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "arguments", "constants", "lines"),
    [
        ("threads", ["--rounds", "1", "--seconds", "0.1"], {}, 5),
        ("env_layer", [], {"BLOCKS": 1, "CASES": (("Pendulum-v1", 2),)}, 3),
        ("replay_speed", [], {"ROWS": 20_000, "ROUNDS": 2, "CALLS": 1}, 7),
    ],
)
def test_a_script_that_the_docs_name_prints_its_table(script, arguments, constants, lines, monkeypatch, capsys):
    module = importlib.import_module(script)
    monkeypatch.setattr(sys, "argv", [script, *arguments])
    for name, value in constants.items():
        monkeypatch.setattr(module, name, value)
    module.main()
    torch.set_num_threads(1)
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert len(table) == lines
