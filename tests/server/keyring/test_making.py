"""Root keys are made beside the server."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key

from yurt.server.keyring import making
from yurt.server.keyring.making import make_key_apart


def test_a_process_makes_a_whole_key_of_its_own() -> None:
    made = make_key_apart("one")
    assert made.key_id == "one" and made.is_whole
    assert isinstance(load_der_private_key(made.signing, None), rsa.RSAPrivateKey)


def test_the_process_runs_nothing_of_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secrets.py").write_text("import pathlib\npathlib.Path('ran').touch()\nraise SystemExit(1)\n")
    monkeypatch.chdir(tmp_path)
    assert make_key_apart("one").is_whole
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("output", [b"", b"not a key"])
def test_an_answer_that_is_no_key_is_made_up_for_here(monkeypatch: pytest.MonkeyPatch, output: bytes) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_given, **_options: SimpleNamespace(stdout=output))
    monkeypatch.setattr(making, "make_key", lambda key_id: (key_id, "made here"))
    assert make_key_apart("two") == ("two", "made here")


def test_without_a_process_the_key_is_made_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_arguments: Any, **_options: Any) -> None:
        raise OSError("no process")

    monkeypatch.setattr(subprocess, "run", refused)
    monkeypatch.setattr(making, "make_key", lambda key_id: (key_id, "made here"))
    assert make_key_apart("two") == ("two", "made here")
