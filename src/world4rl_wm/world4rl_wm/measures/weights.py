"""Weights of the networks that perceptual measures need: where they are looked for, and where they come from.

Nothing is fetched here. The folder is torch's own cache, where torchvision and torch-fidelity put them too;
`TORCH_HOME` moves it.
"""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import torch


class NotComputed(RuntimeError):
    """A measure that cannot be computed here; the message says why and what to do."""


@dataclass(frozen=True)
class Weights:
    """A file of weights, its source, and the packages that are needed to run it."""

    measure: str
    file: str
    url: str
    packages: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """Where the file is expected."""
        return Path(torch.hub.get_dir()) / "checkpoints" / self.file

    def require(self) -> Path:
        """The file's path.

        Raises:
            NotComputed: a package or the file is missing, or the package does not fit the torch that is installed.
        """
        wanting = []
        absent = [name.replace("_", "-") for name in self.packages if importlib.util.find_spec(name) is None]
        if absent:
            wanting.append(f"package missing, get it by: pip install -c constraints.txt {' '.join(absent)}")
        if not self.path.is_file():
            wanting.append(
                f"weights missing at {self.path}, get them by: curl -L --create-dirs -o {self.path} {self.url}"
            )
        if wanting:
            raise NotComputed("; ".join(wanting))
        for name in self.packages:
            try:
                importlib.import_module(name)
            except (ImportError, RuntimeError, OSError) as error:  # a build for another torch fails in several ways
                raise NotComputed(
                    f"{name} cannot be imported ({error}): install its build for torch {torch.__version__}"
                ) from error
        return self.path

    def unreadable(self, error: Exception) -> NotComputed:
        """What to raise where the file is there but cannot be read."""
        reason = " ".join(str(error).split())[:200]
        return NotComputed(f"{self.path} cannot be read ({type(error).__name__}: {reason}); remove it and get it again")


LPIPS = Weights(
    "LPIPS",
    "alexnet-owt-7be5be79.pth",
    "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    ("torchvision",),
)
FID = Weights(
    "FID",
    "weights-inception-2015-12-05-6726825d.pth",
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
    ("torch_fidelity",),
)
FVD = Weights(
    "FVD",
    "i3d_torchscript.pt",
    "https://www.dropbox.com/s/ge9e5ujwgetktms/i3d_torchscript.pt?dl=1",
)
