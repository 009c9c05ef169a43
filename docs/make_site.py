"""Pages of the site that are not in docs/: those of the API, and files of the checkout.

MkDocs calls the functions whose names begin with ``on_``. In docs/ and at the top of the checkout
links are as a reader of the files needs them; here they become links of the site. A file to which
a page links, such as a module, becomes a page of its own. Formulas become MathML, which browsers
draw by themselves.
"""

import posixpath
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

TOP = Path(__file__).parents[1]
PACKAGE = TOP / "src" / "fpainter"
# Pages that are at the top of the checkout, where people look for them.
FRONT = {
    "index.md": "README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
}
FORMULA = re.compile(
    r'(<(?:span|div) class="arithmatex">)(?:\\\((.+?)\\\)|\\\[(.+?)\\\])\s*(?=</)', re.DOTALL
)
LINK = re.compile(r"(?<=\]\()([^)#\s]+)(?=[)#])")


def on_config(config: MkDocsConfig) -> None:
    """Put the pages of the API into the navigation."""
    if config.nav is not None:
        config.nav.append({"API": [{title: uri} for uri, title, _ in api_pages()]})


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the pages that are made."""
    for uri, origin in FRONT.items():
        files.append(File.generated(config, uri, content=(TOP / origin).read_text("utf-8")))
    for uri, _, text in api_pages():
        files.append(File.generated(config, uri, content=text))
    linked = {
        target
        for page in files.documentation_pages()
        for target in _targets(page.src_uri, page.content_string)
        if target not in FRONT.values() and not target.startswith("docs/")
    }
    for target in sorted(linked):
        text = (TOP / target).read_text("utf-8")
        kind = Path(target).suffix.removeprefix(".")
        shown = f"# {target}\n\n````{kind}\n{text}````\n"
        files.append(File.generated(config, f"files/{target}.md", content=shown))


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn the links of a page into links of the site."""
    here = page.file.src_uri
    by_origin = {origin: uri for uri, origin in FRONT.items()}

    def on_site(match: re.Match[str]) -> str:
        target = _target(here, match[0])
        if target is None:
            return match[0]
        if target.startswith("docs/"):
            uri = target.removeprefix("docs/")
        else:
            uri = by_origin.get(target, f"files/{target}.md")
        return posixpath.relpath(uri, posixpath.dirname(here) or ".")

    return LINK.sub(on_site, markdown)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let formulas be drawn."""

    def drawn(match: re.Match[str]) -> str:
        begin, inline, alone = match.groups()
        display = "inline" if inline else "block"
        return begin + convert(unescape(inline or alone), display=display)

    return FORMULA.sub(drawn, html)


def api_pages() -> Iterator[tuple[str, str, str]]:
    """Yield the address, the title and the text of a page for each folder of the package."""
    for folder in sorted(path.parent for path in PACKAGE.glob("*/__init__.py")):
        name = f"fpainter.{folder.name}"
        yield f"api/{folder.name}.md", name, f"# {name}\n\n::: {name}\n"
    front = sorted(path.stem for path in PACKAGE.glob("[!_]*.py"))
    text = "\n".join(f"::: fpainter.{name}\n" for name in front)
    yield "api/commands.md", "Commands and the rest", f"# Commands and the rest\n\n{text}"


def _targets(uri: str, text: str) -> Iterator[str]:
    for link in LINK.findall(text):
        target = _target(uri, link)
        if target is not None:
            yield target


def _target(uri: str, link: str) -> str | None:
    """Return the path in the checkout of a file to which a page links, if it is one."""
    origin = FRONT.get(uri, f"docs/{uri}")
    target = posixpath.normpath(posixpath.join(posixpath.dirname(origin), link))
    return target if not target.startswith("..") and (TOP / target).is_file() else None
