"""ResNet-18 is the textbook's, reads several cameras, and takes ImageNet weights from a file or says why not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from small_models import small_contract
from torch import Tensor

from world4rl_wm.checkpoint import CheckpointError
from world4rl_wm.reward.batches import RewardTraining
from world4rl_wm.reward.data import LabelledFrames, RewardData
from world4rl_wm.reward.model import RewardConfig, RewardModel
from world4rl_wm.reward.resnet import ResNet18, load_pretrained
from world4rl_wm.reward.train_reward import train_and_save


def imagenet(folder: Path, **changes: Tensor | None) -> Path:
    """A file like torchvision's: three channels, 1000 classes; `changes` replace weights or take them away."""
    torch.manual_seed(3)
    weights = ResNet18(3).state_dict() | {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}
    weights |= {name.replace("__", "."): value for name, value in changes.items() if value is not None}
    for name in (name for name, value in changes.items() if value is None):
        del weights[name.replace("__", ".")]
    save_file(weights, folder / "resnet18.safetensors")
    return folder / "resnet18.safetensors"


def test_parameters_are_those_of_the_textbook() -> None:
    """11 689 512 in torchvision's, whose last layer has 1000 classes; names as in its file."""
    network = ResNet18(3)
    count = sum(p.numel() for p in network.parameters())
    assert count - 513 + 513_000 == 11_689_512
    names = network.state_dict()
    some = ("conv1.weight", "bn1.running_mean", "layer2.0.downsample.1.bias", "layer4.1.bn2.num_batches_tracked")
    assert names.keys() > set(some)
    assert not any(name.startswith(("layer1.0.downsample", "mean", "std")) for name in names)


def test_pretrained_weights_serve_several_cameras(tmp_path: Path) -> None:
    """Both cameras showing one picture must give what the one camera gave."""
    path, one, two = imagenet(tmp_path), ResNet18(3), ResNet18(6)
    for network in (one, two):
        load_pretrained(network, path)
        network.eval()
    two.fc.load_state_dict(one.fc.state_dict())  # the last layer is not taken from the file
    frames = torch.rand(2, 3, 32, 32) * 2 - 1
    torch.testing.assert_close(two(frames.repeat(1, 2, 1, 1)), one(frames), atol=1e-4, rtol=1e-4)
    assert two.fc.out_features == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layer3__0__conv1__weight": None}, r"lacks layer3\.0\.conv1\.weight, 1 in all"),
        (
            {"layer1__0__conv1__weight": torch.zeros(64, 64, 1, 1)},
            r"conv1\.weight is \(64, 64, 1, 1\), not \(64, 64, 3, 3\)",
        ),
    ],
    ids=["another network", "another depth"],
)
def test_weights_of_another_network_are_named(tmp_path: Path, changes: dict[str, Tensor | None], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        load_pretrained(ResNet18(3), imagenet(tmp_path, **changes))


def test_missing_or_unreadable_weights_tell_the_mend(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no pre-trained weights at .*leave reward\.training\.pretrained empty"):
        load_pretrained(ResNet18(3), tmp_path / "nowhere")
    (tmp_path / "cut").write_bytes(b"cut")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_pretrained(ResNet18(3), tmp_path / "cut")


def few_frames() -> LabelledFrames:
    generator = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 256, (8, 6, 16, 16), dtype=torch.uint8, generator=generator)
    return LabelledFrames(frames, torch.arange(8) < 4, torch.linspace(0, 1, 8))


def test_a_reward_model_starts_from_them_and_reads_back(tmp_path: Path) -> None:
    contract, path = small_contract(), imagenet(tmp_path)
    training = RewardTraining(steps=3, positives=2, negatives=2, learning_rate=1e-9, pretrained=str(path))
    data = RewardData(few_frames(), {"real": few_frames()}, few_frames())
    out = tmp_path / "reward"
    train_and_save(data, contract, out, RewardConfig(6, backbone="resnet18"), training, progress=False)
    path.unlink()  # the checkpoint holds everything itself
    model = RewardModel.load(out, contract=contract)
    torch.manual_seed(3)
    start = ResNet18(3).state_dict()["layer4.1.conv2.weight"]
    torch.testing.assert_close(model.net.state_dict()["layer4.1.conv2.weight"], start, atol=1e-6, rtol=0)
    probability = model.probability(torch.rand(3, 6, 16, 16))
    assert probability.shape == (3,) and bool(((probability >= 0) & (probability <= 1)).all())
    small = RewardConfig(6)
    with pytest.raises(ValueError, match=r"for reward\.network\.backbone=resnet18"):
        train_and_save(data, contract, out, small, replace(training, steps=1), progress=False)


def test_an_unknown_backbone_is_refused() -> None:
    with pytest.raises(ValueError, match="small or resnet18, not 'huge'"):
        RewardModel(RewardConfig(6, backbone="huge"), small_contract())  # type: ignore[arg-type]
