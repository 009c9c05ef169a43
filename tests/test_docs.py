"""The README and the pages of docs/: links and pictures are there, commands can be given."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import hydra
import pytest
from omegaconf import OmegaConf
from PIL import Image

from fpainter.launch.configs import CONFIG_DIR, composed
from fpainter.tasks import generate

ROOT = CONFIG_DIR.parent
DOCS = ROOT / "docs"
PAGES = [
    ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))
]  # fmt: skip
PICTURES = sorted((DOCS / "pictures").iterdir())
COMMANDS = sorted(
    {
        found.strip()
        for page in PAGES
        for found in re.findall(
            r"python -m fpainter\.((?:generate|viewer) [^`#\n]+)", page.read_text(encoding="utf-8")
        )
    }
)
BUILDERS = ("mkdocs", "material", "mkdocstrings_handlers", "latex2mathml")


def script(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def links(page: Path) -> list[str]:
    found = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    return [link for link in found if "://" not in link]


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page: Path) -> None:
    missing = [link for link in links(page) if not (page.parent / link).resolve().exists()]
    assert not missing


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in reached and page.suffix == ".md":
            reached.add(page)
            waiting += [(page.parent / link).resolve() for link in links(page)]
    assert set(PAGES) <= reached


def test_every_picture_is_shown_and_all_are_small() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    for picture in PICTURES:
        assert f"pictures/{picture.name}" in text
        with Image.open(picture) as opened:
            opened.verify()
    assert sum(picture.stat().st_size for picture in PICTURES) < 1.5e6


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_can_be_given(command: str) -> None:
    name, *overrides = shlex.split(command)
    with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        config = hydra.compose(name, overrides)
    # The package has a painter for those two.
    assert name in ("generate", "viewer") or config.ckpt
    if name == "generate":
        generate._check(config)


def test_the_page_of_settings_is_that_of_the_configs() -> None:
    made = script(DOCS / "make_configuration.py").page()
    written = (DOCS / "configuration.md").read_text(encoding="utf-8")
    assert made == written, "run python docs/make_configuration.py"


@pytest.mark.parametrize("command", ["train", "eval", "fit", "generate"])
def test_the_page_of_settings_has_every_key(command: str) -> None:
    config = composed(command, ["image=FILE"] if command == "fit" else [])
    plain = OmegaConf.to_container(config, resolve=False)
    assert isinstance(plain, dict)
    for group in {"hydra", "logger"} & plain.keys():  # Hydra's own; a list and no table
        del plain[group]
    page = (DOCS / "configuration.md").read_text(encoding="utf-8")
    missing = [key for key in keys(plain) if f"| `{key}` |" not in page]
    assert not missing


def keys(node: dict[Any, Any], prefix: str = "") -> Iterator[str]:
    for name, value in node.items():
        if isinstance(value, dict) and value:
            yield from keys(value, f"{prefix}{name}.")
        elif name not in ("_target_", "_partial_"):
            yield f"{prefix}{name}"


def test_a_comment_goes_on_below_its_setting(tmp_path: Path) -> None:
    module = script(DOCS / "make_configuration.py")
    (tmp_path / "group").mkdir()
    path = tmp_path / "group" / "option.yaml"
    path.write_text(
        "# What it is.\na: 1    # one\n        # and only\n"
        "# not shown\nb:      # a table\n  c: [x, y]\n"
    )
    config = module.read(path, tmp_path)
    assert config.comment == ["What it is."]
    assert [tuple(key) for key in config.keys] == [
        ("group.a", "1", "one and only"), ("group.b", "", "a table"), ("group.b.c", "[x, y]", "")
    ]  # fmt: skip


def test_the_index_of_packages_gets_no_link_to_a_file() -> None:
    standalone = script(ROOT / "hatch_build.py").standalone
    text = "[a page](docs/a.md), [paper](https://a.b/c)\n\n![picture](docs/p.png)\n\nEnd"
    assert standalone(text, None) == "a page, [paper](https://a.b/c)\n\nEnd"
    there = standalone(text, "https://host/o/n")
    assert "[a page](https://host/o/n/blob/HEAD/docs/a.md)" in there
    assert "![picture](https://host/o/n/raw/HEAD/docs/p.png)" in there


def test_the_site_builds_strictly(tmp_path: Path) -> None:
    absent = [name for name in BUILDERS if importlib.util.find_spec(name) is None]
    if absent:
        pytest.skip(f"needs the extra `docs`: there is no {', '.join(absent)}")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # What the hook makes: the README, the API, and a file to which a page links.
    assert "rank-1 update" in (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "fpainter.ops.naive" in (tmp_path / "api" / "ops.html").read_text(encoding="utf-8")
    linked = tmp_path / "files" / "src" / "fpainter" / "ops" / "closed_form.py.html"
    assert f'href="{linked.relative_to(tmp_path)}"' in (tmp_path / "delta_rule.html").read_text()
    assert linked.is_file()
    for path in tmp_path.rglob("*.html"):
        page = path.read_text(encoding="utf-8")
        assert re.search(r'class="arithmatex">(?!<math)', page) is None, path
        # No connection is needed.
        assert re.search(r"<(script|link|img)[^>]*(src|href)=.?https?://", page) is None, path
    assert "<math" in (tmp_path / "delta_rule.html").read_text(encoding="utf-8")


def test_the_citation_names_this_version() -> None:
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    version = importlib.import_module("fpainter").__version__
    assert f"version: {version}" in text
    assert f"## {version}" in changes
