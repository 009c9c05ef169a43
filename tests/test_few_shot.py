"""examples/few_shot.py: its weights are the delta rule's, and it learns to learn."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from fpainter.launch.configs import CONFIG_DIR
from fpainter.ops import naive
from fpainter.ops.rank_one import image


@pytest.fixture(scope="module")
def example() -> ModuleType:
    path = CONFIG_DIR.parent / "examples" / "few_shot.py"
    spec = importlib.util.spec_from_file_location("few_shot", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_drawings_belong_to_their_seed_and_differ(example: ModuleType) -> None:
    characters = example.draw_characters(3, seed=1)
    assert torch.equal(characters, example.draw_characters(3, seed=1))
    assert characters.shape == (3, example.DRAWINGS, 1, example.SIDE, example.SIDE)
    assert characters.min() == 0
    assert characters.max() == 1
    flat = characters.flatten(0, 1).flatten(1)
    assert len(flat.unique(dim=0)) == len(flat)


def test_a_task_has_every_class_once_in_each_round_and_asks_about_other_drawings(
    example: ModuleType,
) -> None:
    ways, drawings = example.WAYS, example.DRAWINGS
    numbers = torch.arange(7.0 * drawings).view(7, drawings, 1, 1, 1)  # a drawing is its number
    tasks = example.draw_tasks(numbers, 6)
    rounds = tasks.labels.view(6, example.SHOTS, ways)
    assert torch.equal(rounds.sort().values, torch.arange(ways).expand_as(rounds))
    for pairs, labels, queries, asked in zip(*tasks, strict=True):
        numbers = torch.cat([pairs, queries]).flatten()
        assert len(numbers.unique()) == len(numbers)
        together = torch.stack([torch.cat([labels, asked]), numbers // drawings], dim=1)
        assert len(together.unique(dim=0)) == ways == len(together[:, 1].unique())


def test_fast_weights_are_those_of_the_loop(example: ModuleType) -> None:
    net = example.FewShot().double()
    tasks = example.draw_tasks(example.draw_characters(6, seed=0).double(), 2)
    key, value, rate = net.orders(
        tasks.images, F.one_hot(tasks.labels, example.WAYS).to(torch.float64)
    )
    rows, cols = naive.delta_rule(key[:, None], value[:, None], rate[:, None])
    torch.testing.assert_close(image(*net.program(tasks)), image(rows, cols))
    query, _, _ = net.orders(tasks.query_images, tasks.images.new_zeros(2, 15, example.WAYS))
    last = example.SHARPNESS * query @ image(rows, cols)[:, 0].mT
    torch.testing.assert_close(net(tasks)[:, -1], last)


def test_nearest_mean_of_pictures_that_are_their_class(example: ModuleType) -> None:
    characters = torch.eye(9).view(9, 1, 1, 3, 3).expand(-1, example.DRAWINGS, -1, -1, -1)
    assert example.nearest_mean(example.draw_tasks(characters, 4)) == [1.0] * example.SHOTS


def test_it_learns_to_learn_characters_never_seen(example: ModuleType) -> None:
    net = example.FewShot()
    example.train(net, example.draw_characters(200, seed=0), iterations=120, num_tasks=4)
    tasks = example.draw_tasks(example.draw_characters(40, seed=1), 50)
    found = example.accuracy(net, tasks)
    assert found[0] == pytest.approx(1 / example.WAYS)  # W_0 is empty
    assert found[-1] > 0.35
    assert found[-1] > found[example.WAYS // 2] + 0.05


@pytest.mark.parametrize("rule", ["delta", "sum"])
def test_command_prints_a_table_and_draws(
    example: ModuleType,
    rule: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("TRAINING_CLASSES", "TEST_CLASSES", "TEST_TASKS"):
        monkeypatch.setattr(example, name, 6)
    options = ["--rule", rule, "--iterations", "1", "--output", str(tmp_path / "new")]
    monkeypatch.setattr(sys, "argv", ["few_shot.py", *options])
    example.main()
    assert capsys.readouterr().out.count("% |") == 3 * example.SHOTS
    with Image.open(tmp_path / "new" / "few_shot.png") as strip:
        assert strip.width > strip.height
    assert (tmp_path / "new" / "few_shot_accuracy.png").is_file()
