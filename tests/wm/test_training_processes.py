"""Two processes, or a batch in pieces, train what one process with the whole batch trains."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from small_models import small_contract, small_store, world_model
from torch import Tensor

from world4rl_data.store import EpisodeStore
from world4rl_wm.precision import native_bfloat16
from world4rl_wm.training.devices import process_state
from world4rl_wm.training.draws import Draws
from world4rl_wm.training.step import WorldModelTraining
from world4rl_wm.training.train_state_model import StateTraining
from world4rl_wm.training.train_world_model import train_world_model

STEPS, BATCH = 6, 4
STATE = StateTraining(steps=3, batch_size=8)


def train(store: Path, out: Path, accumulation: int = 1, batch_size: int = BATCH, composed: bool = False) -> Path:
    """Also the child processes' program, see below."""
    opened = EpisodeStore.open(store)
    config = WorldModelTraining(
        STEPS, batch_size, warm_up=2, rollout_share=0.5, rollout_steps=2, accumulation=accumulation, state=STATE
    )
    model = world_model(opened.contract, composed=composed).config
    return train_world_model(opened, [0, 1], model, out, config, seed=3, progress=False)


def weights(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "model.safetensors")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("processes") / "store"
    small_store(path, small_contract(), (6, 5))
    return path


@pytest.fixture(scope="module", params=[False, True], ids=["painted", "composed"])
def composed(request: pytest.FixtureRequest) -> bool:
    """Whether frames are composed: what is shown of the beginning is drawn as well."""
    return bool(request.param)


@pytest.fixture(scope="module")
def alone(store: Path, composed: bool, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    return weights(train(store, tmp_path_factory.mktemp("alone") / "wm", composed=composed))


def assert_close(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Equal but for rounding: another batch would move weights by twice the learning rate, 1e-3.

    In bfloat16 a gradient that is summed from pieces differs by 2^-9, and so does Adam's step.
    Biases in front of a normalisation are left out: they have no gradient, and Adam moves them by rounding errors.
    """
    assert found.keys() == expected.keys()
    most = 1e-4 if native_bfloat16("cpu") else 1e-6
    for name, value in expected.items():
        if not re.search(r"conv(1|2|_shortcut)\.bias$", name):
            assert float((found[name] - value).abs().mean()) < most, name


def test_a_batch_in_two_pieces_is_the_same_step(
    store: Path, composed: bool, alone: dict[str, Tensor], tmp_path: Path
) -> None:
    assert_close(weights(train(store, tmp_path / "wm", accumulation=2, composed=composed)), alone)


LAUNCHERS = {
    "torchrun": ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"],
    "accelerate": [
        *("accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"),
        *("--main_process_port", "0", "--mixed_precision", "no", "--dynamo_backend", "no"),
    ],
}


@pytest.mark.parametrize(
    ("launcher", "composed"),
    [("torchrun", False), ("torchrun", True), ("accelerate", False)],  # who starts them has no part in what is drawn
    indirect=["composed"],
)
def test_two_processes_train_as_one(
    store: Path, composed: bool, alone: dict[str, Tensor], tmp_path: Path, launcher: str
) -> None:
    """Over gloo on the CPU, as `torchrun --nproc-per-node 2` or `accelerate launch --multi_gpu` starts them."""
    folder = Path(__file__).parent
    paths = [str(folder), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    environment = os.environ | {
        "ACCELERATE_USE_CPU": "true",  # also where there is a GPU
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(paths),
    }
    program = [str(Path(__file__)), str(store), str(tmp_path / "wm"), *(["composed"] if composed else [])]
    words = [sys.executable, "-m", *LAUNCHERS[launcher], *program]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert sorted(re.findall(r"process (\d) of 2", done.stdout)) == ["0", "1"]
    assert_close(weights(tmp_path / "wm"), alone)


def test_a_batch_that_cannot_be_dealt_out_is_named(store: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"batch_size 5 cannot be dealt out .* multiple of 2"):
        train(store, tmp_path / "wm", accumulation=2, batch_size=5)


def test_parts_draw_the_rows_of_one_stream() -> None:
    whole = Draws(1, 7)
    parts = [Draws(1, 7, part=part, parts=2) for part in range(2)]
    for draw in ("normal", "uniform"):
        rows = [getattr(part, draw)(3, 2) for part in parts]
        torch.testing.assert_close(torch.cat(rows), getattr(whole, draw)(6, 2), atol=0, rtol=0)
    assert torch.equal(torch.cat([part.choose(100, 2) for part in parts]), whole.choose(100, 4))
    assert {part.choose_one(1000) for part in parts} == {whole.choose_one(1000)}


def test_steps_and_seeds_draw_differently() -> None:
    drawn = [Draws(seed, step).normal(4) for seed, step in ((0, 0), (0, 1), (1, 0))]
    assert not torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


if __name__ == "__main__":
    torch.set_num_threads(1)
    train(Path(sys.argv[1]), Path(sys.argv[2]), composed="composed" in sys.argv)
    state = process_state()
    print(f"process {state.process_index} of {state.num_processes}", flush=True)
