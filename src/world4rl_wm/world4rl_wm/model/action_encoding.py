"""Action encodings behind one interface: two-hot (World4RL, section III; arXiv 2509.19080), one-hot and linear."""

from __future__ import annotations

from typing import Literal, Protocol, get_args

import torch
from torch import Tensor

ROUNDING = 1e-5  # beyond [-1, 1]: float32 sums, not a broken source
Encoding = Literal["two_hot", "one_hot", "linear"]
ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)


class ActionEncoding(Protocol):
    """How the world model is told an action. Actions are ``(..., A)`` in [-1, 1]."""

    def size(self, action_dim: int) -> int:
        """Numbers that `encode` makes of one action."""
        ...

    def encode(self, actions: Tensor) -> Tensor:
        """``(..., size(A))``, dimension-major. ValueError where an action is NaN or outside [-1, 1]."""
        ...

    def decode(self, encoded: Tensor) -> Tensor:
        """``(..., A)``: the inverse of `encode`, as far as there is one."""
        ...


def action_encoding(name: str, bins: int = 21) -> ActionEncoding:
    """The encoding called `name` (one of `ENCODINGS`); `bins` evenly spaced bins K for those that have any.

    Raises:
        ValueError: no such encoding, or fewer than 2 bins.
    """
    if name == "linear":
        return Linear()
    if name not in ENCODINGS:
        raise ValueError(f"no action encoding '{name}': use one of {', '.join(ENCODINGS)}")
    return TwoHot(bins) if name == "two_hot" else OneHot(bins)


class _Binned:
    """What the encodings with bins share."""

    def __init__(self, bins: int = 21):
        if bins < 2:
            raise ValueError(f"an encoding with bins needs at least 2 bins, got {bins}")
        self.bins = bins

    def size(self, action_dim: int) -> int:
        return action_dim * self.bins

    def _position(self, actions: Tensor) -> Tensor:
        """Where actions lie between the bins, ``(...)`` in [0, K - 1]."""
        return (checked(actions) + 1.0) * (0.5 * (self.bins - 1))

    def decode(self, encoded: Tensor) -> Tensor:
        """The mean of the bins' centres under the weights ``(..., A * K)``."""
        centres = torch.linspace(-1.0, 1.0, self.bins, device=encoded.device, dtype=encoded.dtype)
        return (encoded.unflatten(-1, (-1, self.bins)) * centres).sum(-1)


class TwoHot(_Binned):
    """Each dimension is spread over its two nearest bins.

    An action ``a`` in ``[b_k, b_{k+1}]`` gets weight ``(b_{k+1} - a) / (b_{k+1} - b_k)`` on bin k and the rest on
    bin k + 1: lossless, differentiable almost everywhere, and the weights sum to one.
    """

    def encode(self, actions: Tensor) -> Tensor:
        position = self._position(actions)
        lower = position.detach().floor().clamp(max=self.bins - 2)
        fraction = (position - lower).unsqueeze(-1)
        index = torch.arange(self.bins, device=actions.device, dtype=actions.dtype)
        lower = lower.unsqueeze(-1)
        weights = (index == lower).to(actions.dtype) * (1 - fraction)
        weights = weights + (index == lower + 1).to(actions.dtype) * fraction
        return weights.flatten(-2)


class OneHot(_Binned):
    """The nearest bin alone: loses up to half a bin's width, ``1 / (K - 1)``, and passes no gradient on."""

    def encode(self, actions: Tensor) -> Tensor:
        nearest = self._position(actions.detach()).round().long()
        return torch.nn.functional.one_hot(nearest, self.bins).to(actions.dtype).flatten(-2)


class Linear:
    """The numbers as they are."""

    def size(self, action_dim: int) -> int:
        return action_dim

    def encode(self, actions: Tensor) -> Tensor:
        return checked(actions)

    def decode(self, encoded: Tensor) -> Tensor:
        return encoded


def checked(actions: Tensor) -> Tensor:
    """The actions, rounding beyond [-1, 1] taken away. ValueError for NaN and for what is really outside."""
    # one comparison that NaN fails too
    if not bool((actions.detach().abs() <= 1.0 + ROUNDING).all()):
        raise ValueError("actions must be finite and lie in [-1, 1]: clamp them at the safety gate first")
    return actions.clamp(-1.0, 1.0)
