"""Chromium for tests of the studio's pages, and a page that is watched: no other host is asked, no error is raised."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextmanager
def opened_browser(playwright_api: Any) -> Iterator[Any]:
    """Of `playwright.sync_api`, which a test imports where it is installed."""
    with playwright_api.sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield opened
        opened.close()


@contextmanager
def watched_page(
    browser: Any, address: str, *, path: str = "", ready: str, height: int, patience: int, own: tuple[str, ...]
) -> Iterator[Any]:
    """The page, opened, once the element `ready` is there.

    Args:
        patience: of each wait, ms.
        own: beginnings of the addresses that it may ask beside the server.
    """
    context = browser.new_context(viewport={"width": 1440, "height": height}, accept_downloads=True)
    opened = context.new_page()
    opened.set_default_timeout(patience)
    asked, faults = [], []
    opened.on("requestfinished", lambda request: asked.append(request.url))
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.goto(address + path)
    opened.locator(ready).wait_for()
    yield opened
    context.close()
    foreign = [url for url in asked if not url.startswith((address, *own))]
    assert foreign == [] and faults == []
