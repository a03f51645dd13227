"""The log file: appended to, replaced when it is full or old, old ones dropped, never the server's end."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from tests.server.telemetry.test_logs import root_logger
from yurt.server.telemetry.logs import start_logging
from yurt.server.telemetry.rotating_file import RotatingFile

__all__ = ["root_logger"]

LINE = "x" * 9  # ten bytes with its newline


class Log:
    """A file handler with a clock that stands still until it is moved."""

    def __init__(self, path: Path | str, **limits: int) -> None:
        self.now = 1000.0
        self.handler = RotatingFile(str(path), now=lambda: self.now, **limits)

    def write(self, count: int = 1, text: str = LINE) -> None:
        for _ in range(count):
            self.now += 1
            self.handler.emit(logging.makeLogRecord({"msg": text, "levelno": 20}))

    def archives(self) -> list[str]:
        return [one.name for one in self.handler.archives()]


def test_a_full_file_is_replaced_and_none_grows_beyond_its_size(tmp_path: Path) -> None:
    log = Log(tmp_path / "yurt.log", bytes_max=30)
    log.write(8)
    assert log.archives() == ["yurt-1004000000000.log", "yurt-1007000000000.log"]
    sizes = [one.stat().st_size for one in (*log.handler.archives(), log.handler.path)]
    assert sizes == [30, 30, 20]


def test_a_line_that_is_larger_than_a_file_has_one_of_its_own(tmp_path: Path) -> None:
    log = Log(tmp_path / "yurt.log", bytes_max=30)
    log.write(1, "y" * 99)
    assert log.archives() == []
    log.write(1)
    assert [one.stat().st_size for one in log.handler.archives()] == [100]


def test_an_old_file_is_replaced(tmp_path: Path) -> None:
    log = Log(tmp_path / "yurt.log", seconds_max=60)
    log.write(59)
    assert log.archives() == []
    log.write(1)
    assert len(log.archives()) == 1 and log.handler.path.read_text() == LINE + "\n"


@pytest.mark.parametrize(("files_max", "left"), [(0, 7), (1, 1), (3, 3)])
def test_only_so_many_old_files_are_kept_and_nothing_else_is_touched(tmp_path: Path, files_max: int, left: int) -> None:
    for name in ("yurt-new.log", "yurt-12.txt", "other-12.log"):
        (tmp_path / name).write_text("")
    log = Log(tmp_path / "yurt.log", bytes_max=10, files_max=files_max)
    log.write(8)
    assert len(log.archives()) == left
    assert log.archives()[-1] == "yurt-1008000000000.log", "the newest stay"
    assert len(list(tmp_path.iterdir())) == left + 1 + 3


def test_a_restart_goes_on_in_the_same_file(tmp_path: Path) -> None:
    Log(tmp_path / "yurt.log", bytes_max=30).write(2)
    log = Log(tmp_path / "yurt.log", bytes_max=30)
    log.write(2)
    assert [one.stat().st_size for one in (*log.handler.archives(), log.handler.path)] == [30, 10]


def test_a_directory_gets_a_file_of_the_usual_name(tmp_path: Path) -> None:
    assert Log(tmp_path).handler.path == tmp_path / "yurt.log"
    assert Log(f"{tmp_path}/new/").handler.path == tmp_path / "new/yurt.log"


def test_a_file_that_cannot_be_replaced_grows_on_and_this_is_said_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log(tmp_path / "yurt.log", bytes_max=10)
    log.write()

    def full(*_: object) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    log.write(3)
    assert capsys.readouterr().err.count("No space left on device") == 1
    assert log.handler.path.read_text().count("\n") == 4, "nothing is lost"
    monkeypatch.undo()
    log.write(2)
    assert log.handler.path.read_text() == LINE + "\n" and len(log.archives()) == 2, "it is tried again"


def test_a_directory_that_is_gone_and_comes_back_costs_the_lines_in_between(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = Log(tmp_path / "logs/yurt.log", bytes_max=10)
    log.write()
    log.handler.path.unlink()
    log.handler.path.parent.rmdir()
    (tmp_path / "logs").write_text("in the way")
    log.write(3)
    assert capsys.readouterr().err.count("cannot be written") == 1
    (tmp_path / "logs").unlink()
    log.write()
    assert log.handler.path.read_text() == LINE + "\n"


def test_a_file_that_cannot_be_opened_is_an_error_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        Log(tmp_path / "file/yurt.log")


def test_lines_go_to_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = RotatingFile(str(tmp_path / "yurt.log"))
    start_logging("INFO", json=None, file=file)
    logging.getLogger("raft").info("leader elected", extra={"term": 3})
    shown = json.loads(file.path.read_text())
    assert (shown["@message"], shown["term"]) == ("leader elected", 3)
    assert "leader elected" in capsys.readouterr().err
