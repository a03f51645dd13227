"""The web page over time: outages, what somebody is typing, focus, many windows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.steps import MARKS, address, confirm, job, settled
from tests.process.servers import ServerProcess, single, small_job, wait_for

pytest.importorskip("playwright")  # of the extra `ci`
from playwright.sync_api import Browser, Page, expect

pytestmark = MARKS


def test_a_server_that_comes_back_is_seen_without_reloading(tmp_path: Path, browser: Browser) -> None:
    with single(tmp_path) as server:
        page = browser.new_page()
        server.request("PUT", "/v1/jobs", job("before"))
        page.goto(address(server, "/jobs"))
        expect(page.get_by_role("link", name="before")).to_be_visible()
        server.kill()
        expect(page.locator("#trouble")).to_contain_text("cannot be reached", timeout=20_000)
        expect(page.get_by_role("link", name="before")).to_be_visible()  # what was known stays
        server.start().wait_ready()
        assert server.request("PUT", "/v1/jobs", job("after"))[0] == 200
        expect(page.get_by_role("link", name="after")).to_be_visible(timeout=20_000)
        expect(page.locator("#trouble")).to_be_hidden()
        page.close()


def test_what_is_typed_outlives_what_changes(server: ServerProcess, page: Page) -> None:
    page.goto(address(server, "/jobs/default/billing/scaling"))
    page.get_by_label("Count of group app").fill("7")
    assert server.request("PUT", "/v1/job/billing/scale", {"Target": {"Group": "app"}, "Message": "noted"})[0] == 200
    expect(page.locator("main")).to_contain_text("noted", timeout=10_000)
    expect(page.get_by_label("Count of group app")).to_have_value("7")


def test_the_focus_stays_on_a_tab_that_is_opened(server: ServerProcess, page: Page) -> None:
    page.goto(address(server, "/jobs/default/api"))
    page.get_by_role("link", name="Versions").focus()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_contain_text("Version 0")
    expect(page.get_by_role("link", name="Versions")).to_be_focused()


def test_the_overview_shows_nodes_as_they_change(server: ServerProcess, page: Page) -> None:
    page.goto(address(server))
    expect(page.locator("main")).to_contain_text("1 ready, 1 eligible")
    node = server.request("GET", "/v1/nodes")[1][0]["ID"]
    for state, shown in (("ineligible", "1 ready, 0 eligible"), ("eligible", "1 ready, 1 eligible")):
        server.request("PUT", f"/v1/node/{node}/eligibility", {"NodeID": node, "Eligibility": state})
        expect(page.locator("main")).to_contain_text(shown, timeout=10_000)


def test_many_windows_leave_room_for_actions(server: ServerProcess, browser: Browser) -> None:
    """Browsers open six connections to a server: windows must not hold them all with questions."""
    context = browser.new_context()
    names = [f"window-{number}" for number in range(8)]
    for name in names:
        assert server.request("PUT", "/v1/jobs", small_job(name))[0] == 200
    windows = [context.new_page() for _ in names]
    for page, name in zip(windows, names, strict=True):
        page.goto(address(server, f"/jobs/default/{name}"))
        expect(page.get_by_role("heading", name="Newest allocations")).to_be_visible(timeout=20_000)
    windows[0].get_by_role("button", name="Evaluate").click()
    confirm(windows[0], "Evaluate")
    expect(windows[0].locator("#messages")).to_contain_text("Evaluate: done", timeout=10_000)
    assert server.request("DELETE", f"/v1/job/{names[-1]}")[0] == 200
    expect(windows[-1].locator("main h1")).to_contain_text("stopped", timeout=20_000)  # they are live all the same
    context.close()


def test_a_hidden_window_asks_nothing(server: ServerProcess, page: Page) -> None:
    page.goto(address(server, "/jobs"))
    expect(page.locator("#live")).to_have_text("live")
    asked: list[str] = []
    hide = "(value) => { Object.defineProperty(document, 'hidden', { value, configurable: true });"
    hide += " document.dispatchEvent(new Event('visibilitychange')); }"
    page.evaluate(hide, True)
    expect(page.locator("#live")).to_have_text("paused")
    page.on("request", lambda request: asked.append(request.url))
    assert server.request("PUT", "/v1/jobs", job("unseen"))[0] == 200
    page.wait_for_timeout(1500)
    assert asked == []
    page.evaluate(hide, False)
    expect(page.get_by_role("link", name="unseen")).to_be_visible(timeout=10_000)


def test_a_job_that_finds_no_place_says_so(server: ServerProcess, page: Page) -> None:
    page.goto(address(server, "/jobs/default/huge"))
    expect(page.locator(".notice.bad")).to_contain_text("2 allocations found no place")
    expect(page.locator(".notice.bad")).to_contain_text("1 node without enough cpu")


def test_arrows_move_in_lists(server: ServerProcess, page: Page) -> None:
    page.goto(address(server, "/jobs"))
    expect(page.get_by_role("link", name="billing")).to_be_visible()
    page.keyboard.press("j")
    first = page.evaluate("document.activeElement.textContent")
    page.keyboard.press("ArrowDown")
    second = page.evaluate("document.activeElement.textContent")
    assert first != second
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement.textContent") == first


def test_logs_begin_when_the_task_does(server: ServerProcess, page: Page) -> None:
    body = job("late")
    body["Job"]["TaskGroups"][0]["Tasks"][0]["Config"]["start_block_for"] = "3s"
    assert server.request("PUT", "/v1/jobs", body)[0] == 200
    wait_for(lambda: server.request("GET", "/v1/job/late/allocations")[1], 20, "an allocation")
    page.goto(address(server, f"/allocations/{server.request('GET', '/v1/job/late/allocations')[1][0]['ID']}"))
    expect(page.get_by_label("Log")).to_contain_text("hello from the task", timeout=20_000)
    wait_for(lambda: settled(server, "late"), 30, "the deployment")
