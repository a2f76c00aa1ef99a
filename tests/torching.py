"""Networks made with torch, for tests and studies alike: a ResNet-18 in small, a transformer block, dense layers.

`python tests/torching.py FOLDER` writes them there in every form that is read, and in some that are refused.
"""

import sys
import warnings
from pathlib import Path

import torch
from torch import nn


class Residual(nn.Module):
    """Two convolutions, and a way past them."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after))
        self.past = nn.Identity()
        if stride != 1 or before != after:
            self.past = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.second(self.first(x)) + self.past(x))


class Block(nn.Module):
    """Attention and a feed-forward part, as a transformer has them."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mixed, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.forth = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Dropout(0.1), nn.Linear(4 * width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, width = x.shape
        parts = self.mixed(self.before(x)).reshape(batch, length, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        seen = nn.functional.scaled_dot_product_attention(query, key, value).transpose(1, 2)
        x = x + self.out(seen.reshape(batch, length, width))
        return x + self.forth(self.after(x))


class Pooled(nn.Module):
    """The mean over the length, then the classes."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.head = nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x.mean(1))


def resnet(width: int = 32, colours: int = 3) -> nn.Module:
    """Give the eight residual blocks of a ResNet-18, for small images of any size."""
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Conv2d(colours, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    before = width
    for after, stride in ((1, 1), (1, 1), (2, 2), (2, 1), (4, 2), (4, 1), (8, 2), (8, 1)):
        layers.append(Residual(before, after * width, stride))
        before = after * width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, 10))


def transformer(width: int = 128, heads: int = 4) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(Block(width, heads), Pooled(width))


def dense(width: int = 512) -> nn.Module:
    torch.manual_seed(0)
    hidden = [nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()]
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), *hidden, nn.Linear(width, 10))


def nothing() -> None:
    """Give no module."""


def write(folder: Path) -> None:
    """Write `dense` in every form, and what is no model or not fit to serve."""
    one, open_batch = (torch.randn(2, 1, 8, 8),), ({0: torch.export.Dim("batch")},)
    module = dense().eval()
    torch.jit.trace(module, one).save(str(folder / "dense.pt"))
    torch.export.save(torch.export.export(module, one, dynamic_shapes=open_batch), folder / "dense.pt2")
    torch.export.save(torch.export.export(module, one), folder / "two.pt2")
    torch.export.save(torch.export.export(transformer(32).train(), (torch.randn(2, 4, 32),)), folder / "training.pt2")
    torch.save(module.state_dict(), folder / "weights.pt")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    write(Path(sys.argv[1]))
