"""FIDs and features of other tools, where images and the published weights are at hand."""

import importlib.util
import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from fpainter.evaluation.inception.network import InceptionFeatures, load_inception
from fpainter.evaluation.inception.weights import WHEEL_PACKAGE
from fpainter.evaluation.metrics.frechet import frechet_distance
from fpainter.evaluation.protocols import get_protocol
from tests.evaluation.toys import moments

GOLDEN = Path(
    os.environ.get("FPAINTER_GOLDEN", Path(__file__).parents[2].parent / "shared" / "golden")
)
ARCHIVE = GOLDEN.parent / "data" / "afhq_cat_64.zip"

# Of the weights in fid.json, with torch-fidelity 0.4.0's network and with clean-fid 0.1.35's resize
# in front of its own network class: the first 8 features of the first image, and the FID between
# the first 128 images and the next 128.
OTHER_TOOLS = {
    "clean": (
        [0.2650453, 0.3577893, 0.1900466, 0.0526261, 0.4390606, 0.0526466, 0.7630121, 0.0063352],
        43.2903372,
    ),
    "torch_fidelity": (
        [0.3000528, 0.4021185, 0.2244350, 0.0416871, 0.3933776, 0.0727297, 0.8473831, 0.0105330],
        41.9022566,
    ),
}

pytestmark = [
    pytest.mark.golden,
    pytest.mark.skipif(
        not (GOLDEN / "fid.json").is_file()
        or not ARCHIVE.is_file()
        or importlib.util.find_spec(WHEEL_PACKAGE) is None,
        reason="needs FPAINTER_GOLDEN with fid.json, ../data/afhq_cat_64.zip and the wheel",
    ),
]


@pytest.fixture(scope="module")
def network() -> InceptionFeatures:
    return load_inception()


@pytest.fixture(scope="module")
def images() -> Tensor:
    """All images in name order, uint8 [5153 3 64 64]."""
    with zipfile.ZipFile(ARCHIVE) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".webp"))
        files = [io.BytesIO(archive.read(name)) for name in names]
    arrays = [np.array(Image.open(file).convert("RGB")) for file in files]
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2)


@pytest.mark.parametrize(
    ("protocol", "stored_as"),
    [("png", "png"), pytest.param("paper", "jpg", marks=pytest.mark.slow)],
)
def test_equals_pytorch_fid(
    network: InceptionFeatures, images: Tensor, protocol: str, stored_as: str
) -> None:
    golden = json.loads((GOLDEN / "fid.json").read_text())
    assert network.weights_sha256 == golden["weights_sha256"]
    expected = golden[stored_as]
    features = network(get_protocol(protocol).apply(images[:256]))
    torch.testing.assert_close(
        features[0, :8],
        torch.tensor(expected["first_image_first_8_features"]),
        rtol=1e-4,
        atol=1e-5,
    )
    score = frechet_distance(moments(features[:128]), moments(features[128:]))
    assert score == pytest.approx(expected["first_128_vs_next_128"], rel=1e-3)
    assert score == pytest.approx(expected["exact_first_128_vs_next_128"], rel=1e-6)


@pytest.mark.parametrize("name", OTHER_TOOLS)
def test_first_image_equals_clean_fid_and_torch_fidelity(images: Tensor, name: str) -> None:
    protocol = get_protocol(name)
    features = load_inception(protocol=protocol)(protocol.apply(images[:1]))
    expected = torch.tensor(OTHER_TOOLS[name][0])
    torch.testing.assert_close(features[0, :8], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHER_TOOLS)
def test_fid_equals_clean_fid_and_torch_fidelity(images: Tensor, name: str) -> None:
    protocol = get_protocol(name)
    features = load_inception(protocol=protocol)(protocol.apply(images[:256]))
    score = frechet_distance(moments(features[:128]), moments(features[128:]))
    print(f"{name}: {score:.8f}, expected {OTHER_TOOLS[name][1]}")
    assert score == pytest.approx(OTHER_TOOLS[name][1], rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("protocol", "stored_as"), [("png", "png"), ("paper", "jpg")])
def test_halves_equal_pytorch_fid(
    network: InceptionFeatures, images: Tensor, protocol: str, stored_as: str
) -> None:
    """The first half of AFHQ-Cat against the second: minutes."""
    expected = json.loads((GOLDEN / "fid.json").read_text())[stored_as]
    features = network(get_protocol(protocol).apply(images))
    half = expected["n_first"]
    score = frechet_distance(moments(features[:half]), moments(features[half:]))
    print(f"{protocol}: {score:.8f}, pytorch-fid {expected['first_half_vs_second_half']:.8f}")
    assert score == pytest.approx(expected["first_half_vs_second_half"], rel=1e-6)
