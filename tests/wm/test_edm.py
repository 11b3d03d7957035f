"""EDM: the identities of its preconditioning, a sampler that recovers what a perfect network knows, the loss."""

from __future__ import annotations

import pytest
import torch
from diffusers import EDMEulerScheduler
from small_models import small_contract, world_model
from torch import Tensor

from world4rl_wm.model import edm
from world4rl_wm.model.edm import EdmConfig

SIGMA = torch.tensor([0.02, 0.3, 0.5, 1.0, 5.0, 80.0])
SHAPE = (3, 2, 4, 4)


def perfect(x0: Tensor, config: EdmConfig) -> edm.Network:
    """The network that knows x0: it undoes the preconditioning of its input and answers with the exact target."""

    def network(scaled: Tensor, c_noise: Tensor) -> Tensor:
        sigma = (4 * c_noise).exp()
        c_skip, c_out, c_in, _ = (c.view(-1, 1, 1, 1) for c in edm.preconditioning(sigma, config.sigma_data))
        return (x0 - c_skip * scaled / c_in) / c_out

    return network


def test_preconditioning_keeps_input_and_target_at_unit_variance() -> None:
    """Karras et al. 2022, appendix B.6: the two requirements that c_in and c_out come from."""
    data = 0.5
    c_skip, c_out, c_in, c_noise = edm.preconditioning(SIGMA, data)
    torch.testing.assert_close(c_in**2 * (SIGMA**2 + data**2), torch.ones_like(SIGMA))
    torch.testing.assert_close(((1 - c_skip) ** 2 * data**2 + c_skip**2 * SIGMA**2) / c_out**2, torch.ones_like(SIGMA))
    torch.testing.assert_close((4 * c_noise).exp(), SIGMA)


def test_preconditioning_trusts_the_picture_when_clean_and_the_network_when_noisy() -> None:
    c_skip, c_out, _, _ = edm.preconditioning(torch.tensor([1e-3, 1e3]), 0.5)
    assert c_skip[0] > 0.999 and c_out[0] < 0.002
    assert c_skip[1] < 1e-6 and abs(float(c_out[1]) - 0.5) < 1e-3


def test_denoise_with_a_perfect_network_recovers_the_truth() -> None:
    config = EdmConfig()
    x0 = torch.randn(len(SIGMA), *SHAPE[1:], generator=torch.Generator().manual_seed(0))
    noisy = x0 + SIGMA.view(-1, 1, 1, 1) * torch.randn(x0.shape, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(edm.denoise(perfect(x0, config), noisy, SIGMA, config), x0, atol=1e-4, rtol=0)


@pytest.mark.parametrize("steps", [1, 3, 5])
def test_sampler_with_a_perfect_network_ends_at_the_truth(steps: int) -> None:
    config = EdmConfig(steps=steps)
    x0 = torch.randn(SHAPE, generator=torch.Generator().manual_seed(2))
    noise = torch.randn(SHAPE, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(edm.sample(perfect(x0, config), noise, config), x0, atol=1e-4, rtol=0)


@pytest.mark.parametrize("steps", range(1, 7))
def test_sampler_is_that_of_diffusers(steps: int) -> None:
    """The loop here and `EDMEulerScheduler` take a network that is not perfect through the same noise levels."""
    config = EdmConfig(steps=steps)
    noise = torch.randn(SHAPE, generator=torch.Generator().manual_seed(4))
    seen: list[float] = []

    def network(x: Tensor, c_noise: Tensor) -> Tensor:
        seen.append(float(c_noise[0]))
        return torch.sin(3 * x + c_noise.view(-1, 1, 1, 1))

    found = edm.sample(network, noise, config)
    scheduler = EDMEulerScheduler(config.sigma_min, config.sigma_max, config.sigma_data, rho=config.rho)
    scheduler.set_timesteps(steps)
    x = noise * scheduler.sigmas[0]
    for time in scheduler.timesteps:
        output = network(scheduler.scale_model_input(x, time), time.expand(len(x)))
        x = scheduler.step(output, time, x).prev_sample
    torch.testing.assert_close(found, x, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(torch.tensor(seen[:steps]), torch.tensor(seen[steps:]))


def test_schedule_goes_down_from_sigma_max_over_sigma_min_to_zero() -> None:
    sigmas = edm.noise_schedule(EdmConfig(sigma_min=0.002, sigma_max=80.0, rho=7.0, steps=18), torch.device("cpu"))
    assert sigmas.shape == (19,)
    assert bool((sigmas.diff() < 0).all())
    # equation 5 at i = 0, 1, 17 for the paper's own settings
    torch.testing.assert_close(sigmas[[0, 1, 17, 18]], torch.tensor([80.0, 57.5857, 0.002, 0.0]), rtol=1e-3, atol=1e-6)
    one = edm.noise_schedule(EdmConfig(sigma_max=3.0, steps=1), torch.device("cpu"))
    assert one.tolist() == [3.0, 0.0]


def test_the_same_seed_dreams_the_same_frame() -> None:
    contract = small_contract()
    model = world_model(contract)
    context = torch.rand(2, 4, 6, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    actions = torch.zeros(2, 4, contract.action_dim)
    frames = [model.predict(context, actions, torch.Generator().manual_seed(seed)) for seed in (7, 7, 8)]
    assert torch.equal(frames[0], frames[1])
    assert not torch.equal(frames[0], frames[2])
    assert float(frames[0].min()) >= -1 and float(frames[0].max()) <= 1


def test_noise_scale_shrinks_what_sampling_starts_from() -> None:
    seen: list[Tensor] = []

    def network(x: Tensor, _: Tensor) -> Tensor:
        seen.append(x)
        return torch.zeros_like(x)

    noise = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
    for scale in (1.0, 0.5, 0.0):
        edm.sample(network, noise, EdmConfig(steps=1, noise_scale=scale))
    torch.testing.assert_close(seen[1], seen[0] / 2)
    assert not seen[2].any()


def zeros(x: Tensor, _: Tensor) -> Tensor:
    return torch.zeros_like(x)


def loss_of(network: edm.Network, x0: Tensor, config: EdmConfig, weight: Tensor | None = None, seed: int = 5) -> Tensor:
    """The training loss with noise of a seed."""
    generator = torch.Generator().manual_seed(seed)
    sigma = edm.training_sigma(torch.randn(len(x0), generator=generator), config)
    return edm.training_loss(network, x0, sigma, torch.randn(x0.shape, generator=generator), config, weight)


def test_loss_of_a_perfect_network_is_zero_and_of_another_is_not() -> None:
    config = EdmConfig()
    x0 = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
    assert float(loss_of(perfect(x0, config), x0, config)) < 1e-6
    assert float(loss_of(zeros, x0, config)) > 0.1


def test_loss_weighs_the_denoising_error_by_one_over_c_out_squared() -> None:
    """lambda(sigma) = 1 / c_out^2 makes every noise level count alike."""
    config = EdmConfig(p_mean=0.7, p_std=0.0)
    x0 = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(5)
    torch.randn(len(x0), generator=generator)  # the noise level, which p_std = 0 makes certain
    sigma = torch.full((len(x0),), 0.7).exp()
    noisy = x0 + sigma.view(-1, 1, 1, 1) * torch.randn(SHAPE, generator=generator)
    error = edm.denoise(zeros, noisy, sigma, config) - x0
    c_out = edm.preconditioning(sigma, config.sigma_data)[1]
    expected = (error**2).mean() / c_out[0] ** 2
    torch.testing.assert_close(loss_of(zeros, x0, config), expected)


def test_pixel_weights_stress_their_pixels() -> None:
    config = EdmConfig()
    x0 = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
    upper = torch.zeros(len(x0), 1, 4, 4)
    upper[:, :, :2] = 1

    def loss(weight: Tensor | None) -> Tensor:
        return loss_of(zeros, x0, config, weight)

    torch.testing.assert_close(loss(upper) + loss(1 - upper), loss(None))
    torch.testing.assert_close(loss(1 + 4 * upper), loss(None) + 4 * loss(upper))
    assert float(loss(upper)) < float(loss(None))
