"""The pages of docs/: what they show is there and small, and their commands can be given."""

import re
import shlex
from pathlib import Path

import hydra
import pytest
from PIL import Image

from fpainter.launch.configs import CONFIG_DIR
from fpainter.tasks import generate

ROOT = CONFIG_DIR.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PICTURES = sorted((ROOT / "docs" / "pictures").iterdir())
COMMANDS = sorted(
    {
        found.strip()
        for page in PAGES
        for found in re.findall(
            r"python -m fpainter\.((?:generate|viewer) [^`#\n]+)", page.read_text(encoding="utf-8")
        )
    }
)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)\)", page.read_text(encoding="utf-8"))
    missing = [
        link for link in links if "://" not in link and not (page.parent / link).resolve().exists()
    ]
    assert not missing


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
    assert "what=augmentation" in overrides or config.ckpt
    if name == "generate":
        generate._check(config)
