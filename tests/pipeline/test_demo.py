"""The whole loop at toy size, on a real graph over DDS: interrupted, gone on with, and complete at the end.

Guards that the stages fit together; what the loop achieves is measured by `make demo` (benchmarks/results).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.ros, pytest.mark.timeout(900)]

TOY = """collect.demonstrations=3 collect.policy_episodes=12 collect.random_episodes=4 collect.scout_episodes=6
bc.training.steps=200
bc.filtered_training.steps=50 world_model.training.steps=30 world_model.training.state.steps=30
reward.training.steps=30 ppo.iterations=4 ppo.value_warm_up=1 selection.every=2 dream_bc.steps=20
selection.episodes=16 selection.margin=-1.0
replay_check.max_episodes=12 replay_check.limits.min_episodes=0 replay_check.limits.refine_from=-1.0
replay_check.limits.cautious_from=-2.0 replay_check.limits.precision_from=0
evaluation.episodes=6 evaluation.concordance_episodes=2 evaluation.graph_episodes=2"""
TIMEOUT_S = 600


def start(run: Path, seed: int = 5) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-u",
        "-m",
        "world4rl.cli",
        "demo",
        "--run",
        str(run),
        "--seed",
        str(seed),
        "--set",
        *TOY.split(),
    ]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=env,
        start_new_session=True,
        preexec_fn=_hear_interrupts,
    )


def _hear_interrupts() -> None:
    """A shell's background job, as tests may be, passes on that SIGINT is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def interrupt_at(process: subprocess.Popen[str], words: str) -> str:
    """Ctrl-C, as a terminal sends it to the whole group, as soon as the output says `words`."""
    assert process.stdout is not None
    seen = ""
    end = time.monotonic() + TIMEOUT_S
    while words not in seen:
        line = process.stdout.readline()
        assert line and time.monotonic() < end, f"the run never said {words!r}:\n{seen}"
        seen += line
    time.sleep(1.0)
    os.killpg(process.pid, signal.SIGINT)
    return seen + process.communicate(timeout=60)[0]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, str, int, str]:
    run = tmp_path_factory.mktemp("demo") / "run"
    first = start(run)
    first_output = interrupt_at(first, "] practice")
    second = start(run)
    second_output = second.communicate(timeout=TIMEOUT_S)[0]
    return run, first.returncode, first_output, second.returncode, second_output


def test_interrupted_run_goes_on_where_it_was(outcome: tuple[Path, int, str, int, str]) -> None:
    _, first_code, first_output, second_code, second_output = outcome
    assert first_code == 130, first_output
    assert second_code == 0, second_output
    assert "demonstrations: done before" in second_output and "behaviour cloning: done before" in second_output
    assert "practice: done before" not in second_output


def test_every_part_is_there_and_real(outcome: tuple[Path, int, str, int, str]) -> None:
    from world4rl_data.convert import bag_to_episode
    from world4rl_data.store import EpisodeStore

    run, _, _, code, output = outcome
    assert code == 0, output
    summary = json.loads((run / "summary.json").read_text())
    needed = (
        "task seed bc_success filtered_bc_success refined_success episodes ci95 imagined_success replay_check wall_s"
    )
    assert set(needed.split()) <= set(summary)
    assert {"bc", "filtered_bc", "refined", "refined_minus_bc"} <= set(summary["ci95"])
    assert {"tpr", "fpr", "episodes", "passed"} <= set(summary["replay_check"])
    uncertainty = summary["uncertainty"]
    assert uncertainty["kind"] == "expected_error" and 0 <= uncertainty["auroc"] <= 1
    assert (run / "checkpoints" / "world_model_a" / "uncertainty.json").is_file()
    assert summary["episodes"] == 6 and summary["graph"]["episodes"] == 2
    assert len(EpisodeStore.open(run / "stores" / "practice")) == 22  # no episode twice after the interruption
    deployed = sorted((run / "bags" / "deployments").iterdir())
    assert len(deployed) == 2
    episode = bag_to_episode(deployed[0])
    assert episode.source == "policy" and len(episode) >= 3
    page = (run / "report.html").read_text()
    found = json.loads((run / "concordance.json").read_text())
    assert found["episodes"] == 2 and found["sentence"] in output and found["sentence"].split(":")[0] in page
    assert "<html" in page and "http://" not in page.replace("http://www.w3.org", "") and "video/mp4" in page
    assert "How sure the dream is" in page and "data:image/png;base64," in page


def test_a_round_of_the_loop_works_on_the_graph(outcome: tuple[Path, int, str, int, str]) -> None:
    """Its episodes are recorded to bags, and the models learn from those."""
    from world4rl_data.store import EpisodeStore

    run = outcome[0]
    command = [sys.executable, "-m", "world4rl.cli", "loop", str(run), "--rounds", "1", "--real-episodes", "4"]
    command += ["--on-graph", "--set", "loop.check_share=0.5", "loop.world_model_steps=5", "loop.reward_steps=5"]
    command += ["loop.iterations=1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    first = run / "loop" / "round-01"
    for name in ("fresh", "rollouts"):
        assert len(list((first / "bags" / name).iterdir())) == 2
        store = EpisodeStore.open(first / "stores" / name)
        assert [info.source for info in store.infos] == ["policy", "policy"]
        results = json.loads((first / f"{name}.json").read_text())["results"]
        told = sorted((row["seed"], row["steps"], row["outcome"]) for row in results)
        assert sorted((info.seed, info.length, info.outcome.name.lower()) for info in store.infos) == told
    assert len(EpisodeStore.open(first / "stores" / "training")) == 3 + 22 + 2
    assert json.loads((run / "loop.json").read_text())["rounds"][1]["real_episodes"] == 4


def test_another_seed_does_not_mix_into_the_run(outcome: tuple[Path, int, str, int, str]) -> None:
    process = start(outcome[0], seed=6)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 2 and "other settings" in output
