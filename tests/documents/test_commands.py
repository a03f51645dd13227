"""Each command of README.md and docs/ is run as it stands, from the built wheel, in an empty directory, in order.

`SHORT_FORMS` puts free loopback ports and shorter forms in place of what would take a port that is in use, another
machine, or minutes. `NOT_RUN` names each block that cannot be run here, with the reason.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.documents.blocks import Block, blocks_of, documents
from tests.wheel import ROOT, clean_environment, wheel_environment
from yurt.server.testing.process import AgentProcess, free_ports

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

DOCUMENT_SECONDS_MAX = 240.0
CALL_UNTIL_READY = (
    'for try in $(seq 300); do curl -sf "$YURT_ADDR/v1/status/leader" >/dev/null && break; sleep 0.1; done'
)

# Before the first block of a document: what its reader has running.
BEFORE = {
    "docs/operating.md": f"yurt agent -dev -config ports.json >agent.log 2>&1 &\n{CALL_UNTIL_READY}",
}

# (document or * for all, what stands there, what is run instead)
SHORT_FORMS = (
    ("*", "python3 -m venv .venv && .venv/bin/pip install -q . &&", "ln -s $ENVIRONMENT .venv &&"),
    ("*", "python3 -m venv .venv && .venv/bin/pip install yurt pytest &&", "ln -s $ENVIRONMENT .venv &&"),
    ("*", "pip install 'yurt[experiments]'", "pip --version"),
    ("*", "localhost:4646", "127.0.0.1:$HTTP_PORT"),
    ("*", "yurt agent -dev -acl-enabled &", f"yurt agent -dev -acl-enabled -config ports.json >agent.log 2>&1 &\n{CALL_UNTIL_READY}"),
    ("README.md", "-m yurt.deploy.quickstart", "-m yurt.deploy.quickstart --http-port $HTTP_PORT --rpc-port $RPC_PORT >quickstart.log 2>&1 &\n"
     "for try in $(seq 300); do grep -q 'Ctrl-C stops it' quickstart.log && break; sleep 0.1; done"),
    ("README.md", "yurt alloc logs -f -job hello ", "timeout 3 .venv/bin/yurt alloc logs -f -job hello || test $? = 124"),
    ("README.md", "-m yurt.deploy.local_cluster 3 ", "-m yurt.deploy.local_cluster 3 >cluster.log 2>&1 & cluster=$!\n"
     "for try in $(seq 300); do grep -q 'export YURT_ADDR' cluster.log && break; sleep 0.1; done\n"
     "grep 'export YURT_ADDR' cluster.log && kill -TERM $cluster && wait $cluster"),
    ("docs/experiments.md", "run leader-kill ", "run leader-kill -short "),
    ("docs/experiments.md", "run all -short -out results", "run pause calm -short -out results"),
    ("docs/operating.md", " FILE", " state.snap"),
    ("docs/operating.md", "DATA_DIR", '"$DATA_DIR"'),
    ("docs/operating.md", "ID1=10.0.0.1:4647 -server ID2=10.0.0.2:4647", '$(cat "$DATA_DIR/server/node-id")=127.0.0.1:$RPC_PORT'),
)  # fmt: skip

# (document, beginning of the block) -> why it cannot be run
NOT_RUN = {
    (
        "README.md",
        "python3 -m venv .venv && .venv/bin/pip install -q -e",
    ): "it is the command by which this test is run",
    ("docs/experiments.md", "yurt experiment run pause leader-kill -target"): "it breaks three machines over ssh",
}


def why_not(block: Block) -> str:
    """Return the reason why a block is not run, or ""."""
    for (document, beginning), reason in NOT_RUN.items():
        if block.document == document and block.text.startswith(beginning):
            return reason
    return ""


def typed(block: Block) -> str:
    """Return what is run for a block."""
    text = block.text
    for document, there, instead in SHORT_FORMS:
        if document in ("*", block.document):
            text = text.replace(there, instead)
    return text


def script(document: str) -> str:
    """Return one bash script of all blocks of a document: it ends at the first command that fails, and says where."""
    lines = ["set -Eeo pipefail", "shopt -s expand_aliases", BEFORE.get(document, "")]
    for block in blocks_of(document, "sh"):
        if why_not(block):
            continue
        lines += [f"trap 'echo \"{block.place}: $BASH_COMMAND\" >&2' ERR", f"echo '== {block.place}'", typed(block)]
    return "\n".join(lines)


DOCUMENTS = [name for name in documents() if any(not why_not(block) for block in blocks_of(name, "sh"))]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheel_environment(tmp_path_factory.mktemp("wheel"), "pytest", extras="[experiments]")


@pytest.fixture
def stopped_server(tmp_path: Path) -> Path:
    """The data directory of a server that has lived and is stopped."""
    server = AgentProcess(tmp_path / "stopped", "one", *free_ports(2), server={"enabled": True, "bootstrap_expect": 1})
    server.start().wait_ready().stop()
    return tmp_path / "stopped/data"


@pytest.fixture
def shell(tmp_path: Path, environment: Path, stopped_server: Path) -> tuple[Path, dict[str, str]]:
    """An empty directory and the environment of its reader."""
    directory = tmp_path / "empty"
    directory.mkdir()
    http_port, rpc_port = free_ports(2)
    variables = clean_environment() | {
        "PATH": f"{environment / 'bin'}:{os.environ['PATH']}", "HOME": str(tmp_path), "ENVIRONMENT": str(environment),
        "HTTP_PORT": str(http_port), "RPC_PORT": str(rpc_port), "YURT_ADDR": f"http://127.0.0.1:{http_port}",
        "DATA_DIR": str(stopped_server),
    }  # fmt: skip
    return directory, variables


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_commands_of_a_document_work_as_they_are_typed(document: str, shell: tuple[Path, dict[str, str]]) -> None:
    directory, variables = shell
    ports = f'{{"ports": {{"http": {variables["HTTP_PORT"]}, "rpc": {variables["RPC_PORT"]}}}}}'
    if "ports.json" in script(document):
        (directory / "ports.json").write_text(ports)
    if document == "docs/example/README.md":
        shutil.copytree(ROOT / "docs/example", directory, dirs_exist_ok=True)
    with (directory.parent / "output").open("w+") as output:
        reader = subprocess.Popen(
            ["bash", "-c", script(document)], cwd=directory, env=variables, stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            code = reader.wait(DOCUMENT_SECONDS_MAX)
        finally:
            end_session(reader.pid)
        output.seek(0)
        assert code == 0, output.read()[-6000:]


def end_session(session: int) -> None:
    """End each process that the shell of a document left: they are in its session, tasks of jobs apart."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            in_session = os.getsid(int(entry.name)) == session
        except OSError:
            continue
        if in_session:
            try:
                os.kill(int(entry.name), signal.SIGTERM)
            except OSError:
                continue


def test_each_block_that_is_not_run_is_there() -> None:
    for document, beginning in NOT_RUN:
        assert any(block.text.startswith(beginning) for block in blocks_of(document, "sh")), (
            f"{document} has no block that begins with {beginning!r}: take it off the list"
        )


def test_each_short_form_is_needed() -> None:
    texts = {name: "".join(block.text for block in blocks_of(name, "sh")) for name in documents()}
    for document, there, _ in SHORT_FORMS:
        where = texts if document == "*" else {document: texts[document]}
        assert any(there in text for text in where.values()), f"{document} does not say {there!r} any more"
