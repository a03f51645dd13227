"""The web page in headless Chromium: every page in light and dark, wide and narrow; live, with actions, by keyboard.

Screenshots are kept in the directory that YURT_SCREENSHOTS names.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.browser.steps import EVIL, MARKS, address, barriers, confirm, errors_of, job, pages, settled
from tests.process.servers import ServerProcess, free_ports, wait_for

pytest.importorskip("playwright")  # of the extra `ci`
from playwright.sync_api import Browser, Page, expect

pytestmark = MARKS


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page(server: ServerProcess, browser: Browser, theme: Any, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=theme)
    page = context.new_page()
    errors = errors_of(page)
    found: list[str] = []
    kept = os.environ.get("YURT_SCREENSHOTS")
    for name, path in pages(server).items():
        page.goto(address(server, path))
        expect(page.locator("main h1")).to_be_visible()
        expect(page.locator("main")).not_to_contain_text("Loading…")
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, (
            f"{name} is wider than the window"
        )
        found += [f"{name}: {one}" for one in barriers(page)]
        assert (
            page.locator("main h1").count() == 1
            and page.locator('nav [aria-current="page"], .tools [aria-current]').count() >= 1
        )
        if kept:
            Path(kept).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=f"{kept}/{name}-{theme}-{width}.png")
    context.close()
    assert errors == [] and found == []


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_dialog(server: ServerProcess, browser: Browser, theme: Any, width: int) -> None:
    """Each asks before it does, can be left by Escape, and gives the focus back to what opened it."""
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=theme)
    page = context.new_page()
    errors = errors_of(page)
    kept = os.environ.get("YURT_SCREENSHOTS")
    paths = pages(server)
    opened = [("job", "Stop"), ("job", "Evaluate"), ("node", "Drain"), ("allocation", "Restart")]
    if width > 760:
        opened += [("jobs", "Keyboard shortcuts"), ("jobs", "Requests of this page")]
    for name, button in opened:
        page.goto(address(server, paths[name]))
        opener = page.get_by_role("button", name=button, exact=True)
        opener.click()
        expect(page.get_by_role("dialog")).to_be_visible()
        assert barriers(page) == [], button
        assert page.evaluate("document.querySelector('dialog').contains(document.activeElement)")
        if kept:
            page.screenshot(path=f"{kept}/dialog-{button.split()[0].lower()}-{theme}-{width}.png")
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_be_hidden()
        expect(opener).to_be_focused()
    context.close()
    assert errors == []


def test_nothing_of_a_name_is_run(server: ServerProcess, page: Page) -> None:
    page.goto(address(server, "/jobs"))
    expect(page.get_by_role("link", name=EVIL)).to_be_visible()
    page.get_by_role("link", name=EVIL).click()
    expect(page.locator("main h1")).to_contain_text(EVIL)
    assert page.title() != "evil" and page.locator("main img").count() == 0


def test_what_changes_is_seen_without_reloading(server: ServerProcess, page: Page) -> None:
    page.goto(address(server, "/jobs"))
    expect(page.get_by_role("link", name="billing")).to_be_visible()
    assert server.request("PUT", "/v1/jobs", job("newcomer"))[0] == 200
    expect(page.get_by_role("link", name="newcomer")).to_be_visible(timeout=10_000)
    expect(page.locator("#live")).to_have_text("live")


def test_why_something_is_not_placed(server: ServerProcess, page: Page) -> None:
    page.goto(address(server, pages(server)["evaluation"]))
    expect(page.locator(".notice.bad")).to_contain_text("2 allocations found no place")
    expect(page.locator(".notice.bad")).to_contain_text("1 node without enough cpu")


def test_a_canary_is_promoted_and_a_version_taken_back(server: ServerProcess, page: Page) -> None:
    page.goto(address(server, "/jobs/default/api"))
    wait_for(
        lambda: server.request("GET", "/v1/job/api/deployment")[1]["TaskGroups"]["app"]["HealthyAllocs"] >= 1,
        30,
        "a canary",
    )
    page.get_by_role("button", name="Promote").click()
    confirm(page, "Promote")
    wait_for(lambda: settled(server, "api"), 40, "the deployment")
    expect(page.locator("main")).to_contain_text("Deployment completed successfully", timeout=10_000)
    page.get_by_role("link", name="Versions").click()
    expect(page.locator(".diff").first).to_contain_text('Env[V]: "1" → "2"')
    page.get_by_role("button", name="Revert to version 0").click()
    confirm(page, "Revert")
    wait_for(lambda: server.request("GET", "/v1/job/api")[1]["Version"] == 2, 20, "the old content as version 2")


def test_a_job_is_run_scaled_and_stopped(server: ServerProcess, page: Page) -> None:
    page.goto(address(server, "/run"))
    page.get_by_label("Job file").fill(page.get_by_label("Job file").input_value().replace('"example"', '"typed"'))
    page.get_by_role("button", name="Plan").click()
    expect(page.locator(".diff")).to_contain_text('group "app"')
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.locator("main h1")).to_contain_text("typed")
    wait_for(lambda: settled(server, "typed"), 30, "the deployment")
    page.get_by_role("link", name="Scaling").click()
    page.get_by_label("Count of group app").fill("2")
    page.get_by_role("button", name="Scale").click()
    confirm(page, "Scale")
    expect(page.locator("main")).to_contain_text("from the web page", timeout=10_000)
    page.locator("main").get_by_role("button", name="Stop").click()
    confirm(page, "Stop")
    wait_for(lambda: server.request("GET", "/v1/job/typed")[1]["Stop"], 20, "the stop")
    expect(page.locator("main h1")).to_contain_text("stopped", timeout=10_000)


def test_by_keyboard_alone(server: ServerProcess, page: Page) -> None:
    page.goto(address(server))
    expect(page.locator("main h1")).to_have_text("Overview")
    page.keyboard.press("g")
    page.keyboard.press("j")
    expect(page.locator("main h1")).to_have_text("Jobs")
    expect(page.get_by_role("link", name="billing")).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("billing")
    expect(page.get_by_role("link", name="huge")).to_have_count(0)
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator("main h1")).to_contain_text("billing")
    page.keyboard.press("?")
    expect(page.locator("dialog")).to_contain_text("next and previous row")
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_be_hidden()


def test_links_of_other_tools_lead_to_the_page(server: ServerProcess, page: Page) -> None:
    page.goto(f"http://127.0.0.1:{server.http_port}/ui/jobs/billing@default")
    expect(page.locator("main h1")).to_contain_text("billing")
    page.goto(f"http://127.0.0.1:{server.http_port}/")
    expect(page.locator("main h1")).to_have_text("Overview")


def test_with_access_control_a_token_is_needed(tmp_path: Path, browser: Browser) -> None:
    acl = {"enabled": True}
    server = ServerProcess(tmp_path, "one", *free_ports(2), server={"enabled": True, "bootstrap_expect": 1}, acl=acl)
    try:
        server.start().wait_ready()
        secret = server.request("PUT", "/v1/acl/bootstrap")[1]["SecretID"]
        page = browser.new_page()
        page.goto(address(server, "/jobs"))
        expect(page.locator(".notice.bad")).to_contain_text("Permission denied")
        page.get_by_role("link", name="Use another token").click()
        page.locator("#secret").fill("4b1b8d2e-0000-4000-8000-000000000000")
        page.get_by_role("button", name="Use it").click()
        expect(page.locator("#messages")).to_contain_text("The token was not taken")
        page.locator("#secret").fill(secret)
        page.get_by_role("button", name="Use it").click()
        expect(page.locator("main")).to_contain_text("Bootstrap Token")
        page.get_by_role("link", name="Jobs").click()
        expect(page.locator("main")).to_contain_text("No jobs yet")
        assert secret not in page.content()
        page.close()
    finally:
        server.end()


def test_the_description_of_the_api_sends_requests(server: ServerProcess, page: Page) -> None:
    page.goto(f"http://127.0.0.1:{server.http_port}/docs")
    page.get_by_label("Filter endpoints").fill("get /v1/job/{")
    entry = page.locator("details", has_text="/v1/job/{id}").first
    entry.locator("summary").click()
    entry.get_by_text("Answer: 200 application/json Job").click()
    expect(entry.get_by_label("Example of the answer")).to_contain_text('"TaskGroups"')
    entry.get_by_label("id", exact=True).fill("billing")
    entry.get_by_role("button", name="Send").click()
    expect(entry.get_by_label("Answer", exact=True)).to_contain_text('"ID": "billing"')
    expect(entry).to_contain_text("curl -X GET")
    assert barriers(page) == []


def test_the_files_and_their_policy(server: ServerProcess) -> None:
    import http.client

    def ask(path: str, **headers: str) -> tuple[int, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=10)
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}

    status, headers = ask("/ui/app.js")
    assert status == 200 and headers["content-type"].startswith("text/javascript")
    assert "script-src 'self'" in headers["content-security-policy"] and headers["x-content-type-options"] == "nosniff"
    assert ask("/ui/app.js", **{"If-None-Match": headers["etag"]})[0] == 304
    assert ask("/ui/app.js", **{"Accept-Encoding": "gzip"})[1]["content-encoding"] == "gzip"
    for path in ("/ui/nobody.js", "/ui/../app.py", "/ui/%2e%2e/app.py", "/ui/views/../../app.py"):
        assert ask(path)[0] in (404, 301, 307), path
