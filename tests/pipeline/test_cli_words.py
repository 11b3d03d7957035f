"""The command line itself: quick help, one-line errors, exit codes."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from world4rl.cli import main
from world4rl.commands.registry import COMMANDS
from world4rl_data.contract import TaskContract
from world4rl_data.store import EpisodeStore

ONE_FRAME = ("world_model.denoiser.history=1", "bc.network.history=1")


def test_help_imports_nothing_heavy() -> None:
    """`world4rl --help` and a command's help must answer at once: the heavy modules are what takes seconds."""
    for words in (["--help"], ["train", "bc", "--help"], ["demo", "--help"], ["refine", "--help"]):
        program = (
            "import sys\nfrom world4rl.cli import main\n"
            f"try:\n    main({words!r})\nexcept SystemExit:\n    pass\n"
            "heavy = {'torch', 'mujoco', 'diffusers', 'rclpy', 'av', 'scipy', 'cv2'} & set(sys.modules)\n"
            "assert not heavy, heavy"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert "usage: world4rl" in done.stdout


@pytest.mark.parametrize("name", [n for n in COMMANDS if n != ("run",)], ids=" ".join)
def test_every_command_explains_its_options(name: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([*name, "--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert f"usage: world4rl {' '.join(name)}" in text
    assert "(default: " in text or "(required)" in text


def test_overview_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    text = capsys.readouterr().out
    assert all(f"  {' '.join(name)} " in text for name in COMMANDS)
    assert "world4rl demo" in text.splitlines()[-1] and "docs/index.md" in text, "it ends with where to begin"


def test_a_groups_overview_says_which_group_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--help"]) == 0
    text = capsys.readouterr().out
    assert "usage: world4rl train COMMAND" in text and "train reward" in text and "refine" not in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian"], "no command 'trian': use one of demo, collect"),
        (["train", "everything"], "no command 'train everything': use one of train world-model, train reward"),
        (["report", "/nowhere"], "/nowhere is no folder"),
        (["dataset", "info", "/nowhere"], "/nowhere holds no store (index.json is missing); make one"),
        (["dataset", "build", "/nowhere", "--out", "/tmp/never"], "folder of bags /nowhere does not exist"),
        (["collect", "--out", "/tmp/never", "--task", "fold_laundry"], "unknown task 'fold_laundry'"),
        (["collect", "--out", "/tmp/never", "--task", "push_cube", "--behaviour", "policy"], "give --policy"),
        (["collect", "--out", "/tmp/never", "--task", "push_cube", "--episodes", "0"], "at least 1"),
        (["collect", "--out", "/tmp/never", "--task", "push_cube", "--noise", "nan"], "--noise a finite number"),
        (["evaluate", "--policy", "/nowhere", "--noise", "inf"], "--noise a finite number"),
        (["demo", "--run", "/tmp/never", "--task", "fold_laundry"], "unknown task"),
        (["demo", "--run", "/tmp/never", "--preset", "huge"], "no preset 'huge'"),
        (["demo", "--run", "/tmp/never", "--set", "ppo.lr=1"], "no setting 'ppo.lr'"),
        (["demo", "--run", "/tmp/never", "--set", *ONE_FRAME], "world_model.denoiser.history is 1: give at least 2"),
        (["evaluate", "--policy", "/nowhere"], "policy /nowhere does not exist"),
        (["train", "bc", "--store", "/nowhere", "--out", "/tmp/never"], "or `world4rl collect`, or bring one in with"),
        (["train", "bc", "--store", "/nowhere", "--out", "/tmp/never", "--episodes", "-1"], "--episodes must be"),
        (["calibrate-uncertainty", "--run", "/nowhere", "--episodes", "0"], "--episodes must be at least 1"),
    ],
)
def test_bad_input_gives_one_line_and_code_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and "Traceback" not in error
    assert not Path("/tmp/never").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["evaluate", "--policy"],
        ["collect", "--out", "store", "--task", "push_cube", "--behaviour", "policy", "--policy"],
        ["imagine", "--store", "store", "--reward", "reward", "--world-model"],
    ],
    ids=" ".join,
)
def test_a_model_whose_training_was_interrupted_asks_for_its_end(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("model.training").mkdir()
    EpisodeStore.create("store", TaskContract.load("franka_sim_push")).close()
    assert main([*words, "model"]) == 2
    told = "its training (model.training) is not finished: give the command that trains it again"
    assert told in capsys.readouterr().err


def test_run_hands_its_words_to_the_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph's options are defined in world4rl_bringup alone: the command must not read or change them."""
    seen: list[list[str]] = []
    monkeypatch.setattr("world4rl_bringup.run.main", lambda words: seen.append(words) or 1)
    assert main(["run", "sim_arm", "--task", "lift_cube", "seed:=3", "--help"]) == 1
    assert seen == [["sim_arm", "--task", "lift_cube", "seed:=3", "--help"]]


def test_unknown_option_is_code_2() -> None:
    with pytest.raises(SystemExit) as end:
        main(["report", "runs/demo", "--colour", "red"])
    assert end.value.code == 2


def test_faults_of_the_program_keep_their_traceback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("world4rl.report.page.build_report", lambda run: {}["gone"])
    with pytest.raises(KeyError):
        main(["report", str(tmp_path)])


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.ENOSPC, "No space left on device: free space and give the same command again"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_a_disk_that_takes_no_more_is_told_in_one_line(
    number: int, told: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("world4rl.report.page.build_report", full)
    assert main(["report", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"world4rl report: [Errno {number}] {told}\n"


RESUMES = "demo, collect, dataset build, dataset recover, train world-model, train reward, refine, evaluate"
RESUMES += ", evaluate concordance, benchmark metaworld, loop"


@pytest.mark.parametrize("name", COMMANDS, ids=" ".join)
def test_interrupt_says_that_it_goes_on_where_it_does(
    name: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tyro.cli", lambda *_, **__: interrupt())
    monkeypatch.setattr("world4rl.commands.run.run_words", interrupt)
    assert main(list(name)) == 130
    goes_on = "; the same command goes on from here" if " ".join(name) in RESUMES.split(", ") else ""
    assert capsys.readouterr().err == f"\ninterrupted{goes_on}\n"
