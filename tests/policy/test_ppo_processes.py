"""Two processes that practise in halves of a batch learn what one process learns from the whole of it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from reach import CONFIG, Reach, make_policy
from safetensors.torch import load_file, save_file
from torch import Tensor

from world4rl_policy.minibatches import Minibatches
from world4rl_policy.ppo import Ppo
from world4rl_wm import precision
from world4rl_wm.training.devices import process_state
from world4rl_wm.training.share import Share

ENVS, ITERATIONS = 6, 4
# Minibatches of 1 leave nothing to one of two processes, and the KL stops updates early.
SETTINGS = replace(
    CONFIG,
    minibatch_size=7,
    target_kl=0.02,
    policy_learning_rate=1e-3,
    bc_coefficient=0.1,
    bc_batch_size=5,
    kl_coefficient=0.1,
    learn_std=True,
    entropy_coefficient=0.01,
    normalise_value=True,
)


class SharedReach(Reach):
    """The part of a batch of `Reach` that is this process's."""

    def __init__(self, share: Share):
        super().__init__(share.size(ENVS, "num_envs"))
        self.share = share

    def reset(self, *, seed: int | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        own, self.num_envs = self.num_envs, ENVS
        super().reset(seed=seed)
        self.num_envs = own
        self.goal, self.alive = self.share.keep(self.goal), self.share.keep(self.alive)
        return self._observation(), {}


def practise(out: Path, minibatch: int, imagined_bc: float) -> None:
    """Also the child processes' program, see below. In float32: so only a mistake makes a difference worth the name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(precision, "native_bfloat16", lambda device_type: False)
        _practise(out, minibatch, imagined_bc)


def _practise(out: Path, minibatch: int, imagined_bc: float) -> None:
    share, generator = Share.of(process_state()), torch.Generator().manual_seed(5)

    def demonstrations(size: int) -> tuple[Tensor, Tensor]:
        goal = torch.rand(size, generator=generator) * 1.6 - 0.8
        return goal.view(-1, 1, 1, 1, 1).expand(-1, 1, 1, 8, 8).clone(), goal.unsqueeze(1).repeat(1, 2)

    config = replace(SETTINGS, minibatch_size=minibatch, imagined_bc=imagined_bc)
    ppo = Ppo(make_policy(), SharedReach(share), config, demonstrations, seed=1, share=share)
    rows = [ppo.iterate() for _ in range(ITERATIONS)]
    numbers = [[value for key, value in row.items() if not key.endswith("_s")] for row in rows]
    found = {**ppo.policy.state_dict(), "log": torch.tensor(numbers, dtype=torch.float64)}
    found |= {f"imitated.{key}": value for key, value in (ppo.successes.tensors() if ppo.successes else {}).items()}
    found |= {f"value.{key}": value for key, value in ppo.value.state_dict().items()}
    save_file({k: v.detach().contiguous() for k, v in found.items()}, out.with_name(f"{out.name}-{share.index}"))


@pytest.mark.parametrize(("minibatch", "imagined_bc"), [(1, 0.0), (7, 0.4)])
def test_two_processes_learn_as_one(tmp_path: Path, minibatch: int, imagined_bc: float) -> None:
    practise(tmp_path / "alone", minibatch, imagined_bc)
    folder = Path(__file__).parent
    paths = [str(folder), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    environment = os.environ | {
        "ACCELERATE_USE_CPU": "true",  # also where there is a GPU
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(paths),
    }
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    words += [str(Path(__file__)), str(tmp_path / "two"), str(minibatch), str(imagined_bc)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    alone, first, second = (load_file(tmp_path / name) for name in ("alone-0", "two-0", "two-1"))
    assert alone.keys() == first.keys() and ("imitated.actions" in alone) == bool(imagined_bc)
    for name, expected in alone.items():
        torch.testing.assert_close(first[name], expected, rtol=1e-4, atol=1e-5, msg=name)
        assert torch.equal(first[name], second[name]), f"the processes disagree about {name}"


def test_every_process_works_on_its_own_steps_of_the_same_minibatches() -> None:
    valid = torch.rand(5, 6, generator=torch.Generator().manual_seed(0)) < 0.7
    column = torch.arange(30.0).view(5, 6)

    def epoch(minibatches: Minibatches) -> list[tuple[Tensor, int]]:
        return list(minibatches.epoch(4, torch.Generator().manual_seed(1)))

    expected = [column.flatten()[rows] for rows, _ in epoch(Minibatches(valid, Share()))]
    assert sorted(torch.cat(expected).tolist()) == column[valid].tolist(), "each valid step once"
    parts = []
    for share in (Share(0, 3), Share(1, 3), Share(2, 3)):
        own = share.keep(column, 1).flatten()
        parts.append([(own[rows], size) for rows, size in epoch(Minibatches(valid, share))])
    for number, whole in enumerate(expected):
        pieces = [part[number] for part in parts]
        assert sorted(torch.cat([rows for rows, _ in pieces]).tolist()) == sorted(whole.tolist())
        assert {size for _, size in pieces} == {len(whole)}


def test_what_cannot_be_dealt_out_is_named() -> None:
    with pytest.raises(ValueError, match=r"num_envs 6 cannot be dealt out to 4 processes: make it a multiple of 4"):
        Share(0, 4).size(6, "num_envs")


if __name__ == "__main__":
    torch.set_num_threads(1)
    practise(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
