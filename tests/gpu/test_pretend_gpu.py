"""The pretended GPU refuses what CUDA refuses, takes what it takes, and leaves nothing behind."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pretend_gpu import GPU, pretend_gpu
from safetensors.torch import load_file, save_file
from torch import nn

from world4rl_wm.devices import resolve_device
from world4rl_wm.training.devices import process_device

REFUSED: dict[str, tuple[Callable[[torch.Tensor], Any], str]] = {
    "a forgotten device": (lambda x: x + torch.zeros(3), "same device"),
    "a forgotten device, in place": (lambda x: torch.zeros(3).add_(x), "same device"),
    "a sum on the CPU of numbers": (lambda x: torch.tensor(1.0).add_(x[0]), "same device"),
    "a product": (lambda x: x @ torch.zeros(3), "same device"),
    "a forgotten part": (lambda x: torch.cat([x, torch.zeros(3)]), "same device"),
    "the CPU's tensor by indices on the GPU": (lambda x: torch.zeros(3)[x.long()], "same device"),
    "the CPU's tensor by a mask on the GPU": (lambda x: torch.zeros(3)[x > 0], "same device"),
    "values of the CPU put in": (lambda x: x.index_put_((torch.tensor([0, 1]),), torch.zeros(2)), "same device"),
    "rows chosen on the CPU": (lambda x: x.index_select(0, torch.tensor([0])), "same device"),
    "a network left behind": (lambda x: nn.Linear(3, 3)(x), "same device"),
    "a network that is where its input is": (lambda x: nn.Linear(3, 3)(torch.zeros(1, 3)), "computes on the CPU"),
    "a generator of the CPU": (lambda x: torch.rand(3, generator=torch.Generator(), device=x.device), "generator"),
    "a generator of the GPU": (lambda x: torch.rand(3, generator=torch.Generator(x.device)), "generator"),
    "the CPU's generator in place": (lambda x: x.normal_(generator=torch.Generator()), "generator"),
    "a state of the CPU's generator": (lambda x: torch.Generator(GPU).set_state(torch.get_rng_state()), "wrong size"),
    "numpy()": (lambda x: x.numpy(), "Use Tensor.cpu"),
    "an array": (lambda x: np.asarray(x), "Use Tensor.cpu"),
    "arrays": (lambda x: np.stack([x, x]), "Use Tensor.cpu"),
    "an array of numbers": (lambda x: np.array([x[0], x[1]]), "Use Tensor.cpu"),
    "another GPU": (lambda x: x.to("cuda:1"), "invalid device ordinal"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_refuses(case: str) -> None:
    do, message = REFUSED[case]
    with pretend_gpu() as gpu:
        x = torch.ones(3, device=gpu)
        with pytest.raises((RuntimeError, TypeError, ValueError), match=message):
            do(x)


def test_it_takes_what_cuda_takes() -> None:
    with pretend_gpu():
        x = torch.tensor([1.0, 2.0, 3.0], device="cuda")
        assert x.device == GPU and x.is_cuda and (x + 1).device == GPU and str(x.device) == "cuda:0"
        assert (x * torch.tensor(2.0) + np.float32(1)).tolist() == [3.0, 5.0, 7.0]
        assert x[torch.tensor([0, 2])].tolist() == x[torch.tensor([True, False, True])].tolist() == [1.0, 3.0]
        assert x[[0, 2]].tolist() == x.view(3, 1)[[0, 2], 0].tolist() == [1.0, 3.0]
        x[[0]] = torch.tensor(7.0)
        x[1:] = torch.tensor([8.0, 9.0])  # a copy
        assert (float(x[0]), x.cpu().numpy().tolist(), x.to("cpu").device.type) == (7.0, [7.0, 8.0, 9.0], "cpu")
        assert torch.zeros(3).copy_(x).tolist() == x.tolist() and torch.zeros_like(x, device="cpu").is_cpu
        assert x.new_tensor([1, 2]).device == torch.as_tensor(np.ones(2), device="cuda").device == GPU
        found: list[torch.Tensor] = []
        thread = threading.Thread(target=lambda: found.append(torch.tensor([1.0], device="cuda") + x))
        thread.start()
        thread.join()
        assert found[0].tolist() == [8.0, 9.0, 10.0]


def test_a_network_learns_on_it_as_on_the_cpu(tmp_path: Path) -> None:
    """With views, a fused optimiser and weights that move to it and back, the same objects."""

    def learned(device: str) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.SiLU(), nn.Flatten(), nn.Linear(16, 2))
        parameters = list(network.parameters())
        optimizer = torch.optim.AdamW(network.to(device).parameters(), fused=True)
        x = torch.randn(5, 3, 4, 4, generator=torch.Generator(device).manual_seed(1), device=device)
        for _ in range(3):
            out = network(x)
            out[:, 1] *= 2
            optimizer.zero_grad()
            out.square().mean().backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
        save_file(network.state_dict(), tmp_path / device)
        assert load_file(tmp_path / device, device=device)["0.weight"].device.type == device
        network.to("cpu")
        assert all(one is other for one, other in zip(parameters, network.parameters(), strict=True))
        return load_file(tmp_path / device)

    there = learned("cpu")
    with pretend_gpu():
        here = learned("cuda")
    torch.testing.assert_close(here, there)


def test_its_autocast_is_cudas() -> None:
    """Which differs from the CPU's, where normalisation stays in bfloat16."""
    with pretend_gpu(bfloat16=True) as gpu:
        layers = nn.Conv2d(3, 4, 1).to(gpu), nn.GroupNorm(2, 4).to(gpu)
        x = torch.ones(2, 3, 4, 4, device=gpu)
        with torch.autocast("cuda", dtype=torch.bfloat16):
            convolved = layers[0](x)
            assert (convolved.dtype, layers[1](convolved).dtype) == (torch.bfloat16, torch.float32)
            assert torch.cat([convolved, convolved.float()]).dtype == torch.float32
        assert layers[0](x).dtype == torch.float32


def test_what_draws_without_a_generator_has_its_own() -> None:
    with pretend_gpu() as gpu:
        torch.manual_seed(3)
        first = [torch.rand(2, device=gpu).tolist() for _ in range(2)]
        torch.manual_seed(3)
        torch.rand(100)
        assert [torch.rand(2, device=gpu).tolist() for _ in range(2)] == first != first[::-1]


def test_it_is_gone_afterwards() -> None:
    device, generator, run = process_device(), torch.Generator, threading.Thread.run
    there = torch.cuda.is_available(), torch.accelerator.is_available(), resolve_device("auto")
    with pretend_gpu():
        assert resolve_device("auto") == "cuda" and process_device().type == "cuda"
    assert there == (torch.cuda.is_available(), torch.accelerator.is_available(), resolve_device("auto"))
    assert (process_device(), torch.Generator, threading.Thread.run) == (device, generator, run)
    if not there[0]:
        with pytest.raises(ValueError, match="no device 'cuda' on this machine"):
            resolve_device("cuda")
