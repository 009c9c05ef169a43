"""Make configuration.md, all settings from ``configs/``: ``python docs/make_configuration.py``."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

DOCS = Path(__file__).parent
CONFIGS = DOCS.parent / "configs"
PAGE = DOCS / "configuration.md"

INTRODUCTION = """\
# All settings

<!-- Made by make_configuration.py from configs/: change the comments there, then `make docs`. -->

Every setting is given as `key=value`. `python -m fpainter.train --cfg job` prints those of a run,
and `--help` of any command its keys and groups. A *group* is a choice of a whole file of settings:
`model=lstm_sum`, `data=folder`, `model/loss=relativistic`. Keys below are written as on the command
line. A default such as `${image_size}` is the value of another key. `null` means that nothing is
given, `[…]` is a list and `{…}` a table.

`python -m fpainter.import_legacy --help` and `python -m fpainter.report --help` tell the few keys
of these two.
"""

# What is a choice between whole runs: their settings are worth reading as a file.
NAMED_RUNS = ("experiment", "sweep", "stage", "debug")


class Key(NamedTuple):
    """One setting: its full name, its default as YAML and its comment."""

    name: str
    default: str
    comment: str


class Config(NamedTuple):
    """One file: its comment at the top, the files it builds on, and its own settings."""

    path: Path
    comment: list[str]
    builds_on: list[str]
    keys: list[Key]


def read(path: Path, configs: Path = CONFIGS) -> Config:
    """Read a config file, its comments included.

    Args:
        path: below `configs`.
        configs: folder of Hydra configs, which the names of groups begin in.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    head = []
    for line in lines:
        if not line.startswith("#"):
            break
        head.append(line.lstrip("# ").rstrip())
    package = next((line.split()[1] for line in head if line.startswith("@package")), None)
    if package is None:
        package = ".".join(path.relative_to(configs).parent.parts)
    prefix = "" if package in ("", "_global_") else f"{package}."
    tree = yaml.compose("\n".join(lines))
    entries = list(tree.value) if isinstance(tree, yaml.MappingNode) else []
    builds_on = [
        part for name, node in entries if name.value == "defaults" for part in _builds_on(node)
    ]
    keys = [
        Key(prefix + name, default, comment)
        for name, default, row in _settings(tree)
        if name.partition(".")[0] not in ("defaults", "hydra")
        and ((comment := _comment(lines, row)) or default)
    ]
    comment = [line for line in head if not line.startswith("@package")]
    return Config(path, comment, builds_on, keys)


def _builds_on(defaults: yaml.Node) -> Iterator[str]:
    for node in defaults.value:
        if isinstance(node, yaml.ScalarNode):
            if node.value not in ("_self_", "_command"):
                yield node.value
        else:
            (name, option), *_ = node.value
            if option.value != "null":
                yield f"{name.value.removeprefix('override ').strip()}={option.value}"


def _settings(node: yaml.Node | None, prefix: str = "") -> Iterator[tuple[str, str, int]]:
    """Yield the name, the default and the line of each setting; a table has no default."""
    for name, value in node.value if isinstance(node, yaml.MappingNode) else ():
        full = prefix + name.value
        if isinstance(value, yaml.MappingNode) and value.value and not value.flow_style:
            yield full, "", name.start_mark.line
            yield from _settings(value, f"{full}.")
        elif name.value not in ("_target_", "_partial_"):
            yield full, _text(value), name.start_mark.line


def _text(node: yaml.Node) -> str:
    if isinstance(node, yaml.CollectionNode):
        node.flow_style = True
    text = yaml.serialize(node, width=10_000, allow_unicode=True)
    return " ".join(text.replace("\n...", "").split())


def _comment(lines: list[str], row: int) -> str:
    """Return what is said of a line: behind it, continued in the same column, or above it."""
    _, found, comment = lines[row].partition(" #")
    if found:
        column = len(lines[row]) - len(comment) - 1
        said = [comment]
        for line in lines[row + 1 :]:
            if line[:column].strip() or not line[column:].startswith("#"):
                break
            said.append(line[column + 1 :])
        return " ".join(part.strip() for part in said)
    above: list[str] = []
    indent = len(lines[row]) - len(lines[row].lstrip())
    for line in reversed(lines[:row]):
        if not line.startswith(" " * indent + "#") or (indent == 0 and not _after_keys(lines, row)):
            break
        above.insert(0, line.strip("# "))
    return " ".join(above)


def _after_keys(lines: list[str], row: int) -> bool:
    """Return whether there is a setting above, so that comments are no longer the file's own."""
    return any(line and not line.startswith("#") for line in lines[:row])


def page(configs: Path = CONFIGS) -> str:
    """Return the page.

    Args:
        configs: folder of Hydra configs.
    """
    parts = [INTRODUCTION, "## Commands\n"]
    commands = sorted(path for path in configs.glob("*.yaml") if not path.name.startswith("_"))
    commands.sort(key=lambda path: path.stem != "train")
    parts += [_section(read(path, configs), f"### fpainter.{path.stem}") for path in commands]
    folders = sorted({path.parent for path in configs.rglob("*.yaml")} - {configs})
    groups = [folder.relative_to(configs).as_posix() for folder in folders]
    for group in groups:
        if group.partition("/")[0] in NAMED_RUNS:
            continue
        parts.append(f"## {group}=\n")
        for path in sorted((configs / group).glob("*.yaml"), key=lambda path: path.name):
            shared = path.name.startswith("_")
            title = f"What others share: {path.stem}" if shared else f"{group}={path.stem}"
            parts.append(_section(read(path, configs), f"### {title}"))
    parts += [_named_runs(configs, name) for name in NAMED_RUNS]
    return "\n".join(parts)


def _section(config: Config, title: str) -> str:
    said, commands = _parted(config.comment)
    parts = [f"{title}\n"]
    if commands:
        parts.append("```bash\n" + "\n".join(commands) + "\n```\n")
    if said:
        parts.append(" ".join(map(_escaped, said)) + "\n")
    if config.builds_on:
        parts.append(_origins(config) + "\n")
    if config.keys:
        rows = [
            f"| {_code(key.name)} | {_code(key.default)} | {_escaped(key.comment)} |"
            for key in config.keys
        ]
        parts.append("\n".join(["| key | default | meaning |", "|---|---|---|", *rows]) + "\n")
    return "\n".join(parts)


def _origins(config: Config) -> str:
    return "Builds on " + ", ".join(f"`{name}`" for name in config.builds_on) + "."


def _named_runs(configs: Path, group: str) -> str:
    rows = []
    for path in sorted((configs / group).rglob("[!_]*.yaml")):
        config = read(path, configs)
        said = " ".join(_parted(config.comment)[0])
        about = _escaped(said) if said else _origins(config)
        option = path.relative_to(configs / group).with_suffix("").as_posix()
        plus = "+" if group == "sweep" else ""
        rows.append(f"| {_code(f'{plus}{group}={option}')} | {about} |")
    return "\n".join(
        [f"## {group}=\n", f"Each is a file in `configs/{group}/`, with what it sets.\n",
         "| option | what it is |", "|---|---|", *rows, ""]
    )  # fmt: skip


def _parted(comment: list[str]) -> tuple[list[str], list[str]]:
    """Return the sentences of a comment, and its commands, which may go on in the next line."""
    said: list[str] = []
    commands: list[str] = []
    for line in comment:
        goes_on = bool(commands) and commands[-1].endswith("\\")
        (commands if goes_on or line.startswith(("python -m", "sbatch")) else said).append(line)
    return said, commands


def _code(text: str) -> str:
    escaped = text.replace("|", "\\|")
    return f"`{escaped}`" if text else ""


def _escaped(text: str) -> str:
    for sign in "\\`*<|$":
        text = text.replace(sign, f"\\{sign}")
    return text


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
