"""Log lines, as text and as JSON."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from yurt.server.telemetry.logs import start_logging


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_text_on_a_terminal() -> None:
    stream = Terminal()
    start_logging("INFO", stream=stream)
    logging.getLogger("raft").info("leader elected", extra={"term": 3})
    logging.getLogger("raft").debug("not shown")
    line = stream.getvalue()
    assert line.endswith("[INFO] raft: leader elected: term=3\n") and line.count("\n") == 1


def test_json_elsewhere() -> None:
    stream = io.StringIO()
    start_logging("WARN", stream=stream)
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("fsm").warning("a command broke", exc_info=True, extra={"index": 7})
    line = json.loads(stream.getvalue())
    assert (line["@level"], line["@module"], line["@message"], line["index"]) == ("warn", "fsm", "a command broke", 7)
    assert "ValueError: broken" in line["trace"]
