"""What can be done in the web page: dispatch, edit, drain, restart; lists by page and filter; and what the server refuses."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest

from tests.browser.steps import MARKS, PURGED, address, confirm, job, settled
from tests.process.servers import ServerProcess, small_job, wait_for

pytest.importorskip("playwright")  # of the extra `ci`
from playwright.sync_api import Page, expect

pytestmark = MARKS
PER_PAGE = 100


def test_a_dispatch_asks_for_what_the_job_wants(server: ServerProcess, page: Page) -> None:
    wants = {"Payload": "required", "MetaRequired": ["who"], "MetaOptional": ["why"]}
    body = job("mailer", Type="batch", ParameterizedJob=wants)
    assert server.request("PUT", "/v1/jobs", body)[0] == 200
    page.goto(address(server, "/jobs/default/mailer"))
    page.get_by_role("button", name="Dispatch").click()
    page.get_by_label("who (required)").fill("Zoë")
    page.get_by_label("Payload (required)").fill("grüezi")
    confirm(page, "Dispatch")
    expect(page.locator("main h1")).to_contain_text("mailer/dispatch-", timeout=10_000)
    children = [one["ID"] for one in server.request("GET", "/v1/jobs?prefix=mailer/")[1]]
    assert len(children) == 1
    child = server.request("GET", f"/v1/job/{children[0]}")[1]
    assert child["Meta"] == {"who": "Zoë"} and base64.b64decode(child["Payload"]).decode() == "grüezi"
    page.goto(address(server, "/jobs/default/mailer"))
    expect(page.get_by_role("link", name=children[0])).to_be_visible()


def plan(page: Page, old: str, new: str) -> None:
    field = page.get_by_label("Job file")
    expect(field).to_have_value(re.compile(re.escape(old)))
    field.fill(field.input_value().replace(old, new))
    page.get_by_role("button", name="Plan").click()
    expect(page.locator(".diff")).to_be_visible()


def test_a_job_is_edited_as_it_was_written(server: ServerProcess, page: Page) -> None:
    page.goto(address(server, "/run"))
    plan(page, '"example"', '"written"')
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.locator("main h1")).to_contain_text("written")
    page.get_by_role("link", name="Definition").click()
    expect(page.get_by_label("Source (HCL)")).to_contain_text('job "written" {')
    page.get_by_role("link", name="Edit").click()
    plan(page, "memory = 32", "memory = 48")
    expect(page.locator(".diff")).to_contain_text('MemoryMB: "32" → "48"')
    # Somebody else is faster: the server refuses, and the page shows its words.
    other = server.request("GET", "/v1/job/written")[1]
    other["Priority"] = 60
    assert server.request("PUT", "/v1/jobs", {"Job": other})[0] == 200
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.locator(".notice.bad")).to_contain_text("job modify index")
    assert server.request("GET", "/v1/job/written")[1]["Version"] == 1
    page.get_by_role("button", name="Plan").click()
    page.get_by_role("button", name="Run", exact=True).click()
    wait_for(lambda: server.request("GET", "/v1/job/written")[1]["Version"] == 2, 20, "the edited version")


def test_a_mistake_is_shown_as_the_server_said_it(server: ServerProcess, page: Page) -> None:
    page.goto(address(server, "/run"))
    page.get_by_label("Job file").fill('job "x" {\n  group "a" {\n}\n')
    said = server.request("PUT", "/v1/jobs/parse", {"JobHCL": 'job "x" {\n  group "a" {\n}\n', "Canonicalize": True})
    assert said[0] == 400
    with page.expect_response("**/v1/jobs/parse"):
        page.get_by_role("button", name="Plan").click()
    expect(page.locator(".notice.bad")).to_have_text(str(said[1]).strip())


def test_a_node_is_drained_and_comes_back(server: ServerProcess, page: Page) -> None:
    node = server.request("GET", "/v1/nodes")[1][0]["ID"]
    page.goto(address(server, f"/nodes/{node}"))
    page.get_by_role("button", name="Drain", exact=True).click()
    page.get_by_label("Deadline").select_option("10 minutes")
    page.get_by_label("Leave system jobs on the node").check()
    confirm(page, "Drain")
    found: dict[str, Any] = wait_for(lambda: server.request("GET", f"/v1/node/{node}")[1]["LastDrain"], 20, "the drain")
    assert found["Status"] in ("draining", "complete")
    expect(page.locator("main h1")).to_contain_text("ineligible" if found["Status"] == "complete" else "draining")
    stop = page.get_by_role("button", name="Stop the drain")
    eligible = page.get_by_role("button", name="Mark eligible")
    expect(stop.or_(eligible)).to_be_visible()
    name = "Stop the drain" if stop.is_visible() else "Mark eligible"
    page.get_by_role("button", name=name).click()
    confirm(page, name)
    wait_for(lambda: server.request("GET", f"/v1/node/{node}")[1]["SchedulingEligibility"] == "eligible", 20, "room")


def test_an_allocation_is_restarted_and_stopped(server: ServerProcess, page: Page) -> None:
    assert server.request("PUT", "/v1/jobs", job("steady"))[0] == 200
    wait_for(lambda: settled(server, "steady"), 30, "the deployment")
    allocation = server.request("GET", "/v1/job/steady/allocations")[1][0]["ID"]
    page.goto(address(server, f"/allocations/{allocation}"))
    page.get_by_role("button", name="Restart").click()
    confirm(page, "Restart")
    expect(page.locator("main")).to_contain_text("1 restarts", timeout=20_000)
    page.get_by_role("button", name="Stop").click()
    confirm(page, "Stop")
    expect(page.locator("main h1")).to_contain_text("complete", timeout=20_000)
    expect(page.locator("main")).to_contain_text("Replaced by")


def test_a_stopped_job_is_started_again_and_purged(server: ServerProcess, page: Page) -> None:
    assert server.request("PUT", "/v1/jobs", job(PURGED))[0] == 200
    assert server.request("DELETE", f"/v1/job/{PURGED}")[0] == 200
    page.goto(address(server, f"/jobs/default/{PURGED}"))
    page.get_by_role("button", name="Start").click()
    confirm(page, "Start")
    expect(page.locator("main h1")).not_to_contain_text("stopped", timeout=10_000)
    page.locator("main").get_by_role("button", name="Stop").click()
    page.get_by_label("Purge").check()
    confirm(page, "Stop")
    expect(page.locator("main h1")).to_have_text("Jobs")
    assert server.request("GET", f"/v1/job/{PURGED}")[0] == 404


def test_lists_come_by_page_and_filters_are_in_the_address(server: ServerProcess, page: Page) -> None:
    for number in range(PER_PAGE + 5):
        assert server.request("PUT", "/v1/jobs", small_job(f"many-{number:03}"))[0] == 200
    page.goto(address(server, "/jobs"))
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(PER_PAGE)
    page.get_by_role("button", name="Next page").click()
    expect(page.get_by_role("link", name="many-000")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("link", name="many-104")).to_be_visible()
    page.get_by_label("Search jobs by name").fill("MANY-00")
    expect(rows).to_have_count(10)
    assert page.url.endswith("?q=MANY-00")
    page.reload()
    expect(rows).to_have_count(10)
    page.get_by_label("Search jobs by name").fill("`(")
    expect(page.locator("main")).to_contain_text("Nothing fits the filter.")


def test_events_can_be_paused(server: ServerProcess, page: Page) -> None:
    page.goto(address(server, "/events"))
    expect(page.locator(".timeline li").first).to_be_visible()
    page.get_by_role("button", name="Pause").click()
    assert server.request("PUT", "/v1/jobs", small_job("quiet"))[0] == 200
    expect(page.locator("main")).to_contain_text("events wait", timeout=10_000)
    expect(page.get_by_role("link", name="quiet", exact=True)).to_have_count(0)
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("link", name="quiet", exact=True).first).to_be_visible()


def test_the_choice_of_dark_outlives_a_reload(server: ServerProcess, page: Page) -> None:
    page.goto(address(server))
    toggle = page.get_by_role("button", name="Dark colours")
    colour = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(colour)
    toggle.click()
    expect(toggle).to_have_attribute("aria-pressed", "true")
    dark = page.evaluate(colour)
    assert dark != light
    page.reload()
    assert page.evaluate(colour) == dark
