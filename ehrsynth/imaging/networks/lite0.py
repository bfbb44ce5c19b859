"""EfficientNet-Lite0: the network whose ImageNet weights come with a package, as a source of frozen features.

The blocks of MobileNetV2 in the proportions of EfficientNet (Tan and Le 2019, arXiv 1905.11946), without
squeeze-and-excitation and with ReLU6, as it was cut down for small devices. It is not EfficientNet-V2.
Names of layers are those of the weights, which were converted from TensorFlow: hence the padding of "same".
"""

from typing import NamedTuple, cast

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

FEATURES = 1280
CLASSES = 1000
_EPSILON = 1e-3  # of batch normalisation, as in TensorFlow
_CENTRE, _SCALE = 127.0, 128.0  # what a pixel value is taken less and divided by


class _Stage(NamedTuple):
    """So many blocks alike; the first of them strides and changes the number of channels."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


_STEM = 32
_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)


class _SameConv(nn.Conv2d):
    """A convolution whose output has ceil(size / stride) pixels a side; an odd pad goes to the end."""

    def forward(self, x: Tensor) -> Tensor:
        tall, wide = (self._pad(size, axis) for axis, size in enumerate(x.shape[-2:]))
        if tall[0] == tall[1] and wide[0] == wide[1]:
            padding = (tall[0], wide[0])
            return functional.conv2d(x, self.weight, self.bias, self.stride, padding, 1, self.groups)
        padded = functional.pad(x, (*wide, *tall))
        return functional.conv2d(padded, self.weight, self.bias, self.stride, 0, 1, self.groups)

    def _pad(self, size: int, axis: int) -> tuple[int, int]:
        stride, kernel = self.stride[axis], self.kernel_size[axis]
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        return total // 2, total - total // 2


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=_EPSILON)


def _fold(module: nn.Module, convolution: str, norm: str) -> None:
    folded = fuse_conv_bn_eval(getattr(module, convolution), getattr(module, norm))
    setattr(module, convolution, folded)
    setattr(module, norm, nn.Identity())


class _Block(nn.Module):
    """Widen, filter each channel, narrow; the input is added where the shape allows it."""

    def __init__(self, before: int, stage: _Stage, *, stride: int) -> None:
        super().__init__()
        inner = before * stage.expansion
        self._expands = stage.expansion > 1
        if self._expands:
            self._expand_conv = nn.Conv2d(before, inner, 1, bias=False)
            self._bn0 = _norm(inner)
        self._depthwise_conv = _SameConv(inner, inner, stage.kernel, stride, groups=inner, bias=False)
        self._bn1 = _norm(inner)
        self._project_conv = nn.Conv2d(inner, stage.channels, 1, bias=False)
        self._bn2 = _norm(stage.channels)
        self._adds = stride == 1 and before == stage.channels

    def fold(self) -> None:
        """See `Lite0.fold`."""
        if self._expands:
            _fold(self, "_expand_conv", "_bn0")
        _fold(self, "_depthwise_conv", "_bn1")
        _fold(self, "_project_conv", "_bn2")

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu6(self._bn0(self._expand_conv(x))) if self._expands else x
        y = functional.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        out: Tensor = x + y if self._adds else y
        return out


class Lite0(nn.Module):
    """EfficientNet-Lite0 for 1,000 classes; `features` gives what stands before the last layer."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = _SameConv(3, _STEM, 3, 2, bias=False)
        self._bn0 = _norm(_STEM)
        blocks, before = list[nn.Module](), _STEM
        for stage in _STAGES:
            for place in range(stage.repeats):
                blocks.append(_Block(before, stage, stride=stage.stride if place == 0 else 1))
                before = stage.channels
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = nn.Conv2d(before, FEATURES, 1, bias=False)
        self._bn1 = _norm(FEATURES)
        self._fc = nn.Linear(FEATURES, CLASSES)

    def fold(self) -> None:
        """Fold every normalisation into the convolution before it: for a network that is no longer taught.

        The same function but for rounding, in two thirds of the time.
        """
        _fold(self, "_conv_stem", "_bn0")
        for block in self._blocks:
            cast(_Block, block).fold()
        _fold(self, "_conv_head", "_bn1")

    def maps(self, images: Tensor) -> Tensor:
        """The last maps: images (n x 3 x height x width, 0 to 255) to n x 1280 x height/32 x width/32."""
        x = (images - _CENTRE) / _SCALE
        x = functional.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        last: Tensor = functional.relu6(self._bn1(self._conv_head(x)))
        return last

    def features(self, images: Tensor) -> Tensor:
        """The mean of the last maps, n x 1280, 0 to 6."""
        found: Tensor = self.maps(images).mean(dim=(-2, -1))
        return found

    def forward(self, images: Tensor) -> Tensor:
        """Scores of the 1,000 ImageNet classes, n x 1000."""
        scores: Tensor = self._fc(self.features(images))
        return scores
