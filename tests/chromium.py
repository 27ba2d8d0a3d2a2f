"""A page in a real browser, without a window and without a network."""

import shutil
from contextlib import contextmanager

import pytest


@contextmanager
def in_chromium(html, folder, ready="#r-pixel"):
    """Open a page, 1280 pixels wide; afterwards nothing may have been logged, raised or fetched.

    It is ready once ``ready`` holds something.
    """
    api = pytest.importorskip("playwright.sync_api")
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    executable = next((path for name in names if (path := shutil.which(name))), None)
    if executable is None:
        pytest.skip("no Chromium on this machine")
    file = folder / "page.html"
    file.write_text(html, encoding="utf-8")
    complaints = []
    with api.sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-background-networking", "--disable-component-update"]
        flags += ["--use-angle=swiftshader", "--enable-unsafe-swiftshader"]  # WebGL without a graphics card
        chromium = playwright.chromium.launch(executable_path=executable, args=flags)
        page = chromium.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(120_000)  # drawing without a graphics card takes its time beside other work
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: complaints.append(request.url))
        page.goto(file.as_uri())
        api.expect(page.locator(ready).first).not_to_be_empty()
        yield page
        chromium.close()
    outside = [c for c in complaints if not c.startswith((file.as_uri(), "data:"))]
    assert outside == []


def acting_parts(page):
    """Role and name, as a screen reader has them, of everything on a page that acts or shows."""
    nodes = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    acting = {"slider", "radio", "button", "link", "application", "image", "img", "checkbox"}
    return [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node.get("ignored") and node["role"]["value"] in acting
    ]
