"""Every option of every group composes, and what it describes can be built."""

import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import hydra
import pytest
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, open_dict
from PIL import Image

from fpainter.launch.configs import CONFIG_DIR
from fpainter.launch.resolvers import register
from fpainter.training.precision import pick_precision
from tests.data.test_formats import country211

Compose = Callable[..., DictConfig]
TINY = ["image_size=16", "batch_size=4", "trainer=cpu", "model.generator.d_latent=6"]
TINY_PAINTER = [*TINY, "model.generator.num_steps=3", "model.generator.d_hidden=8"]
BASELINES = [
    "base", "gan", "gansformer_duplex", "gansformer_simplex", "kgan", "sagan", "stylegan2",
    "stylegan2_cifar", "stylegan2_paper256",
]  # fmt: skip
TINY_LATENTS = {  # of models with several
    "kgan": ["model.generator.mapping.num_global=3"],
    "gansformer": ["model.generator.mapping.num_local=2", "model.generator.mapping.d_w=2"],
}
FOLDERS = {"folder", "celeba", "lsun_church", "metfaces", "afhq_cat", "afhq_dog", "afhq_wild"}


def options(group: str) -> list[str]:
    paths = (CONFIG_DIR / group).rglob("*.yaml")
    names = (path.relative_to(CONFIG_DIR / group).with_suffix("") for path in paths)
    return sorted(str(name) for name in names if not name.name.startswith("_"))


def direct_options(group: str) -> list[str]:
    return [name for name in options(group) if "/" not in name]


@pytest.fixture
def compose(tmp_path: Path) -> Iterator[Compose]:
    register()
    with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):

        def build(*overrides: str, config_name: str = "train") -> DictConfig:
            config = hydra.compose(config_name, list(overrides), return_hydra_config=True)
            with open_dict(config):
                config.hydra.runtime.output_dir = str(tmp_path)
            HydraConfig.instance().set_config(config)
            return config

        yield build
    HydraConfig.instance().cfg = None


@pytest.mark.parametrize("name", direct_options("model"))
def test_models(name: str, compose: Compose) -> None:
    tiny = TINY if name in BASELINES else TINY_PAINTER
    latents = TINY_LATENTS.get(name.split("_")[0], [])
    module = instantiate(compose(f"model={name}", *tiny, *latents).model)
    images = module.generator.fakes(torch.randn(2, 6)).images
    assert images.shape == (2, 3, 16, 16)
    judgement = module.discriminator(images)
    assert all(len(head) == 2 for head in judgement.logits)
    module.configure_optimizers()


@pytest.mark.parametrize("discriminator", ["convolutional", "lightgan"])
@pytest.mark.parametrize("name", ["sagan", "stylegan2_cifar"])
def test_baselines_take_other_discriminators(
    name: str, discriminator: str, compose: Compose
) -> None:
    config = compose(f"model={name}", f"model/discriminator={discriminator}", *TINY)
    module = instantiate(config.model)
    assert len(module.discriminator(module.generator(torch.randn(2, 6))).logits[0]) == 2


@pytest.mark.parametrize(
    ("group", "name"),
    [
        (group.name, name)
        for group in sorted((CONFIG_DIR / "model").iterdir())
        if group.is_dir()
        for name in direct_options(f"model/{group.name}")
    ],
)
def test_parts_of_models(group: str, name: str, compose: Compose) -> None:
    own = "fpainter.generators.learning_rules.SumRule"
    needed = {
        "custom": [f"model.generator.learning_rule._target_={own}"],
        "sizes": ["model/discriminator=convolutional", "model.discriminator.skips=1"],
    }
    config = compose(f"model/{group}={name}", *TINY_PAINTER, *needed.get(name, []))
    with torch.device("meta"):
        instantiate(config.model)
    assert instantiate(config.model.generator)(torch.randn(2, 6)).shape == (2, 3, 16, 16)


@pytest.mark.parametrize("processor", direct_options("model/sequence_processor"))
@pytest.mark.parametrize("name", [n for n in direct_options("model") if n not in BASELINES])
def test_processors_can_be_exchanged(name: str, processor: str, compose: Compose) -> None:
    config = compose(f"model={name}", f"model/sequence_processor={processor}", *TINY_PAINTER)
    assert instantiate(config.model.generator)(torch.randn(2, 6)).shape == (2, 3, 16, 16)


@pytest.mark.parametrize("name", [n for n in direct_options("model") if n.endswith("_unet")])
def test_unet_painters_have_all_options(name: str, compose: Compose) -> None:
    """Among them those that the released code refuses or ignores for painters with a U-Net."""
    config = compose(
        f"model={name}", *TINY_PAINTER, "model/canvas=learned", "model.generator.head.d_wide=5",
        "model.generator.head.rate=row", "model.generator.head.value_activation=tanh",
        "model.generator.input_generator.step_embedding=true",
        "model.generator.supervision.num_canvases=3", "model.generator.supervision.match_refined=1",
        "model.generator_optimiser.lr_of={refiner: 1e-5}",
        "model.clip={generator.sequence_processor: 0.1}", "model/augment=diff",
    )  # fmt: skip
    module = instantiate(config.model)
    images, loss = module.generator.fakes(torch.randn(2, 6))
    assert images.shape == (6, 3, 16, 16)
    assert loss > 0
    rates = [group["lr"] for group in module.configure_optimizers()[0].param_groups]
    assert rates == [2e-4, 1e-5]


@pytest.mark.parametrize("name", direct_options("stage"))
def test_stages(name: str, compose: Compose) -> None:
    module = instantiate(compose(f"stage={name}", *TINY_PAINTER).model)
    trained = {n.split(".")[0] for n, p in module.generator.named_parameters() if p.requires_grad}
    assert trained == {"refiner"}


@pytest.mark.parametrize("name", direct_options("data"))
def test_data(name: str, compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    overrides = [f"data={name}", *TINY]
    if name in FOLDERS:
        (tmp_path / "images").mkdir()
        Image.new("RGB", (20, 30), (1, 2, 3)).save(tmp_path / "images" / "a.PNG")
        overrides.append(f"data.dir={tmp_path / 'images'}")
    elif name in ("webdataset", "hf"):
        image = tmp_path / "in" / "a.png"
        image.parent.mkdir()
        Image.new("RGB", (20, 30), (1, 2, 3)).save(image)
        if name == "hf":
            config = pytest.importorskip("datasets").config
            monkeypatch.setattr(config, "HF_DATASETS_CACHE", str(tmp_path))
            overrides.append(f"data.path={image.parent}")
        else:
            with tarfile.open(tmp_path / "a.tar", "w") as tar:
                tar.add(image)
            overrides.append(f"data.shards={tmp_path}")
    elif name == "torchvision":
        country211(tmp_path)
        overrides += ["data.name=Country211", f"data.dir={tmp_path}"]
    else:
        overrides.append("data.num_images=4")
    data = instantiate(compose(*overrides).data)
    assert next(iter(data.train_dataloader())).shape == (4, 3, 16, 16)


@pytest.mark.parametrize("name", direct_options("trainer"))
def test_trainers(name: str, compose: Compose) -> None:
    config = compose(f"trainer={name}", "num_iterations=7").trainer
    if name == "slurm" or (config.accelerator == "gpu" and not torch.cuda.is_available()):
        assert config.max_steps == 7
        return
    assert instantiate(config, logger=False).max_steps == 7


@pytest.mark.parametrize("name", direct_options("fid"))
def test_fid(name: str, compose: Compose) -> None:
    callback = instantiate(compose(f"fid={name}", "fid.every=3").fid)
    assert callback.every == (0 if name == "off" else 3)


def test_callbacks(compose: Compose) -> None:
    config = compose(*TINY_PAINTER)
    assert all(instantiate(callback) for callback in config.callbacks.values())
    assert instantiate(config.checkpoints).last.name == "last.ckpt"


@pytest.mark.parametrize("name", direct_options("logger"))
def test_loggers(name: str, compose: Compose) -> None:
    for logger, config in (compose(f"logger={name}").logger or {}).items():
        if logger == "wandb":  # not a dependency of the tests
            assert config._target_ == "lightning.pytorch.loggers.WandbLogger"
        else:
            instantiate(config)


@pytest.mark.parametrize("name", direct_options("debug"))
def test_debug(name: str, compose: Compose) -> None:
    assert instantiate(compose(f"debug={name}").model)


@pytest.mark.parametrize("name", options("experiment"))
def test_experiments(name: str, compose: Compose) -> None:
    config = compose(f"experiment={name}")
    first = [
        line
        for line in (CONFIG_DIR / f"experiment/{name}.yaml").read_text().splitlines()
        if line.startswith("# python")
    ]
    assert first[0].startswith(f"# python -m fpainter.train experiment={name}")
    assert all(instantiate(callback) for callback in config.callbacks.values())
    precision = pick_precision(config.trainer.precision)
    trainer = instantiate(config.trainer, precision=precision, logger=False)
    assert trainer.max_steps == config.num_iterations
    OmegaConf.to_container(config.data, resolve=True)
    with torch.device("meta"):
        instantiate(config.model)


def test_eval_takes_everything_from_the_checkpoint_unless_told(compose: Compose) -> None:
    config = compose("ckpt=x", "fid.protocol=paper", config_name="eval")
    given = {key for key, value in config.fid.items() if value is not None}
    assert given == {"protocol"}
    assert set(config.fid) <= set(compose().fid)
    assert config.data == {"dir": None}


def count(module: torch.nn.Module) -> float:
    return round(sum(p.numel() for p in module.parameters()) / 1e6, 2)


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("celeba", 13.59),
        ("metfaces", 219.8),
        ("afhq_cat", 5.78),
        ("afhq_dog", 13.65),
        ("afhq_wild", 5.39),
        ("lsun_church", 16.68),
    ],
)
def test_table3(name: str, millions: float, compose: Compose) -> None:
    """The paper's six painters have the paper's parameter counts (appendix B.2, Table 3)."""
    config = compose(f"experiment=paper/{name}")
    with torch.device("meta"):
        generator = instantiate(config.model.generator)
        discriminator = instantiate(config.model.discriminator)
    assert count(generator) == pytest.approx(millions, abs=0.05 if millions > 100 else 0.005)
    assert count(discriminator) == 12.33
    assert config.image_size == 64
    assert config.batch_size == 20
    assert config.fid.protocol == "paper"


def test_stylegan2_has_the_published_size(compose: Compose) -> None:
    config = compose("model=stylegan2_paper256", "image_size=256")
    with torch.device("meta"):
        players = instantiate(config.model.generator), instantiate(config.model.discriminator)
    sizes = [sum(p.numel() for p in player.parameters()) for player in players]
    assert sizes == [24_767_458, 24_001_089]


@pytest.mark.parametrize(
    ("size", "devices", "expected"),
    [  # batch, images compared, gamma, rate, thousands of images, iterations
        ("32", "1", (32, 4, 0.0064, 0.0025, 10.0, 781_250)),
        ("256", "1", (16, 4, 0.8192, 0.0025, 5.0, 1_562_500)),
        ("256", "8", (64, 4, 0.2048, 0.0025, 20.0, 390_625)),
        ("1024", "8", (32, 4, 6.5536, 0.002, 10.0, 781_250)),
        ("1024", "auto", (4, 4, 52.4288, 0.002, 1.25, 6_250_000)),
        ("[64,128]", "100", (100, 1, 0.016384, 0.0025, 31.25, 250_000)),
    ],
)
def test_stylegan2_settles_what_the_reference_settles(
    size: str, devices: str, expected: tuple[float, ...], compose: Compose
) -> None:
    """By hand from the rules of the reference's ``cfg=auto``."""
    config = compose(
        "experiment=stylegan2/auto", f"image_size={size}", f"trainer.devices={devices}"
    )
    model = config.model
    got = (
        config.batch_size, model.discriminator.group_size, model.regulariser.gamma,
        model.generator_optimiser.lr, model.ema.thousands, config.num_iterations,
    )  # fmt: skip
    assert got == pytest.approx(expected)
    assert model.discriminator_optimiser.lr == model.generator_optimiser.lr
    assert list(model.generator_optimiser.betas) == [0.0, 0.99]
    assert model.ema.batch_size == config.batch_size
    assert model.generator.mapping.num_layers == 2
    names = ["generator", "path_length", "discriminator", "penalty"]
    assert list(model.phases) == names
    assert (model.regulariser.every, model.phases.path_length.every) == (16, 4)


def test_models_can_be_trained_in_either_order(compose: Compose) -> None:
    tiny = ["image_size=16", "model.generator.d_latent=8", "model.generator.mapping.d_w=8"]
    module = instantiate(compose("model=stylegan2", "model/phases=joint", *tiny).model)
    assert list(module.phases) == ["discriminator", "generator"]
    module = instantiate(compose("model/phases=lazy", "model/regulariser=r1", *TINY_PAINTER).model)
    rates = [optimiser.param_groups[0]["lr"] for optimiser in module.configure_optimizers()]
    assert rates == pytest.approx([2e-4 * 4 / 5, 2e-4 * 4 / 5])
    module = instantiate(compose("model/phases=seeking", *TINY_PAINTER).model)
    assert module.phases["generator"].diversity.weight == 0.1
    module = instantiate(compose("model/phases=seeking_more", *TINY_PAINTER).model)
    assert module.phases["generator"].diversity.weight == 1.0
    module = instantiate(compose("experiment=small64", "model/phases=sizes", *TINY_PAINTER).model)
    assert module.phases["generator"].phase.diversity.weight == 0.1
    module = instantiate(compose("experiment=stylegan2/cifar").model)
    assert list(module.phases) == ["generator", "discriminator", "penalty"]
    rates = [optimiser.param_groups[0]["lr"] for optimiser in module.configure_optimizers()]
    assert rates == pytest.approx([0.0025 * 4 / 5, 0.0025 * 16 / 17])


@pytest.mark.parametrize("name", options("sweep"))
def test_sweeps(name: str, compose: Compose) -> None:
    """A sweep only says which jobs there are, and each of them composes and can be built."""
    config = compose(f"+sweep={name}")
    lines = (CONFIG_DIR / f"sweep/{name}.yaml").read_text().splitlines()
    assert lines[0] == "# @package _global_"
    assert lines[1].startswith(f"# python -m fpainter.train +sweep={name}")
    assert config.hydra.mode.name == "MULTIRUN"
    ((key, values),) = config.hydra.sweeper.params.items()
    for value in values.replace(" ", "").split(","):
        job = compose(f"{key}={value}")
        with torch.device("meta"):  # the largest painter takes a gigabyte
            module = instantiate(job.model)
        assert module.generator.d_latent == job.model.generator.d_latent
    without = OmegaConf.to_container(compose())
    assert isinstance(without, dict)
    with_it = OmegaConf.to_container(config)
    assert isinstance(with_it, dict)
    del with_it["hydra"], without["hydra"]
    assert with_it == without


def test_the_sweep_of_learning_rules_has_all(compose: Compose) -> None:
    """All but rules from elsewhere, rules as the released code has them, and a step size."""
    swept = compose("+sweep=learning_rules").hydra.sweeper.params["model/learning_rule"]
    all_rules = {n for n in direct_options("model/learning_rule") if "released" not in n}
    assert {*swept.replace(" ", "").split(",")} == all_rules - {"custom", "delta_exact"}
