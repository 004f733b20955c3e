"""The documentation's site: its navigation names every page once, and links work both there and in the repository."""

from pathlib import Path

import loading
import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
CONFIG = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))


@pytest.fixture
def hooks():
    with loading.program("docs/dev/site_hooks.py") as module:
        yield module


def pages(entries):
    for entry in entries:
        for value in entry.values() if isinstance(entry, dict) else [entry]:
            yield from pages(value) if isinstance(value, list) else [value]


def test_the_navigation_names_every_page_once(hooks):
    named = list(pages(CONFIG["nav"]))
    written = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")} | set(hooks.PAGES)
    assert len(named) == len(set(named))
    assert set(named) == {name for name in written if not name.startswith("dev/")}


def test_the_site_needs_no_other_host():
    assert CONFIG["theme"]["font"] is False
    assert not {"extra_css", "extra_javascript", "repo_url"} & CONFIG.keys()


@pytest.mark.parametrize(
    ("page", "before", "after"),
    [
        ("using.md", "[data](data.md#sets)", "[data](data.md#sets)"),
        ("using.md", "![a](images/demo.png)", "![a](images/demo.png)"),
        ("using.md", "[the API](../kyvo/api.py)", "the API (`kyvo/api.py`)"),
        ("using.md", "[`kyvo/api.py`](../kyvo/api.py)", "`kyvo/api.py`"),
        ("using.md", "[card](../kyvo/assets/mini/README.md)", "[card](model-card.md)"),
        ("decisions/index.md", "[changes](../../CHANGELOG.md)", "[changes](../changelog.md)"),
        ("changelog.md", "[data](docs/data.md)", "[data](data.md)"),
        ("using.md", "[lost](nowhere.md)", "[lost](nowhere.md)"),  # mkdocs reports it
        ("using.md", "[paper](https://arxiv.org/abs/2506.08002)", "[paper](https://arxiv.org/abs/2506.08002)"),
        ("using.md", "[above](#chat)", "[above](#chat)"),
    ],
)
def test_links_work_on_the_site(hooks, page, before, after):
    source = hooks.PAGES.get(page, DOCS / page)
    assert hooks.site_links(before, source=source, place=DOCS / page) == after
