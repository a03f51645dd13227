"""One server, a node too, with a job that runs on it: `python -m yurt.deploy.quickstart`, Ctrl-C ends it.

The state stays in the data directory (yurt-data/quickstart), so that the next start finds the job again.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import click

START_SECONDS_MAX = 20.0

HELLO = {
    "Job": {
        "ID": "hello",
        "TaskGroups": [
            {
                "Name": "main",
                "Tasks": [
                    {
                        "Name": "clock",
                        "Driver": "raw_exec",
                        "Config": {
                            "command": "/bin/sh",
                            "args": ["-c", 'while true; do echo "$NOMAD_ALLOC_NAME says $(date +%T)"; sleep 1; done'],
                        },
                        "Resources": {"CPU": 50, "MemoryMB": 20},
                    }
                ],
            }
        ],
    }
}
EXAMPLE = {
    "Job": {
        "ID": "example",
        "Type": "batch",
        "Meta": {"owner": "quickstart"},
        "ParameterizedJob": {"Payload": "optional", "MetaOptional": ["who"]},
        "TaskGroups": [
            {
                "Name": "main",
                "Tasks": [
                    {
                        "Name": "greet",
                        "Driver": "raw_exec",
                        "Config": {"command": "/bin/echo", "args": ["hello, ${NOMAD_META_who}"]},
                        "Resources": {"CPU": 50, "MemoryMB": 20},
                    }
                ],
            }
        ],
    }
}


def yurt(*arguments: str, address: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run the command line against the server; its output is kept."""
    command = [sys.executable, "-P", "-m", "yurt.server.cli", *arguments, "-address", address]
    return subprocess.run(command, input=given, capture_output=True, timeout=30, check=False)


def wait_until_ready(server: subprocess.Popen[bytes], address: str) -> None:
    """Return when the server answers; end with its exit code if it stopped instead."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while yurt("job", "status", address=address).returncode != 0:
        if server.poll() is not None:
            raise SystemExit(server.returncode or 1)
        if time.monotonic() > deadline:
            server.terminate()
            raise click.ClickException(f"no answer from {address} after {START_SECONDS_MAX:.0f} s")
        time.sleep(0.1)  # a server does not tell when it is ready: it is asked


def first_lines(address: str) -> str:
    """Return the first output of the job's process, waiting until there is some."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline:
        log = yurt("alloc", "logs", "-job", "hello", address=address).stdout.decode()
        if log:
            return log
        time.sleep(0.2)  # the job's process starts on its own: its log is asked for
    raise click.ClickException("the job's process does not run: yurt job status hello")


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path), default=Path("yurt-data/quickstart"))
@click.option("--http-port", type=int, default=4646, help="Port of the HTTP API.")
@click.option("--rpc-port", type=int, default=4647, help="Port for other servers.")
def main(directory: Path, http_port: int, rpc_port: int) -> None:
    """Run one server with its state in DIRECTORY and an example job registered, until Ctrl-C."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "config.json"
    file.write_text(json.dumps({"name": "quickstart", "ports": {"http": http_port, "rpc": rpc_port}}))
    data = str((directory / "data").resolve())
    command = [sys.executable, "-P", "-m", "yurt.server.cli", "agent", "-config", str(file), "-dev", "-data-dir", data]
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # also where a shell lets SIGINT be ignored
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    address = f"http://127.0.0.1:{http_port}"
    try:
        wait_until_ready(server, address)
        for job in (EXAMPLE, HELLO):
            registered = yurt("job", "run", "-detach", "-", address=address, given=json.dumps(job).encode())
            if registered.returncode != 0:
                raise click.ClickException(registered.stderr.decode())
        log = first_lines(address)
        click.echo(yurt("job", "status", address=address).stdout.decode())
        click.echo(f"The process of job hello writes (yurt alloc logs -f -job hello):\n{log}")
        click.echo(
            f"Yurt serves {address}; try: curl {address}/v1/jobs?pretty\nCtrl-C stops it; the state stays in {data}"
        )
        server.wait()
    except KeyboardInterrupt:
        click.echo("\nstopping")
    finally:
        server.terminate()
        raise SystemExit(server.wait())


if __name__ == "__main__":
    main()
