"""Paragraphs that commands share."""

from __future__ import annotations

from yurt.server.cli.output import missing_keys


def test_servers_without_root_keys_are_named_and_nobody_else() -> None:
    servers = [{"Name": "s1", "MissingKeys": ["k1", "k2"]}, {"Name": "s2", "MissingKeys": []}, {"Name": "s3"}]
    shown = missing_keys(servers, "Name")
    assert shown.split() == ["Server", "Missing", "Root", "Keys", "s1", "k1,", "k2"]
    assert missing_keys(servers[1:], "Name") == ""
