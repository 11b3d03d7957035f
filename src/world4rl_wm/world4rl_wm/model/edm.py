"""EDM (Karras et al. 2022): preconditioning, noise distribution, loss weighting and sampling of the next frame.

What is diffused is the *change* from the last frame, ``x0 = (o_{t+1} - o_t) / change_scale``: static pixels then cost
nothing and cannot drift, which at a few thousand training steps decides whether a dream stays true.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor


@dataclass(frozen=True)
class EdmConfig:
    """Noise levels: training draws ``ln sigma ~ N(p_mean, p_std)``; sampling goes from `sigma_max` in `steps` steps.

    `noise_scale` shrinks the noise that sampling starts from: 1 samples what may happen, 0 gives the same frame every
    time, without the grain that few steps of a small network leave of the noise.
    """

    sigma_data: float = 0.5
    p_mean: float = 1.6
    p_std: float = 0.3
    sigma_min: float = 0.02
    sigma_max: float = 5.0
    rho: float = 7.0
    steps: int = 1
    noise_scale: float = 1.0


Network = Callable[[Tensor, Tensor], Tensor]
"""F(c_in x, c_noise) with the conditions already bound."""


def _view(sigma: Tensor, x: Tensor) -> Tensor:
    return sigma.view(-1, *[1] * (x.dim() - 1))


def preconditioning(sigma: Tensor, sigma_data: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """``c_skip, c_out, c_in, c_noise`` of EDM, table 1; all of sigma's shape."""
    total = sigma**2 + sigma_data**2
    return sigma_data**2 / total, sigma * sigma_data / total.sqrt(), 1 / total.sqrt(), sigma.log() / 4


def denoise(network: Network, x: Tensor, sigma: Tensor, config: EdmConfig) -> Tensor:
    """``D(x; sigma) = c_skip x + c_out F(c_in x; c_noise)``; sigma ``(B,)``."""
    c_skip, c_out, c_in, c_noise = preconditioning(sigma, config.sigma_data)
    return _view(c_skip, x) * x + _view(c_out, x) * network(_view(c_in, x) * x, c_noise)


def raw_output(x0: Tensor, scaled_x: Tensor, c_noise: Tensor, config: EdmConfig) -> Tensor:
    """The F with which `denoise` gives `x0`: for a network that says the clean frame itself; scaled_x is c_in x."""
    sigma = (4 * c_noise).exp()
    c_skip, c_out, c_in, _ = preconditioning(sigma, config.sigma_data)
    return (x0 - _view(c_skip / c_in, x0) * scaled_x) / _view(c_out, x0)


def training_sigma(normal: Tensor, config: EdmConfig) -> Tensor:
    """Noise levels to train at, ``ln sigma ~ N(p_mean, p_std)``, from standard normal numbers of any shape."""
    return (normal * config.p_std + config.p_mean).exp()


def training_loss(
    network: Network, x0: Tensor, sigma: Tensor, noise: Tensor, config: EdmConfig, weight: Tensor | None = None
) -> Tensor:
    """``|| F - (x0 - c_skip x) / c_out ||^2`` averaged, with ``x = x0 + sigma noise``.

    sigma ``(B,)``; noise: standard normal of x0's shape; `weight` ``(B, 1 or C, H, W)`` stresses pixels.
    """
    x = x0 + _view(sigma, x0) * noise
    c_skip, c_out, c_in, c_noise = preconditioning(sigma, config.sigma_data)
    target = (x0 - _view(c_skip, x) * x) / _view(c_out, x)
    error = (network(_view(c_in, x) * x, c_noise).float() - target) ** 2
    return (error if weight is None else error * weight).mean()


def noise_schedule(config: EdmConfig, device: torch.device) -> Tensor:
    """The sampler's noise levels, ``(steps + 1,)``, from sigma_max down to 0 (EDM, equation 5)."""
    if config.steps == 1:
        return torch.tensor([config.sigma_max, 0.0], device=device)
    ramp = torch.linspace(0, 1, config.steps, device=device)
    low, high = config.sigma_min ** (1 / config.rho), config.sigma_max ** (1 / config.rho)
    return torch.cat([(high + ramp * (low - high)) ** config.rho, torch.zeros(1, device=device)])


@torch.no_grad()
def sample(network: Network, noise: Tensor, config: EdmConfig) -> Tensor:
    """Deterministic Euler sampler of the probability-flow ODE from unit `noise` ``(B, C, H, W)``."""
    sigmas = noise_schedule(config, noise.device)
    x = noise * (config.noise_scale * sigmas[0])
    for sigma, following in pairwise(sigmas):
        denoised = denoise(network, x, sigma.expand(len(x)), config)
        x = denoised + (x - denoised) * (following / sigma)
    return x
