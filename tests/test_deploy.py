"""What deploys Yurt: the arguments in it are ones that the agent takes, and say what they should."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from yurt.server.cli.agent import agent, flags_of
from yurt.server.cli.main import two_dashes
from yurt.server.cli.man import write
from yurt.server.config.agent import AgentConfig
from yurt.server.config.load import load

yaml = pytest.importorskip("yaml")  # of the extra `ci`
DEPLOY = Path(__file__).parents[1] / "deploy"


def config_of(arguments: list[str]) -> AgentConfig:
    """What the agent makes of a command's arguments."""
    assert arguments[0] == "agent"
    command: click.Command = agent
    given: dict[str, Any] = command.make_context("agent", two_dashes(arguments)[1:]).params
    given.pop("paths")
    return load([], flags_of(given.pop("dev"), given))


def test_the_compose_file() -> None:
    services = yaml.safe_load((DEPLOY / "container/compose.yaml").read_text())["services"]
    servers = {name: config_of(one["command"]) for name, one in services.items() if name.startswith("server")}
    assert len(servers) == 3
    for name, config in servers.items():
        assert config.server.enabled and config.server.bootstrap_expect == 3 and config.node_name == name
        assert config.advertised("rpc") == f"{name}:4647" and config.advertised("http") == f"{name}:4646"
        assert set(config.join_addresses()) == {f"{other}:4647" for other in servers if other != name}
    node = config_of(services["node1"]["command"])
    assert node.client.enabled and not node.server.enabled
    assert node.server_addresses() == [f"{name}:4646" for name in servers]
    assert [port for one in services.values() for port in one.get("ports", ())] == ["127.0.0.1:4646:4646"], "loopback"


def test_the_kubernetes_manifest() -> None:
    found = {one["kind"]: one for one in yaml.safe_load_all((DEPLOY / "kubernetes/yurt.yaml").read_text())}
    assert set(found) == {"Service", "PodDisruptionBudget", "StatefulSet"}
    spec = found["StatefulSet"]["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    config = config_of([one.replace("$(POD_NAME)", "yurt-1") for one in container["args"]])
    assert config.server.bootstrap_expect == spec["replicas"] == 3 and config.advertised("rpc") == "yurt-1.yurt:4647"
    assert config.join_addresses() == [f"yurt-{number}.yurt:4647" for number in range(3)]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_the_units() -> None:
    for name in ("yurt.service", "yurt-node.service"):
        text = (DEPLOY / "systemd" / name).read_text()
        assert "ExecReload=/bin/kill -HUP $MAINPID" in text


def test_every_command_has_a_manual_page(tmp_path: Path) -> None:
    files = {file.name: file.read_text() for file in write(tmp_path)}
    assert {
        "yurt.1",
        "yurt-agent.1",
        "yurt-job-run.1",
        "yurt-tls-cert-create.1",
        "yurt-operator-raft-list-peers.1",
    } <= set(files)
    assert len(files) > 100
    for name, text in files.items():
        assert text.startswith('.TH "') and ".SH NAME\n" in text and ".SH SYNOPSIS\n" in text, name
        assert all(line[:1] not in ("'",) for line in text.splitlines()), name
    assert "\\-\\-" not in files["yurt-agent.1"], "flags have one dash, as in the help"
    assert "\\-bootstrap\\-expect" in files["yurt-agent.1"] and "Number of servers that form" in files["yurt-agent.1"]
    if groff := shutil.which("groff"):
        for file in sorted(tmp_path.iterdir()):
            done = subprocess.run([groff, "-man", "-Tutf8", "-z", file], capture_output=True, text=True)
            assert done.returncode == 0 and not done.stderr, f"{file.name}: {done.stderr}"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_in_a_real_shell(shell: str) -> None:
    script = subprocess.run(
        [sys.executable, "-m", "yurt.server.cli", "completion", shell], capture_output=True, text=True, check=True
    ).stdout
    assert "_YURT_COMPLETE" in script
    if (found := shutil.which(shell)) is not None:
        checked = subprocess.run([found, "-n"], input=script, capture_output=True, text=True)
        assert checked.returncode == 0, checked.stderr
