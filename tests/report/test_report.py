"""The report of a folder of runs: right numbers, well-formed, nothing from outside."""

import csv
import json
import re
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from PIL import Image

from fpainter.report.data import collect
from fpainter.report.figures import Line, curves, plot, step_plots
from fpainter.report.markdown import score_table as scores_as_markdown
from fpainter.report.page import html, markdown
from fpainter.report.rules import by_rule, rule_plots, rule_strips, rule_table
from fpainter.report.tables import ABSENT, Table, compare, score_table

NOW = datetime(2026, 1, 2, 3, 4)
VOID = {"meta", "br", "img", "wbr"}
CONFIG = {
    "image_size": 32,
    "num_iterations": 200,
    "model": {"generator": {"num_steps": 8, "learning_rule": {"_target_": "rules.DeltaRule"}}},
    "data": {"_target_": "data.from_folder", "dir": "/images/cats.zip"},
    "fid": {"protocol": "png", "num_images": 1000},
    "checkpoints": {"directory": "/anywhere"},
}
METRICS = "iteration,loss/generator,seconds,fid\n100,0.5,0.25,80.5532\n200,0.4,0.75,91.25\n"


class Page(HTMLParser):
    """Checks nesting while it reads; keeps references, tables, text and pictures' alternatives."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str] = []
        self.alts: list[str | None] = []
        self.tables: list[list[list[str]]] = []
        self.tags: set[str] = set()
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        given = dict(attrs)
        kinds = ("src", "href", "xlink:href", "srcset", "data")
        self.references += [given[k] or "" for k in kinds if k in given]
        if tag == "img":
            self.alts.append(given["alt"])
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")
        if tag == "br":
            self.handle_data("\n")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data


def make_run(folder: Path, changes: dict[str, Any] | None = None, metrics: str = METRICS) -> Path:
    folder.mkdir(parents=True)
    config = OmegaConf.create(CONFIG)
    for key, value in (changes or {}).items():
        OmegaConf.update(config, key, value)
    OmegaConf.save(config, folder / "config.yaml")
    (folder / "metrics.csv").write_text(metrics)
    return folder


def add_pictures(run: Path, *iterations: int) -> None:
    for name in ("samples", "strips"):
        (run / name).mkdir()
        for iteration in iterations:
            Image.new("RGB", (12, 8)).save(run / name / f"{iteration:07d}.png")


def add_scores(folder: Path, content: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scores.json").write_text(json.dumps(content))


def page_of(folder: Path) -> Page:
    return Page(html(collect(folder), NOW))


def cells(table: Table, row: int) -> dict[str, str]:
    """Cells of a row that are not empty, by the lines of their header."""
    named = zip(table.headers, table.rows[row], strict=True)
    return {header.replace("\n", ", "): cell.text for header, cell in named if cell.text}


def test_page_stands_alone_and_is_well_formed(tmp_path: Path) -> None:
    add_pictures(make_run(tmp_path / "a"), 100, 200)
    add_pictures(make_run(tmp_path / "late"), 150)
    make_run(tmp_path / "b", {"seed": 3, "data.dir": "https://example.org/x"})
    text = html(collect(tmp_path), NOW)
    page = Page(text)
    assert all(reference.startswith(("#", "data:image/png;")) for reference in page.references)
    assert not re.search(r"url\((?!#)|@import|<link", text)
    assert page.alts == [
        "Samples of a at iteration 200", "Painting strips of a at iteration 200",
        "Samples of late at iteration 150", "Painting strips of late at iteration 150",
    ]  # fmt: skip
    assert text.count('width="12" height="8"') == 4
    assert "Samples at iteration 150; FID 80.55 at iteration 100 (png" in page.text
    anchors = re.findall(r' id="([^"]+)"', text)
    assert len(anchors) == len({*anchors})
    within = {r[1:] for r in page.references if r.startswith("#")}
    assert within | {*re.findall(r"url\(#([^)]+)\)", text)} <= {*anchors}
    assert {"svg", "details", "figcaption"} <= page.tags


def test_numbers_are_those_of_the_csv(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    log = "[x][INFO] - parameters: generator 5.78 M, discriminator 12.33 M; run directory /x\n"
    (run / "train.log").write_text(log)
    row = cells(score_table(collect(tmp_path)), 0)
    with (run / "metrics.csv").open() as file:
        scores = [float(row["fid"]) for row in csv.DictReader(file)]
    assert row == {
        "run": "run", "model": "DeltaRule, T = 8", "data": "cats.zip, 32 px",
        "iterations": "200 of 200", "s per iteration": "0.5",
        "parameters, G, D in millions": "5.78, 12.33",
        "best FID ↓, while training, png, 1,000 fakes": f"{min(scores):.2f}",
        "last FID ↓, while training, png, 1,000 fakes": f"{scores[-1]:.2f}",
    }  # fmt: skip
    text = html(collect(tmp_path), NOW)
    assert 'data-value="80.5532">80.55</td>' in text
    (fid, *_) = curves(collect(tmp_path))
    assert fid.lines == [Line("run", 0, [(100, 80.5532), (200, 91.25)])]


def test_names_are_escaped(tmp_path: Path) -> None:
    make_run(tmp_path / "<b>&|*x*", {"model.x": "<script>alert(1)</script>"})
    add_pictures(make_run(tmp_path / '"><img src=x>'), 100)
    text = html(collect(tmp_path), NOW)
    page = Page(text)
    assert "b" not in page.tags
    assert page.tables[0][2][0] == "<b>&|*x*"
    assert len(page.alts) == 2
    assert text.count("<script>") == 1
    assert r"| &lt;b&gt;&amp;\|\*x\* |" in markdown(collect(tmp_path), NOW)


def test_configurations_are_compared(tmp_path: Path) -> None:
    make_run(tmp_path / "a", {"data.image_size": 32})
    sizes = {"image_size": 64, "data.image_size": 64}
    make_run(tmp_path / "b", sizes | {"seed": None, "checkpoints.directory": "/b"})
    differing, same = compare(collect(tmp_path).runs)
    assert differing == {"data.image_size\nimage_size": [32, 64], "seed": [ABSENT, None]}
    assert same["fid.protocol"] == "png"
    assert not {"checkpoints.directory", "image_size", "seed"} & same.keys()
    rows = page_of(tmp_path).tables[1][1:]
    assert rows == [["data.image_size\nimage_size", "32", "64"], ["seed", "–", "null"]]
    assert "| seed | – | null |" in markdown(collect(tmp_path), NOW)


def test_protocols_and_counts_are_kept_apart(tmp_path: Path) -> None:
    make_run(tmp_path / "a")
    make_run(tmp_path / "b", {"fid.protocol": "paper"})
    make_run(tmp_path / "c", {"fid.num_images": 50})
    report = collect(tmp_path)
    for row, setting in enumerate(("png, 1,000", "paper, 1,000", "png, 50")):
        columns = [header for header in cells(score_table(report), row) if "FID" in header]
        assert len(columns) == 2
        assert all(setting in header for header in columns)
    captions = re.findall(r"FID while training, ([^<]*)</figcaption>", html(report, NOW))
    assert captions == ["paper, 1,000 fakes", "png, 1,000 fakes", "png, 50 fakes"]


def result(checkpoint: Path, **changes: Any) -> dict[str, Any]:
    return {
        "checkpoint": str(checkpoint), "iteration": 200, "weights": "ema", "protocol": "png",
        "num_fake": 1000, "num_real": 12, "seed": 0, "scores": {"fid": 70.125},
    } | changes  # fmt: skip


def test_scores_go_to_the_run_of_their_checkpoint(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs" / "a")
    last = run / "checkpoints" / "last.ckpt"
    scores = {
        "fid": 60, "kid": {"mean": 0.0123, "std": 0.002}, "new_measure": 3, "recall": None,
        "fid_infinity": {"value": 59.5, "standard_error": 0.25},
    }  # fmt: skip
    listed = [
        result(last),
        result(last, protocol="paper", num_fake=50_000, scores=scores),
        result(last, iteration=100, scores={"fid": 99.0}),
    ]
    add_scores(tmp_path / "evals" / "new", {"results": listed})
    elsewhere = {
        "checkpoint": "/x/other.ckpt", "protocol": "png",
        "scores": {"fid": 50.5, "fid_unrefined": 52.5},
    }  # fmt: skip
    add_scores(tmp_path / "evals" / "flat", {"results": [elsewhere]})
    table = score_table(collect(tmp_path))
    names = [row[0].text for row in table.rows]
    assert names == ["runs/a", "runs/a, iteration 100 ema", "evals/flat"]
    newest = cells(table, 0)
    paper = "evaluated, paper, 50,000 fakes"
    assert newest["FID ↓, evaluated, png, 1,000 fakes"] == "70.12"
    assert newest[f"FID ↓, {paper}"] == "60.00"
    assert newest[f"KID ↓, {paper}"] == "0.0123 ± 0.002"
    assert newest[f"FID∞ ↓, {paper}"] == "59.50 ± 0.25"
    assert newest[f"new measure, {paper}"] == "3"
    assert newest["evaluated"] == "iteration 200 ema, seed 0, 12 reals"
    assert cells(table, 1)["FID ↓, evaluated, png, 1,000 fakes"] == "99.00"
    other = cells(table, 2)
    assert other["FID before the refiner ↓, evaluated, png, unknown number of fakes"] == "52.50"
    assert other["evaluated"] == "other.ckpt"
    assert "Configuration" not in page_of(tmp_path / "evals").text


def test_scores_by_step_are_drawn(tmp_path: Path) -> None:
    last = make_run(tmp_path / "a") / "last.ckpt"
    by_step = {"steps": [1, 4, 8], "fid": [300.0, 120.0, 40.0], "num_images": 200}
    scored = result(last, scores={"fid_by_step": by_step, "step_shares": [0.75, 0.25]})
    add_scores(tmp_path / "eval", {"results": [scored]})
    text = html(collect(tmp_path), NOW)
    page = Page(text)
    assert "FID by painting step, png, 200 fakes (logarithmic)" in page.text
    fid, shares = step_plots(collect(tmp_path))
    assert fid.lines == [Line("a", 0, [(1, 300.0), (4, 120.0), (8, 40.0)])]
    assert shares.lines == [Line("a", 0, [(1, 0.75), (2, 0.25)])]
    assert 'aria-label="FID by painting step, png, 200 fakes over steps"' in text
    assert page.tables[1][1:] == [["1", "300.00"], ["4", "120.00"], ["8", "40.00"]]
    assert "by painting step" not in page_of(make_run(tmp_path / "alone" / "b").parent).text


@pytest.mark.parametrize(
    "metrics",
    ["iteration,fid\n100,80.5\n200,70.25\n300,7", "iteration,fid\n100,80.5\n200,70.25\n30",
     "iteration,fid\n100,80.5\n200,70.25\nx,1\n,\n300,\n", "iteration,fid,loss\n200,nan,inf\n",
     "iteration,fid\n", "iter", ""],
)  # fmt: skip
def test_torn_metrics(tmp_path: Path, metrics: str) -> None:
    make_run(tmp_path / "run", metrics=metrics)
    row = page_of(tmp_path).tables[0][1]
    assert row[3] == ("200 of 200" if "200," in metrics else "0 of 200")
    if "70.25" in metrics:
        assert row[4:6] == ["70.25", "70.25"]


def test_broken_files_are_named_or_passed_over(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    add_pictures(run, 100, 200)
    torn = run / "samples" / "0000200.png"
    torn.write_bytes(torn.read_bytes()[:40])
    (run / "strips" / "0000200.png").write_text("no picture")
    (run / "strips" / "0000100.png").unlink()
    (make_run(tmp_path / "odd") / "config.yaml").write_text("a: [1")
    (make_run(tmp_path / "void") / "config.yaml").write_text("")
    (tmp_path / "scores.json").write_text('{"fid": ')
    add_scores(tmp_path / "list", [1])
    add_scores(tmp_path / "typed", {"results": [{"scores": {"fid": "good", "fid_by_step": [3]}}]})
    add_scores(tmp_path / "foreign", {"goals": 3})
    page = page_of(tmp_path)
    assert len(page.tables[0]) == 4
    assert page.alts == ["Samples of run at iteration 100"]
    assert "No picture yet." in page.text
    for name in ("odd/config.yaml", "scores.json", "list/scores.json", "typed/scores.json"):
        assert f"{name} (" in page.text
    assert "foreign/scores.json (" in page.text
    assert "Samples at iteration 100; FID 80.55 (png, 1,000 fakes)" in page.text


def test_sweeps_are_found_in_the_order_of_their_jobs(tmp_path: Path) -> None:
    for job in (10, 9, 0):
        make_run(tmp_path / "sweep" / str(job))
    assert [run.name for run in collect(tmp_path).runs] == ["sweep/0", "sweep/9", "sweep/10"]
    assert collect(tmp_path / "sweep" / "9").runs[0].name == "9"


def test_plot_of_nothing_of_one_point_and_of_many() -> None:
    assert plot("x", "step", [Line("a", 0, []), Line("b", 1, [(1, float("nan"))])]) is None
    one = plot("x", "step", [Line("a", 0, [(0, 0.0)])], True)
    assert one is not None
    assert one.caption == "x"
    series = [(i, float(i)) for i in range(1000)]
    many = plot("x", "step", [Line("a", 7, series), Line("b", 0, series[:200])])
    assert many is not None
    assert [len(line.points) for line in many.lines] == [100, 20]
    assert many.caption == "x (means of 10 rows)"
    assert many.lines[0].points[0] == (9, 4.5)


def test_plots_follow_the_page() -> None:
    """Colours are the page's, sizes give way to its width, and nothing varies from call to call."""
    lines = [Line("a", 1, [(1, 10.0), (2, 60.0)]), Line("b", 7, [(1, 20.0), (3, float("inf"))])]
    drawn = plot("x", "step", lines, True)
    assert drawn is not None
    assert drawn.caption == "x (logarithmic)"
    assert drawn == plot("x", "step", lines, True)
    strokes = set(re.findall(r"stroke: ([^;\"]+)", drawn.svg))
    assert {"var(--c0)", "var(--c2)"} <= strokes <= {"var(--c0)", "var(--c2)", "#b0b0b0"}
    assert drawn.svg.count("stroke-dasharray: 2,3") == drawn.svg.count("stroke-dasharray: 7,4") == 1
    assert re.match(r'<svg [^>]*viewBox="0 0 480 300"', drawn.svg)
    labels = re.findall(r">([^<\n]+)</text>", drawn.svg)
    assert {"1", "2", "step", "10", "20", "50"} <= {*labels}
    assert not re.search(r"<metadata|[0-9]{4}-[0-9]{2}-[0-9]{2}", drawn.svg)


def test_lines_of_one_colour_differ_in_their_dashes() -> None:
    lines = [Line("", style, []) for style in range(36)]
    assert len({(line.colour, line.dash) for line in lines}) == 36


@pytest.mark.parametrize("planned", ["png", "paper"])
def test_what_training_scored_is_what_metrics_say(tmp_path: Path, planned: str) -> None:
    """27.5 at 32×32 is not the best at 64×64; and a start is named that has not been scored yet."""
    small, large = (f'"png, 1,000 fakes, {size}"' for size in ("32×32", "64×64"))
    lines = f"100,27.5,{small}\n150,,\n200,52.5,{large}\n300,49.15,{large}\n400,50.5,{large}\n"
    changes = {"image_size": 64, "fid.protocol": planned}
    make_run(tmp_path / "a", changes, "iteration,fid,scored_by\n" + lines)
    report = collect(tmp_path)
    row = cells(score_table(report), 0)
    assert row["data"] == "cats.zip, 64 px"
    assert row["best FID ↓, while training, png, 1,000 fakes, 64×64"] == "49.15"
    assert row["last FID ↓, while training, png, 1,000 fakes, 64×64"] == "50.50"
    (fid,) = curves(report)
    assert fid.caption == "FID while training, png, 1,000 fakes, 64×64"
    assert fid.lines == [Line("a", 0, [(200, 52.5), (300, 49.15), (400, 50.5)])]


def test_scores_of_fewer_fakes_and_of_other_sizes_say_so(tmp_path: Path) -> None:
    last = make_run(tmp_path / "a") / "last.ckpt"
    path_length = {"value": 150.0, "standard_error": 2.5, "num_pairs": 200}
    sizes = [
        result(last, image_size=[32, 32], scores={"inception_path_length_z": path_length}),
        result(last, image_size=[64, 64], scores={"fid": 90.0}),
    ]
    add_scores(tmp_path / "eval", {"results": sizes})
    table = score_table(collect(tmp_path))
    large, small = cells(table, 0), cells(table, 1)
    assert small["inception path length z, evaluated, png, 200 pairs"] == "150.00 ± 2.5"
    assert small["evaluated"] == "last.ckpt, iteration 200 ema, seed 0, 12 reals, at 32×32"
    assert large["FID ↓, evaluated, png, 1,000 fakes"] == "90.00"
    assert large["evaluated"] == "iteration 200 ema, seed 0, 12 reals, at 64×64"


def test_markdown_gives_the_number_of_each_score() -> None:
    """What all results share stands below; numbers of their own with the scores."""
    shared = {"protocol": "png", "image_size": [64, 48], "num_real": 12, "data": "cats"}
    scores = {
        "fid": 60.0, "inception_path_length_z": {"value": 1.5, "standard_error": 0.25,
                                                 "num_pairs": 2000},
        "fid_by_label": {"names": ["a"], "fid": [70.0], "num_images": 2000},
    }  # fmt: skip
    assert scores_as_markdown([result(Path("/x/last.ckpt"), scores=scores, **shared)]) == (
        "| what | iteration | weights | num_fake | fid | inception_path_length_z of 2,000 pairs |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
        "| //x/last.ckpt | 200 | ema | 1000 | 60.000 | 1.500 ± 0.25 |\n\n"
        "| class (//x/last.ckpt) | FID of 2,000 fakes |\n| --- | --- |\n| a | 70.000 |\n\n"
        "png, 64×48, 12 reals of cats\n"
    )


def test_learning_rules_are_compared(tmp_path: Path) -> None:
    header = "iteration,seconds,cpu_seconds,fid\n"
    columns = {"0": (80.0, 60.0), "1": (90.0, 70.0), "2": (50.0, 55.0)}
    for job, (first, last) in columns.items():
        steps = {"model.generator.num_steps": 188} if job == "2" else {}
        lines = f"100,0.5,60,{first}\n150,0.5,90,\n200,0.5,120,{last}\n"
        run = make_run(tmp_path / job, {"seed": int(job)} | steps, header + lines)
        add_pictures(run, 100, 200)
        log = f"parameters: generator {5.5 + int(job)} M, discriminator 12.33 M;"
        (run / "train.log").write_text(log)
        rule = "coupled" if job == "2" else "delta"
        (run / "overrides.yaml").write_text(f"[seed={job}, model/learning_rule={rule}]")
        scores = {"effective_rank": 3 + int(job), "step_shares": [0.5, 0.25 * int(job)]}
        add_scores(tmp_path / "eval" / job, {"results": [result(run / "last.ckpt", scores=scores)]})
    report = collect(tmp_path)
    delta, coupled = (cells(rule_table(report), row) for row in (0, 1))
    assert delta == {
        "learning rule": "delta", "runs": "0, 1", "steps": "8",
        "parameters, G in millions": "6 ± 0.71",
        "best FID ↓, while training, png, 1,000 fakes": "65.00 ± 7.1", "CPU minutes": "2 ± 0",
        "s per iteration": "0.5 ± 0", "effective rank, evaluated": "3.5 ± 0.71",
    }  # fmt: skip
    assert coupled["best FID ↓, while training, png, 1,000 fakes"] == "50.00"
    assert (coupled["steps"], coupled["effective rank, evaluated"]) == ("188", "5")
    by_iteration, by_time, shares = rule_plots(report)
    assert by_iteration.lines == [
        Line("delta", 0, [(100, 85.0), (200, 65.0)]), Line("coupled", 1, [(100, 50.0), (200, 55.0)])
    ]  # fmt: skip
    assert by_time.lines[0] == Line("delta", 0, [(60, 85.0), (120, 65.0)])
    assert shares.lines[0] == Line("delta", 0, [(1, 0.5), (2, 0.125)])
    strips = rule_strips(report)
    assert [(strip.rule, strip.run.name) for strip in strips] == [("delta", "0"), ("coupled", "2")]
    page = page_of(tmp_path)
    assert page.alts[:2] == [
        "Painting strips of 0 at iteration 200", "Painting strips of 2 at iteration 200",
    ]  # fmt: skip
    assert len(page.alts) == len({*page.alts}) == 6  # no strip is there twice
    assert "## Learning rules" in markdown(report, NOW)


def test_one_rule_is_not_compared(tmp_path: Path) -> None:
    make_run(tmp_path / "a")
    (make_run(tmp_path / "b") / "overrides.yaml").write_text("[model/learning_rule")
    assert by_rule(collect(tmp_path)) == {}
    assert "Learning rules" not in page_of(tmp_path).text
    make_run(tmp_path / "c", {"model.generator.learning_rule._target_": "rules.Own"})
    assert [*by_rule(collect(tmp_path))] == ["DeltaRule", "Own"]
    assert "Learning rules" in page_of(tmp_path).text
