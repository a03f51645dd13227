"""What the tests of the web page share: its addresses, jobs to look at, one way to press what asks back."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from tests.process.servers import ServerProcess

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Page

CHROMIUM = os.environ.get("YURT_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
PURGED = "again"
REFUSED = ("/submission?", "/v1/jobs/parse", "/v1/jobs?namespace=", f"/v1/job/{PURGED}")
MARKS = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium"),
]
EVIL = "<img/src=x/onerror=document.title='evil'>"


def job(job_id: str, count: int = 1, **fields: Any) -> dict[str, Any]:
    task = {
        "Name": "web", "Driver": "mock_driver", "Config": {"run_for": "1h", "stdout_string": "hello from the task"},
        "Resources": {"CPU": fields.pop("cpu", 20), "MemoryMB": 16}, "Env": {"V": fields.pop("env", "1")},
    }  # fmt: skip
    return {"Job": {"ID": job_id, "TaskGroups": [{"Name": "app", "Count": count, "Tasks": [task]}], **fields}}


def settled(server: ServerProcess, job_id: str) -> bool:
    found = server.request("GET", f"/v1/job/{job_id}/deployment")[1]
    return found is not None and found["Status"] == "successful"


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


def confirm(page: Page, action: str) -> None:
    page.locator("dialog").get_by_role("button", name=action).click()


def errors_of(page: Page) -> list[str]:
    """What the browser complains about from now on.

    Chromium notes each answer from 400 on. Sources that are not kept, registrations that are refused and a job
    that is purged while it is shown are none of the page's faults.
    """
    errors: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error" and not any(one in message.location["url"] for one in REFUSED):
            errors.append(f"{message.text} {message.location['url']}")

    page.on("console", note)
    page.on("pageerror", lambda error: errors.append(str(error)))
    return errors


def barriers(page: Page) -> list[str]:
    """What axe-core finds on the page, by the rules of WCAG 2.2 A and AA and its own best practices."""
    from axe_playwright_python.sync_playwright import Axe

    options = {"resultTypes": ["violations"], "rules": {"target-size": {"enabled": True}}}  # off by default: of 2.2 AA
    found = Axe().run(page, options=options).response["violations"]
    return [
        f"{one['id']}: {node['html'][:160]} {node.get('failureSummary', '')}" for one in found for node in one["nodes"]
    ]
