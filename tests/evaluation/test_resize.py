import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from fpainter.evaluation.resize import resize_pillow, resize_pytorch, resize_tensorflow

SIZES = [(64, 64), (32, 47), (299, 299), (300, 298), (512, 333), (900, 20), (7, 5), (1, 1)]


def noise(height: int, width: int) -> Tensor:
    """Bytes as floats, [2 3 H W]: neighbours differ as much as they can."""
    generator = torch.Generator().manual_seed(height + width)
    return torch.randint(0, 256, (2, 3, height, width), generator=generator).float()


def tensorflow_formula(images: Tensor, size: int) -> Tensor:
    """y[i] = (1 − d) x[⌊p⌋] + d x[⌊p⌋ + 1] with p = i · old/size, d = p − ⌊p⌋, axis by axis."""
    x = images.double().numpy()
    for axis in (2, 3):
        old = x.shape[axis]
        rows = []
        for i in range(size):
            position = i * old / size
            low = int(position)
            high = min(low + 1, old - 1)
            d = position - low
            rows.append((1 - d) * x.take(low, axis) + d * x.take(high, axis))
        x = np.stack(rows, axis)
    return torch.from_numpy(x)


@pytest.mark.parametrize("size", [299, 40])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_pillow_equals_pillow(height: int, width: int, size: int) -> None:
    images = noise(height, width)
    resized = resize_pillow(images, size)
    assert resized.shape == (2, 3, size, size)
    for result, channel in zip(resized.flatten(0, 1), images.flatten(0, 1), strict=True):
        expected = Image.fromarray(channel.numpy()).resize((size, size), Image.Resampling.BICUBIC)
        assert expected.mode == "F"
        torch.testing.assert_close(result, torch.from_numpy(np.array(expected)), rtol=0, atol=5e-4)


@pytest.mark.parametrize("size", [299, 40])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_tensorflow_equals_the_formula(height: int, width: int, size: int) -> None:
    images = noise(height, width)
    # TensorFlow rounds steps and positions to float32: off by up to 2⁻²³ of the largest in all.
    atol = 255 * max(height, width) * 2**-23 + 1e-4
    result = resize_tensorflow(images, size).double()
    torch.testing.assert_close(result, tensorflow_formula(images, size), rtol=0, atol=atol)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_tensorflow_equals_torch_fidelity(height: int, width: int) -> None:
    module = pytest.importorskip("torch_fidelity.interpolate_compat_tensorflow")
    images = noise(height, width)
    expected = module.interpolate_bilinear_2d_like_tensorflow1x(
        images, size=(299, 299), align_corners=False
    )
    torch.testing.assert_close(resize_tensorflow(images), expected, rtol=0, atol=1e-4)


def test_a_step_by_hand() -> None:
    step = torch.tensor([0.0, 100.0]).expand(1, 1, 2, 2)
    assert resize_pytorch(step, 4)[0, 0, 0].tolist() == [0, 25, 75, 100]
    assert resize_tensorflow(step, 4)[0, 0, 0].tolist() == [0, 50, 100, 100]
    # The cubic at ¼, ¾ and 5/4 pixels is 0.867…, 0.226… and −0.070…; weights sum to 1.
    inner, outer = 0.2265625 / (0.2265625 + 0.8671875), -0.0703125 / (0.8671875 - 0.0703125)
    pillow = [100 * outer, 100 * inner, 100 * (1 - inner), 100 * (1 - outer)]
    torch.testing.assert_close(resize_pillow(step, 4)[0, 0, 0], torch.tensor(pillow))


def test_shrinking_only_pillow_antialiases() -> None:
    stripes = (torch.arange(1200) % 4 < 2).float().mul(200).expand(1, 1, 1200, 1200)
    inner = (slice(None), slice(None), slice(5, -5), slice(5, -5))
    assert float((resize_pillow(stripes)[inner] - 100).abs().max()) < 5
    assert float((resize_pytorch(stripes)[inner] - 100).abs().max()) > 90
    assert float((resize_tensorflow(stripes)[inner] - 100).abs().max()) > 90


@pytest.mark.parametrize("resize", [resize_pillow, resize_tensorflow])
def test_the_type_is_kept_and_a_second_call_gives_the_same(resize: object) -> None:
    assert callable(resize)
    images = noise(9, 12).double()
    first = resize(images)
    assert first.dtype == torch.float64
    assert torch.equal(resize(images), first)
    torch.testing.assert_close(resize(images.float()).double(), first, rtol=0, atol=1e-4)
