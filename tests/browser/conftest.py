"""A server with something of everything, and headless Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.browser.steps import CHROMIUM, EVIL, errors_of, job, settled
from tests.process.servers import ServerProcess, free_ports, wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


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


@pytest.fixture(scope="module")  # its loop is open as long as it is: other tests have their own
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page whose errors fail the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    made = context.new_page()
    errors = errors_of(made)
    yield made
    context.close()
    assert errors == []
