"""Program a classifier with the delta rule, as in Figure 1 of the paper.

``python examples/few_shot.py`` needs no data and a few minutes of one CPU core.

A *task* is five characters that were never seen before, five drawings of each. A slow net reads
them one (drawing, label) pair after the other, and for each it orders a key, a value and a rate.
The delta rule, which elsewhere in this package paints images, turns the orders into rank-1 updates
of a matrix W, and W is a classifier: its row c, multiplied by the query of a new drawing, says how
much that looks like class c. A task is learnt in 25 updates, without a gradient. Gradients teach
the slow net, over thousands of other tasks, what to order.

Source: Irie & Schmidhuber 2023, Figure 1 and Eq. 1 to 3; here with one layer and one head, keys of
length 1 instead of a softmax, and the key of a drawing without label as its query.
"""

import argparse
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageOps
from torch import Tensor, nn

from fpainter.ops.closed_form import delta_rule, sum_rule
from fpainter.ops.rank_one import canvases
from fpainter.pictures.curves import blank
from fpainter.pictures.grids import beside, grid, labelled, margin, stack
from fpainter.pictures.strips import signed

RULES = {"delta": delta_rule, "sum": sum_rule}
WAYS, SHOTS, QUERIES = 5, 5, 3  # classes of a task; drawings of each to learn from and to ask about
STEPS = range(WAYS * SHOTS + 1)  # W_0 is empty, each pair is a step
DRAWINGS = 16  # of each character
SIDE, FINE = 30, 2  # pixels of a drawing; drawn at twice the size, for Pillow's lines are jagged
D_FEATURES, D_KEY = 128, 30
SHARPNESS = 10  # of the answers: keys and queries have length 1
TRAINING_CLASSES, TEST_CLASSES, TEST_TASKS = 1500, 300, 500


def draw_characters(num_classes: int, seed: int) -> Tensor:
    """Draw random characters: two to four bent strokes, by a hand that is never the same twice.

    Returns:
        Ink of 0 to 1, [classes DRAWINGS 1 SIDE SIDE].
    """
    random = np.random.default_rng(seed)
    share = np.linspace(0, 1, 12)[:, None]  # of the way along a stroke
    bend = np.hstack([(1 - share) ** 2, 2 * share * (1 - share), share**2])
    drawings = []
    for _ in range(num_classes):
        strokes = random.uniform(-0.45, 0.45, (random.integers(2, 5), 3, 2))  # from, over, to
        for _ in range(DRAWINGS):
            shaken = strokes + random.normal(0, 0.03, strokes.shape)
            slanted = shaken @ random.normal(0.75 * np.eye(2), 0.18)
            placed = 0.5 + slanted + random.normal(0, 0.06, 2)
            sheet = Image.new("L", (FINE * SIDE, FINE * SIDE))
            for curve in FINE * SIDE * (bend @ placed):
                points = [(float(x), float(y)) for x, y in curve]
                ImageDraw.Draw(sheet).line(points, fill=255, width=2 * FINE, joint="curve")
            drawings.append(np.asarray(sheet.reduce(FINE)))
    ink = torch.from_numpy(np.stack(drawings)) / 255
    return ink.view(num_classes, DRAWINGS, 1, SIDE, SIDE)


class Tasks(NamedTuple):
    """B tasks: T pairs to learn from, each class once in every WAYS of them, and Q queries."""

    images: Tensor  # [B T 1 SIDE SIDE]
    labels: Tensor  # [B T]
    query_images: Tensor  # [B Q 1 SIDE SIDE]
    query_labels: Tensor  # [B Q]


def draw_tasks(characters: Tensor, num_tasks: int) -> Tasks:
    """Choose the characters of each task, which get the labels 0 to WAYS - 1, and drawings."""
    classes = torch.rand(num_tasks, len(characters)).topk(WAYS).indices
    chosen = torch.rand(num_tasks, WAYS, DRAWINGS).topk(SHOTS + QUERIES).indices
    images = characters[classes[..., None], chosen]  # [B WAYS SHOTS+QUERIES 1 SIDE SIDE]
    labels = torch.rand(num_tasks, SHOTS, WAYS).argsort()  # the order in each round
    task, shot = torch.arange(num_tasks)[:, None, None], torch.arange(SHOTS)[:, None]
    query_labels = torch.arange(WAYS).repeat_interleave(QUERIES).expand(num_tasks, -1)
    pairs = images[task, labels, shot].flatten(1, 2), labels.flatten(1)
    return Tasks(*pairs, images[:, :, SHOTS:].flatten(1, 2), query_labels)


class FewShot(nn.Module):
    """A slow net that programs the fast weights W of a classifier.

    Args:
        rule: one of `RULES`.
    """

    def __init__(self, rule: str = "delta") -> None:
        super().__init__()
        self.rule = RULES[rule]
        layers: list[nn.Module] = []
        for narrow, wide in (1, 16), (16, 32), (32, 64):  # 15×15, 8×8, 4×4
            layers += [nn.Conv2d(narrow, wide, 3, 2, 1), nn.BatchNorm2d(wide), nn.ReLU()]
        layers += [nn.Flatten(), nn.Linear(64 * 4 * 4, D_FEATURES), nn.BatchNorm1d(D_FEATURES)]
        self.eye = nn.Sequential(*layers)
        self.slow = nn.Linear(D_FEATURES + WAYS, D_KEY + WAYS + 1)

    def orders(self, images: Tensor, told: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return key [B T D_KEY], value [B T WAYS] and rate [B T 1] (Eq. 1).

        Args:
            images: [B T 1 SIDE SIDE].
            told: the label as a row of zeros with a one [B T WAYS]; all zeros ask for it.
        """
        features = self.eye(images.flatten(0, 1)).unflatten(0, images.shape[:2])
        orders = self.slow(torch.cat([features, told], dim=-1))
        key, value, rate = orders.split([D_KEY, WAYS, 1], dim=-1)
        return F.normalize(key, dim=-1), value, rate.sigmoid()

    def program(self, tasks: Tasks) -> tuple[Tensor, Tensor]:
        """Return the factors of all updates of W: u [B 1 T WAYS] and p [B 1 T D_KEY] (Eq. 2)."""
        orders = self.orders(tasks.images, F.one_hot(tasks.labels, WAYS).float())
        return self.rule(*(part.unsqueeze(1) for part in orders))  # one matrix is one channel

    def forward(self, tasks: Tasks) -> Tensor:
        """Return what W_0, ..., W_T answer to every query, logits [B 1+T Q WAYS] (Eq. 3)."""
        weights = canvases(*self.program(tasks), steps=STEPS)[:, :, 0]  # [B 1+T WAYS D_KEY]
        query, _, _ = self.orders(tasks.query_images, torch.zeros(*tasks.query_labels.shape, WAYS))
        return SHARPNESS * query[:, None] @ weights.mT


def train(net: FewShot, characters: Tensor, iterations: int, num_tasks: int = 8) -> None:
    """Teach the slow net to program: W has to answer well after every round of pairs."""
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, iterations)
    for iteration in range(1, iterations + 1):
        tasks = draw_tasks(characters, num_tasks)
        logits = net(tasks)[:, WAYS::WAYS]  # [B SHOTS Q WAYS]
        wanted = tasks.query_labels[:, None].expand(logits.shape[:-1])
        loss = F.cross_entropy(logits.flatten(0, 2), wanted.flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if iteration % 100 == 0:
            print(f"iteration {iteration:5}  loss {loss.item():.3f}", flush=True)


@torch.no_grad()
def accuracy(net: FewShot, tasks: Tasks) -> Tensor:
    """Return the share of queries that W_0, ..., W_T answer rightly, [1+T]."""
    right = net.eval()(tasks).argmax(dim=-1) == tasks.query_labels[:, None]
    return right.float().mean(dim=(0, 2))


def nearest_mean(tasks: Tasks) -> list[float]:
    """Return the accuracy of choosing the class whose mean picture is nearest, after each round."""
    told = F.one_hot(tasks.labels, WAYS).float()
    images, queries = tasks.images.flatten(2), tasks.query_images.flatten(2)
    means = [told[:, :n].mT @ images[:, :n] / (n // WAYS) for n in STEPS[WAYS::WAYS]]
    nearest = [torch.cdist(queries, mean).argmin(dim=-1) for mean in means]
    return [float((each == tasks.query_labels).float().mean()) for each in nearest]


@torch.no_grad()
def draw_strip(net: FewShot, tasks: Tasks, path: Path) -> None:
    """Draw how the first task is learnt: each pair, its update, W after it, and W's answers."""
    one = Tasks(*(part[:1] for part in tasks))
    weights = canvases(*net.eval().program(one), steps=STEPS)  # [1 1+T 1 WAYS D_KEY]
    updates = weights.diff(dim=1, prepend=weights[:, :1])
    answers = net(one)[0, :, ::QUERIES].softmax(dim=-1).mT  # [1+T WAYS WAYS], a row for each class
    seen = F.pad(one.images[0], (0, 0, 0, 0, 0, 0, 1, 0))  # nothing before W_0
    rows = shades(seen), signed(updates)[0], signed(weights)[0], shades(answers[:, None])
    tiles, names = torch.stack([framed(row) for row in rows]), ["pair", "update", "W", "answers"]
    letters = ["0", *(f"{t} {'abcde'[label]}" for t, label in enumerate(one.labels[0], start=1))]
    half = len(STEPS) // 2
    asked = framed(shades(one.query_images[0, ::QUERIES]))
    empty = asked.new_full((half - WAYS, *asked.shape[1:]), 255)
    lines = [
        line(tiles[:, :half], names, letters[:half]),
        line(tiles[:, half:], names, letters[half:]),
        line(torch.cat([asked, empty])[None], ["queries"], [*"abcde", *[""] * len(empty)]),
    ]
    width = max(each.width for each in lines)
    lines = [ImageOps.expand(each, (width - each.width, 0, 0, 0), "white") for each in lines]
    stack(lines).save(path, optimize=True)


def line(tiles: Tensor, names: list[str], letters: list[str]) -> Image.Image:
    """Draw rows of tiles [R S 3 H W] with their names, and letters below."""
    picture = grid(tiles.flatten(0, 1), columns=len(letters), scale=2)
    return beside([labelled(margin(names, picture), [""]), labelled(picture, letters)])


def framed(tiles: Tensor) -> Tensor:
    """Enlarge bytes [S 3 H W] to a drawing's size and put grey lines around them."""
    return F.pad(F.interpolate(tiles, (SIDE, SIDE)), (1, 1, 1, 1), value=200)


def shades(share: Tensor) -> Tensor:
    """Return bytes [N 3 H W] of shares of ink [N 1 H W]."""
    return (255 - 255 * share).round().byte().expand(-1, 3, -1, -1)


def draw_accuracy(programmed: Tensor, nearest: list[float], path: Path) -> None:
    """Draw the accuracy on held-out characters after every pair."""
    labels = {"xlabel": "pairs read", "ylabel": "accuracy", "ylim": (0, 1)}
    figure, (axes,) = blank(1, 1, (6, 3.2), **labels)
    axes.plot(STEPS, programmed, ".-", color="#2860a8", label="fast weights $W_t$")
    axes.plot(STEPS[WAYS::WAYS], nearest, "s", color="#b2182b", label="nearest mean of pixels")
    axes.axhline(1 / WAYS, color="0.5", linestyle="--", label="chance")
    axes.legend(frameon=False, loc="lower right")
    axes.grid(alpha=0.25)
    figure.savefig(path, dpi=100)


def main() -> None:
    """Train, print a table of accuracies on characters never seen in training, draw pictures."""
    parser = argparse.ArgumentParser(description="Few-shot learning with the delta rule.")
    parser.add_argument("--rule", choices=RULES, default="delta")
    parser.add_argument("--iterations", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("outputs/few_shot"))
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    net = FewShot(options.rule)
    begun = time.process_time()
    train(net, draw_characters(TRAINING_CLASSES, seed=2 * options.seed), options.iterations)
    print(f"{(time.process_time() - begun) / 60:.1f} minutes of CPU time")
    tasks = draw_tasks(draw_characters(TEST_CLASSES, seed=2 * options.seed + 1), TEST_TASKS)
    programmed, nearest = accuracy(net, tasks), nearest_mean(tasks)
    print(f"| shots | fast weights, {options.rule} rule | nearest mean of pixels | chance |")
    print("|---|---|---|---|")
    after_rounds = zip(programmed[WAYS::WAYS].tolist(), nearest, strict=True)
    for shots, (ours, pixels) in enumerate(after_rounds, start=1):
        print(f"| {shots} | {ours:.1%} | {pixels:.1%} | {1 / WAYS:.0%} |")
    options.output.mkdir(parents=True, exist_ok=True)
    draw_strip(net, tasks, options.output / "few_shot.png")
    draw_accuracy(programmed, nearest, options.output / "few_shot_accuracy.png")
    print(f"pictures are in {options.output}")


if __name__ == "__main__":
    main()
