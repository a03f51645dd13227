"""Functions of files: on in the command line, off in a server."""

from __future__ import annotations

import base64
import os
import re
from fnmatch import translate
from pathlib import Path, PurePosixPath

from yurt.server.jobspec.functions.signature import TEXT_MAX, FunctionError, check_count, function, text_of
from yurt.server.jobspec.values import STRING, Value, boolean, set_of, text


def _read(path: str) -> bytes:
    target = os.path.expanduser(path)
    try:
        with open(target, "rb") as file:
            data = file.read(TEXT_MAX + 1)
    except IsADirectoryError:
        raise FunctionError(f"{path} is a directory, not a file") from None
    except FileNotFoundError:
        raise FunctionError(f"no file exists at {path}") from None
    except OSError as error:
        raise FunctionError(f"failed to read {path}: {error.strerror}") from None
    if len(data) > TEXT_MAX:
        raise FunctionError(f"{path} is larger than {TEXT_MAX} bytes")
    return data


@function("abspath", "path:string", needs_files=True)
def _abspath(path: Value) -> Value:
    return text(os.path.abspath(path.raw))


@function("basename", "path:string", needs_files=True)
def _basename(path: Value) -> Value:
    return text(PurePosixPath(path.raw).name or ("/" if path.raw.startswith("/") else "."))


@function("dirname", "path:string", needs_files=True)
def _dirname(path: Value) -> Value:
    return text(os.path.dirname(path.raw) or ".")


@function("pathexpand", "path:string", needs_files=True)
def _pathexpand(path: Value) -> Value:
    return text(os.path.expanduser(path.raw))


@function("file", "path:string", needs_files=True)
def _file(path: Value) -> Value:
    try:
        return text_of(_read(path.raw).decode())
    except UnicodeDecodeError:
        raise FunctionError(f"contents of {path.raw} are not valid UTF-8; use the filebase64 function to obtain the Base64 encoded contents") from None  # fmt: skip  # noqa: E501


@function("filebase64", "path:string", needs_files=True)
def _filebase64(path: Value) -> Value:
    return text_of(base64.b64encode(_read(path.raw)).decode())


@function("fileexists", "path:string", needs_files=True)
def _fileexists(path: Value) -> Value:
    target = Path(os.path.expanduser(path.raw))
    if target.exists() and not target.is_file():
        raise FunctionError(f"{path.raw} is not a regular file, but " + ("a directory" if target.is_dir() else "special"))  # fmt: skip  # noqa: E501
    return boolean(target.is_file())


@function("fileset", "path:string", "pattern:string", needs_files=True)
def _fileset(path: Value, pattern: Value) -> Value:
    root = Path(os.path.expanduser(path.raw))
    found = [one for one in _walk(root) if _matches(one, pattern.raw)]
    return set_of(STRING, [text(one) for one in found])


def _walk(root: Path) -> list[str]:
    found: list[str] = []
    for directory, _, names in os.walk(root):
        for name in names:
            found.append((Path(directory) / name).relative_to(root).as_posix())
            check_count(len(found))
    return found


def _matches(path: str, pattern: str) -> bool:
    """Whether a path fits a pattern: `**` stands for any folders, `*` and `?` stay within one."""
    parts = []
    for piece in pattern.split("/"):
        parts.append("(?:[^/]+/)*" if piece == "**" else translate(piece)[4:-3].replace(".*", "[^/]*") + "/")
    return re.fullmatch("".join(parts).removesuffix("/"), path) is not None
