"""The baselines compute what NVIDIA's StyleGAN2 and GANsformer compute, in float64."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from fpainter.checkpoints.legacy.baselines import load_plain, renamed
from fpainter.training.gan_module import GANModule
from tests.callbacks.test_checkpoints import pytestmark as lightning_warnings
from tests.conftest import golden_files
from tests.reference import baselines
from tests.reference.released import part, read, relative
from tests.test_golden import check

Record = Callable[[str, object], None]

pytestmark = [pytest.mark.golden, pytest.mark.usefixtures("float64"), *lightning_warnings]

# The original's phases in the order of its iterations.
PHASES = ("Gmain", "Greg", "Dmain", "Dreg")


@pytest.mark.parametrize("path", golden_files("baselines/generator"), ids=lambda path: path.stem)
def test_generator(path: Path, record_property: Record) -> None:
    meta, tensors, stored = read(path)
    generator = baselines.generator(meta["kwargs"], meta["call"]).eval()
    left_out = set(load_plain(generator, stored | part(tensors, "buffer.")))
    label = tensors["c"].argmax(dim=1) if meta["kwargs"]["c_dim"] else None
    z = tensors["z"].double().requires_grad_()
    noise = {"const": "constant"}.get(meta["call"]["noise_mode"], meta["call"]["noise_mode"])
    w = generator.truncate(generator.mapping(z.flatten(1), label))
    image = generator.synthesis(w, noise)
    ws = tensors["ws"] if tensors["ws"].dim() == 3 else tensors["ws"].transpose(1, 2).flatten(2)
    differences = {
        "image": relative(image, tensors["image"]),
        "w": relative(w, ws),
    }
    if tensors["attention" if "attention" in tensors else "image"].dim() == 6:
        maps = generator.attention_maps(w, noise)
        differences["attention"] = relative(maps, tensors["attention"])
    own = dict(generator.named_parameters())
    names = [name for name in stored if f"grad.{name}" in tensors]
    idle = set(meta.get("unused_parameters", ())) | {n for n in stored if "noise_strength" in n}
    assert set(stored) - set(names) <= idle
    assert left_out.isdisjoint(names)
    gradients = torch.autograd.grad(
        (image * tensors["weight"]).sum(), [z, *(own[renamed(generator, name)] for name in names)]
    )
    expected = {name: tensors[f"grad.{name}"] for name in ["z", *names]}
    # Keys shifted all alike change nothing: of such gradients there is only what rounding left.
    floor = 1e-6 * max(float(gradient.abs().max()) for gradient in expected.values())
    for (name, gradient), got in zip(expected.items(), gradients, strict=True):
        differences[name] = relative(got, gradient, floor)
    check(differences, 1e-9, record_property)


@pytest.mark.parametrize(
    "path", golden_files("baselines/discriminator"), ids=lambda path: path.stem
)
def test_discriminator(path: Path, record_property: Record) -> None:
    meta, tensors, stored = read(path)
    discriminator = baselines.discriminator(meta["kwargs"])
    load_plain(discriminator, stored | part(tensors, "buffer."))
    images = (tensors["image_uint8"].double() / 127.5 - 1).requires_grad_()
    label = tensors["c"].argmax(dim=1) if meta["kwargs"]["c_dim"] else None
    (logits,) = discriminator(images, label=label).logits
    (slope,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    r1 = slope.square().sum(dim=(1, 2, 3))
    differences = {
        "logits": relative(logits, tensors["logits"]),
        "input_gradient": relative(slope, tensors["input_gradient"]),
        "r1": relative(r1, tensors["r1"]),
    }
    own = dict(discriminator.named_parameters())
    for prefix, total in (("gradnorm", logits.sum()), ("r1_gradnorm", r1.mean())):
        names = [name for name in stored if f"{prefix}.{name}" in tensors]
        assert names
        ours = [own[renamed(discriminator, name)] for name in names]
        gradients = torch.autograd.grad(
            total, ours, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        for name, gradient in zip(names, gradients, strict=True):
            expected = tensors[f"{prefix}.{name}"]
            differences[f"{prefix}.{name}"] = relative(gradient.norm(), expected)
    check(differences, 1e-9, record_property)


def give_draws(
    module: GANModule, tensors: dict[str, Tensor], rows: list[dict[str, Any]], patch: Any
) -> None:
    """Let the module draw what the original drew, phase by phase."""

    def draws(name: str) -> Iterator[Tensor]:
        keys = (f"draw.{i}.{phase}.{name}" for i in range(len(rows)) for phase in PHASES)
        return (tensors[key].double() for key in keys if key in tensors)

    cutoffs = (
        row[f"{phase}_cutoff"] for row in rows for phase in PHASES if f"{phase}_cutoff" in row
    )
    latents, others, directions = draws("z"), draws("z2"), draws("pl_noise")
    nothing = torch.zeros(0, module.generator.d_latent)
    patch.setattr(module, "draw_latents", lambda num: next(latents) if num else nothing)
    patch.setattr(module.generator, "draw_mixing", lambda z: (next(others), next(cutoffs)))
    patch.setattr(
        module.phases["path_length"],
        "draw_directions",
        lambda images: next(directions) * (images.shape[2] * images.shape[3]) ** -0.5,
    )


@pytest.mark.parametrize("path", golden_files("baselines/training"), ids=lambda path: path.stem)
def test_trajectory(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Record
) -> None:
    """Four iterations through the trainer: every phase's gradient, and all weights at the end."""
    meta, tensors, _ = read(path)
    module = baselines.lazy_gan(meta)
    load_plain(module.generator, part(tensors, "init.G."))
    load_plain(module.discriminator, part(tensors, "init.D."))
    module.generator_ema.load_state_dict(module.generator.state_dict())
    give_draws(module, tensors, meta["rows"], monkeypatch)
    norms: list[float] = []
    means: list[float] = []
    complete, step = module._complete_gradient, module.training_step
    path_length: Any = module.phases["path_length"]

    def completed(player: str, *args: Any) -> None:
        complete(player, *args)
        gradients = [p.grad for p in module.get_submodule(player).parameters()]
        norms.append(torch.nn.utils.get_total_norm([g for g in gradients if g is not None]).item())

    def stepped(*args: Any) -> None:
        step(*args)
        means.append(path_length.mean.item())

    monkeypatch.setattr(module, "_complete_gradient", completed)
    monkeypatch.setattr(module, "training_step", stepped)
    images: Any = list(tensors["images_uint8"])
    trainer = Trainer(
        accelerator="cpu", max_steps=len(images), logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(module, DataLoader(images, batch_size=None))
    assert trainer.global_step == module.iteration == len(meta["rows"])
    gradients = [
        row[f"{p}_gradnorm"] for row in meta["rows"] for p in PHASES if f"{p}_gradnorm" in row
    ]
    expected = gradients + [row["pl_mean"] for row in meta["rows"]]
    differences = {
        str(index): abs(got - value) / value
        for index, (got, value) in enumerate(zip(norms + means, expected, strict=True))
    }
    for prefix, player in (("G.", "generator"), ("GE.", "generator_ema"), ("D.", "discriminator")):
        network = module.get_submodule(player)
        state = network.state_dict()
        finals = part(tensors, f"final_norm.{prefix}")
        assert len(finals) == len(state)
        for name, norm in finals.items():
            tensor = state[renamed(network, name)].flatten()
            entries = tensor[tensors[f"final_index.{prefix}{name}"].long()]
            differences[f"norm of {prefix}{name}"] = relative(tensor.norm(), norm)
            differences[prefix + name] = relative(
                entries, tensors[f"final_value.{prefix}{name}"], floor=1e-3 * norm.item()
            )
    check(differences, 1e-7, record_property)
