"""Policy and value function say the same of pictures and of their patches, and learn the same from them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from small_policy import SIZE, small_contract, small_policy
from torch import Tensor, nn

from world4rl_policy.actor_critic import ValueFunction, as_patches


def frames(batch: int = 3) -> Tensor:
    channels = small_contract().image_channels
    return torch.rand(batch, 2, channels, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_patches_are_the_pictures_cut_row_by_row() -> None:
    pictures, side = frames(), SIZE // 4
    patches = as_patches(pictures)
    assert patches.shape == (3, side**2, 2 * pictures.shape[2] * 16)
    for row, column in ((0, 0), (1, 2), (side - 1, side - 1)):
        cut = pictures[:, :, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
        assert torch.equal(patches[:, side * row + column], cut.flatten(1))


@pytest.mark.parametrize("kind", ["policy", "value"])
def test_both_are_read_alike(kind: str) -> None:
    policy = small_policy(small_contract())
    torch.manual_seed(1)
    network = policy if kind == "policy" else ValueFunction(policy.config)
    say: Callable[[Tensor], Tensor] = network if kind == "value" else lambda seen: policy.distribution(seen).mean
    found = []
    for seen in (frames(), policy.patches(frames())):
        network.zero_grad()
        said = say(seen)
        said.square().sum().backward()
        found.append([said.detach(), *(p.grad.clone() for p in network.parameters() if p.grad is not None)])
    assert len(found[0]) > 8
    for mine, other in zip(*found, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5)


def test_an_encoder_of_another_kind_is_shown_pictures() -> None:
    policy = small_policy(small_contract())
    policy.encoder = nn.Sequential(nn.Flatten(), nn.LazyLinear(policy.config.hidden))
    assert torch.equal(policy.patches(frames()), frames())
