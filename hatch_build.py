"""The README as the package index shows it, where files of the checkout are not there."""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^):\s]+)\)")  # to a file: an address has a colon


class ReadmeHook(MetadataHookInterface):
    """Give the package a README whose links all lead somewhere."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: dict[str, Any]) -> None:
        """Add the README to the metadata.

        Args:
            metadata: of the project; with ``Repository`` among its ``urls`` links lead there.
        """
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        address = metadata.get("urls", {}).get("Repository")
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": standalone(text, address),
        }


def standalone(text: str, address: str | None) -> str:
    """Return Markdown without links to files of the checkout.

    Args:
        text: Markdown.
        address: of the repository, as GitHub has it; None: links become text, and images go.
    """

    def replaced(match: re.Match[str]) -> str:
        image, title, target = match.groups()
        if address is not None:
            kind = "raw" if image else "blob"
            return f"{image}[{title}]({address.rstrip('/')}/{kind}/HEAD/{target})"
        return "" if image else title

    return re.sub(r"\n{3,}", "\n\n", LINK.sub(replaced, text))
