"""What ``experiment=auto`` chooses, by hand from what was measured."""

from typing import Any

from fpainter.data.looks import Looks
from fpainter.data.ratios import CommonRatio
from fpainter.launch.chosen_settings import Settings, gamma_for, iterations_for
from fpainter.launch.machine import Machine, machine

LAPTOP = Machine("the CPU", False, 8, 16.0)
SMALL = Machine("the CPU", False, 2, 16.0)
TINY = Machine("the CPU", False, 2, 1.0)
GPU = Machine("NVIDIA H100", True, 16, 85.0)


def looks(num: int, side: int = 512, **others: Any) -> Looks:
    values: dict[str, Any] = {"ratio": CommonRatio(1.0, 1.0, 50), "grey": 0.0, "transparent": 0.0}
    return Looks(num_images=num, decoded=50, side=side, **values | others)


def chosen(seen: Looks | None, here: Machine, **given: Any) -> dict[str, Any]:
    settings = Settings(seen, here, {key.replace("__", "."): v for key, v in given.items()})
    assert all(choice.reason for choice in settings.choices)
    return {choice.key: choice.value for choice in settings.choices}


def test_five_thousand_images_get_what_was_measured() -> None:
    found = chosen(looks(5_000), LAPTOP)
    assert found["experiment"] == "small64"
    assert found["image_size"] == 64
    assert found["model.discriminator.widths"] == [24, 48, 96, 192]
    assert found["model.regulariser.gamma"] == 0.1
    assert (found["batch_size"], found["num_iterations"]) == (32, 24_000)
    found = chosen(looks(5_000), SMALL)
    assert found["experiment"] == "small"
    assert found["image_size"] == 32
    assert found["model.discriminator.widths"] == [48, 96, 192]
    assert found["model.regulariser.gamma"] == 0.02
    assert found["fid.every"] == 4_000


def test_few_images_are_augmented_and_trained_for_less_long() -> None:
    found = chosen(looks(200), SMALL)
    assert found["model/augment"] == "adaptive"
    assert found["num_iterations"] == 4_800  # 24,000 √(200 / 5,000)
    assert found["fid.num_images"] == 1_000
    assert chosen(looks(1), SMALL)["num_iterations"] == 3_000


def test_a_gpu_and_many_images_take_the_larger_painter() -> None:
    found = chosen(looks(100_000), GPU)
    assert found["experiment"] == "quality64"
    assert found["batch_size"] == 64
    assert found["model.regulariser.gamma"] == 0.05
    assert found["num_iterations"] == 110_000
    assert chosen(looks(5_000), GPU)["experiment"] == "small64"
    assert chosen(looks(100_000), LAPTOP)["num_iterations"] == 48_000


def test_shapes_and_colours_are_those_of_the_images() -> None:
    grey = looks(900, grey=1.0, ratio=CommonRatio(0.75, 0.9, 50))
    found = chosen(grey, SMALL)
    assert found["image_size"] == [24, 32]
    assert found["data.channels"] == 1
    assert found["model.generator.num_steps"] == 24
    assert found["model.discriminator.widths"] == [48, 96, 192]  # 24 halves thrice
    mixed = looks(900, ratio=CommonRatio(0.75, 0.4, 50), transparent=0.6)
    found = chosen(mixed, SMALL)
    assert (found["image_size"], found["data.channels"]) == (32, 4)
    assert chosen(looks(900, side=28), LAPTOP)["image_size"] == 32
    assert chosen(looks(900, side=16), LAPTOP)["image_size"] == 16


def test_a_stream_is_not_looked_through() -> None:
    found = chosen(None, LAPTOP)
    assert (found["image_size"], found["data.channels"]) == (64, 3)
    assert found["num_iterations"] == 48_000


def test_little_memory_makes_small_batches() -> None:
    found = chosen(looks(5_000), TINY)
    assert found["batch_size"] == 16
    assert found["model.regulariser.gamma"] == 0.04


def test_what_is_given_is_kept_and_followed() -> None:
    found = chosen(looks(5_000), SMALL, image_size=64, batch_size=16, num_iterations=3)
    assert not {"image_size", "batch_size", "num_iterations"} & found.keys()
    assert found["experiment"] == "small64"
    assert found["model.regulariser.gamma"] == 0.2
    assert found["fid.every"] == 100


def test_the_penalty_goes_through_both_measured_points() -> None:
    assert (gamma_for(32 * 32, 32), gamma_for(64 * 64, 32)) == (0.02, 0.1)
    assert gamma_for(128 * 128, 32) == 0.5


def test_iterations_grow_with_the_root() -> None:
    assert iterations_for(5_000, gpu=False) == 24_000
    assert iterations_for(1_250, gpu=False) == 12_000
    assert iterations_for(20_000, gpu=False) == 48_000


def test_this_machine_has_threads_and_memory() -> None:
    here = machine("cpu")
    assert not here.is_gpu
    assert here.threads >= 1
    assert here.memory is None or here.memory > 0.1
