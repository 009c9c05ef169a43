"""Node, where what the page does without a document is run."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest

from fpainter.viewer import page as viewer_page

SCRIPTS = [
    Path(viewer_page.__file__).with_name(name)
    for name in ("places.js", "paint.js", "zoom.js", "link.js")
]
NODE = shutil.which("node")
InNode = Callable[..., Any]

# Answers each line, a script, by a line; every script has a world of its own.
SERVER = """
const vm = require("vm"), known = {atob, btoa, TextDecoder, URLSearchParams};
const lines = require("readline").createInterface({input: process.stdin});
lines.on("line", line => console.log(vm.runInNewContext(JSON.parse(line), {...known})));
"""


@pytest.fixture(scope="module")
def node() -> Iterator[subprocess.Popen[str]]:
    """Start Node, which takes longer than what is asked of it."""
    assert NODE is not None
    with subprocess.Popen([NODE, "-e", SERVER], stdin=PIPE, stdout=PIPE, text=True) as process:
        yield process


@pytest.fixture
def in_node(node: subprocess.Popen[str]) -> InNode:
    """Run code after the scripts that need no page; it returns plain data."""
    scripts = "".join(path.read_text() for path in SCRIPTS)

    def run(code: str, **given: Any) -> Any:
        script = f"{scripts}\nconst given = {json.dumps(given)};\n"
        script += f"JSON.stringify((() => {{ {code} }})());"
        assert node.stdin is not None
        assert node.stdout is not None
        print(json.dumps(script), file=node.stdin, flush=True)
        return json.loads(node.stdout.readline())

    return run
