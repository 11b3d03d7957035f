"""ResNet-18 (He et al., 2016), the paper's reward network, and its ImageNet weights from a file.

Written here because torchvision's wheels do not import beside a CPU build of torch. The parameters have torchvision's
names, so that its weights, and those of timm's `resnet18`, fit.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from world4rl_wm.checkpoint import CheckpointError

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MEND = "give a safetensors file of torchvision's or timm's resnet18, or leave reward.training.pretrained empty"


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut; `stride` is that of the first."""

    def __init__(self, channels_in: int, channels: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels:
            project = nn.Conv2d(channels_in, channels, 1, stride, bias=False)
            self.downsample = nn.Sequential(project, nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(hidden)) + self.downsample(x))


class ResNet18(nn.Module):
    """Frames ``(B, C, H, W)`` in [-1, 1], C = 3 per camera, H and W of at least 32, to ``(B, 1)``."""

    mean: Tensor
    std: Tensor

    def __init__(self, image_channels: int):
        super().__init__()
        cameras = image_channels // 3
        for name, values in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            self.register_buffer(name, torch.tensor(values * cameras).view(-1, 1, 1), persistent=False)
        self.conv1 = nn.Conv2d(image_channels, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = nn.Sequential(BasicBlock(64, 64, 1), BasicBlock(64, 64, 1))
        self.layer2 = nn.Sequential(BasicBlock(64, 128, 2), BasicBlock(128, 128, 1))
        self.layer3 = nn.Sequential(BasicBlock(128, 256, 2), BasicBlock(256, 256, 1))
        self.layer4 = nn.Sequential(BasicBlock(256, 512, 2), BasicBlock(512, 512, 1))
        self.fc = nn.Linear(512, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, frames: Tensor) -> Tensor:
        x = ((frames + 1) / 2 - self.mean) / self.std
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


def load_pretrained(network: ResNet18, path: Path) -> None:
    """Take all weights but the last layer's from a safetensors file; every camera starts with the same filters.

    Raises:
        CheckpointError: no such file, not readable, or not the weights of a ResNet-18.
    """
    if not path.is_file():
        raise CheckpointError(f"there are no pre-trained weights at {path}: {MEND}")
    try:
        weights = load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"the pre-trained weights {path} cannot be read ({error}): {MEND}") from error
    cameras = network.conv1.in_channels // 3
    if "conv1.weight" in weights:
        weights["conv1.weight"] = weights["conv1.weight"].repeat(1, cameras, 1, 1) / cameras
    own = {k: v for k, v in network.state_dict().items() if not k.startswith("fc.")}
    missing = [name for name in own if name not in weights and not name.endswith("num_batches_tracked")]
    if missing:
        raise CheckpointError(
            f"{path} is no ResNet-18: it lacks {', '.join(missing[:3])}, {len(missing)} in all; {MEND}"
        )
    wrong = [name for name in own if name in weights and weights[name].shape != own[name].shape]
    if wrong:
        shapes = f"{wrong[0]} is {tuple(weights[wrong[0]].shape)}, not {tuple(own[wrong[0]].shape)}"
        raise CheckpointError(f"{path} is no ResNet-18: {shapes}; {MEND}")
    network.load_state_dict({name: weights[name] for name in own if name in weights}, strict=False)
