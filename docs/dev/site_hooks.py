"""Hooks of the documentation site: pages made from files outside docs/, and links that leave docs/.

The changelog and the model card have one source each, which readers of the repository also open. Links are written as
they work in the repository; the site has no sources, so a link to one becomes its path.
"""

import os
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = {"changelog.md": ROOT / "CHANGELOG.md", "model-card.md": ROOT / "kyvo" / "assets" / "mini" / "README.md"}
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!\w+:|#)([^)\s#]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the generated pages."""
    for name, source in PAGES.items():
        files.append(File.generated(config, name, content=source.read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links of a page as they work on the site."""
    place = page.file.src_uri
    return site_links(markdown, source=PAGES.get(place, DOCS / place), place=DOCS / place)


def site_links(markdown: str, *, source: Path, place: Path) -> str:
    """Text of the file `source` whose links work from the page at `place`. A link to nothing stays, and is reported."""
    published = {path: DOCS / name for name, path in PAGES.items()}

    def rewrite(link: re.Match[str]) -> str:
        picture, text, target, anchor = link[1], link[2], link[3], link[4] or ""
        path = (source.parent / target).resolve()
        path = published.get(path, path)
        if not path.exists() and path not in published.values():
            return link[0]
        if path.is_relative_to(DOCS):
            return f"{picture}[{text}]({os.path.relpath(path, place.parent)}{anchor})"
        return f"{text} (`{path.relative_to(ROOT)}`)" if text.strip("`") != str(path.relative_to(ROOT)) else text

    return LINK.sub(rewrite, markdown)
