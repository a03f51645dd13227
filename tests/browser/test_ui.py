"""The web page in headless Chromium: every page in light and dark, wide and narrow; live, with actions, by keyboard.

Screenshots are kept in the directory that YURT_SCREENSHOTS names.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.process.servers import ServerProcess, free_ports, wait_for

pytest.importorskip("playwright")  # of the extra `ci`
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

CHROMIUM = os.environ.get("YURT_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
EVIL = "<img/src=x/onerror=document.title='evil'>"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium"),
]


def job(job_id: str, count: int = 1, **fields: Any) -> dict[str, Any]:
    task = {
        "Name": "web", "Driver": "mock_driver", "Config": {"run_for": "1h", "stdout_string": "hello from the task"},
        "Resources": {"CPU": fields.pop("cpu", 20), "MemoryMB": 16}, "Env": {"V": fields.pop("env", "1")},
    }  # fmt: skip
    return {"Job": {"ID": job_id, "TaskGroups": [{"Name": "app", "Count": count, "Tasks": [task]}], **fields}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with a node, and something of everything."""
    directory = tmp_path_factory.mktemp("ui")
    block = {"enabled": True, "bootstrap_expect": 1}
    made = ServerProcess(directory, "one", *free_ports(2), server=block, client={"enabled": True})
    try:
        made.start().wait_ready()
        wait_for(lambda: [one["Status"] for one in made.request("GET", "/v1/nodes")[1]] == ["ready"], 20, "a node")
        update = {"MaxParallel": 1, "Canary": 1, "MinHealthyTime": 100_000_000}
        for body in (job("api", 2), job(EVIL), job("billing", 2), job("huge", 2, cpu=900_000)):
            assert made.request("PUT", "/v1/jobs", body)[0] == 200
        wait_for(lambda: settled(made, "api"), 30, "the first version")
        assert made.request("PUT", "/v1/jobs", job("api", 2, env="2", Update=update))[0] == 200
        wait_for(lambda: settled(made, "billing"), 30, "no deployment of billing")
        yield made
    finally:
        made.end()


def settled(server: ServerProcess, job_id: str) -> bool:
    found = server.request("GET", f"/v1/job/{job_id}/deployment")[1]
    return found is not None and found["Status"] == "successful"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page whose errors fail the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    made = context.new_page()
    errors: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error":
            errors.append(message.text)

    made.on("console", note)
    made.on("pageerror", lambda error: errors.append(str(error)))
    yield made
    context.close()
    assert errors == []


def address(server: ServerProcess, path: str = "/") -> str:
    return f"http://127.0.0.1:{server.http_port}/ui/#{path}"


def pages(server: ServerProcess) -> dict[str, str]:
    """Every view with something in it."""
    allocation = server.request("GET", "/v1/job/billing/allocations")[1][0]["ID"]
    failed = next(one for one in server.request("GET", "/v1/job/huge/evaluations")[1] if one.get("FailedTGAllocs"))
    node = server.request("GET", "/v1/nodes")[1][0]["ID"]
    tabs = ("allocations", "versions", "evaluations", "deployments", "scaling", "definition")
    return {
        "overview": "/", "jobs": "/jobs", "job": "/jobs/default/api", "run": "/run", "nodes": "/nodes",
        **{f"job-{tab}": f"/jobs/default/api/{tab}" for tab in tabs},
        "node": f"/nodes/{node}", "allocation": f"/allocations/{allocation}", "evaluations": "/evaluations",
        "evaluation": f"/evaluations/{failed['ID']}", "events": "/events", "token": "/token",
    }  # fmt: skip


_UNNAMED = """() => [...document.querySelectorAll("button, a[href], input, select, textarea, pre[tabindex], [role=img]")]
  .filter((one) => !(one.innerText || "").trim() && !one.getAttribute("aria-label") && !(one.labels && one.labels.length))
  .map((one) => one.outerHTML.slice(0, 120))"""
_FAINT = """() => {
  const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((one) => one / 255).map((one) => one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
    .reduce((sum, one, at) => sum + one * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = (one) => { for (; one; one = one.parentElement) { const found = numbers(getComputedStyle(one).backgroundColor); if (found.length < 4 || found[3] === 1) return found; } return [255, 255, 255]; };
  const faint = [];
  for (const one of document.querySelectorAll("main *, header *")) {
    if (![...one.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim()) || !one.offsetParent || one.disabled) continue;
    if (one.classList.contains("live") || one.closest("option")) continue;
    const [a, b] = [light(numbers(getComputedStyle(one).color)), light(behind(one))];
    if ((Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 4.5) faint.push(one.textContent.trim().slice(0, 30));
  }
  return faint;
}"""


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page(server: ServerProcess, browser: Browser, theme: Any, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=theme)
    page, errors = context.new_page(), []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    kept = os.environ.get("YURT_SCREENSHOTS")
    for name, path in pages(server).items():
        page.goto(address(server, path))
        expect(page.locator("main h1")).to_be_visible()
        expect(page.locator("main")).not_to_contain_text("Loading…")
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, (
            f"{name} is wider than the window"
        )
        assert page.evaluate(_UNNAMED) == [], name
        assert page.evaluate(_FAINT) == [], name
        assert (
            page.locator("main h1").count() == 1
            and page.locator('nav [aria-current="page"], .tools [aria-current]').count() >= 1
        )
        if kept:
            Path(kept).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=f"{kept}/{name}-{theme}-{width}.png")
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


def confirm(page: Page, action: str) -> None:
    page.locator("dialog").get_by_role("button", name=action).click()


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
    entry.get_by_label("id", exact=True).fill("billing")
    entry.get_by_role("button", name="Send").click()
    expect(entry.locator("pre")).to_contain_text('"ID": "billing"')
    expect(entry).to_contain_text("curl -X GET")
    assert page.evaluate(_UNNAMED) == [] and page.evaluate(_FAINT) == []


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
