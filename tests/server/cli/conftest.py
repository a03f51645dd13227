"""Commands run in this process against one real server."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner

from tests.process.servers import ServerProcess
from tests.server.http.conftest import fresh_id, server
from yurt.server.cli.main import cli, two_dashes

__all__ = ["fresh_id", "server"]


class Ended(NamedTuple):
    """How a command ended and what it wrote."""

    code: int
    out: str
    err: str


@pytest.fixture
def yurt(server: ServerProcess, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
    """Run `yurt ARGUMENTS…` with the server's address in the environment."""
    for name in ("NOMAD_ADDR", "NOMAD_TOKEN", "NOMAD_NAMESPACE", "NOMAD_REGION", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("YURT_ADDR", server.address)

    def run(*arguments: str, stdin: str = "") -> Ended:
        result = CliRunner().invoke(cli, two_dashes(list(arguments)), input=stdin)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return Ended(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def written(tmp_path: Path) -> Callable[[Any], str]:
    """Write JSON to a file and return its path."""

    def write(value: Any) -> str:
        path = tmp_path / "job.json"
        path.write_text(value if isinstance(value, str) else json.dumps(value))
        return str(path)

    return write
