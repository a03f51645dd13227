"""The small part of the template language (spec node-agent §13)."""

from __future__ import annotations

import pytest

from yurt.server.client.templates import TemplateError, env_of, render

ENV = {"A": "one", "PATH": "/bin"}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("plain\n", "plain\n"), ("", ""), ('a {{ env "A" }} b', "a one b"), ("{{env `A`}}", "one"),
        ('{{ env "none" }}.', "."), ('{{ env "A" | toUpper }}', "ONE"), ('{{ "x y" | toUpper | toLower }}', "x y"),
        ('{{ env "A" | toJSON }}', '"one"'), ('{{ base64Encode "hi" }}', "aGk="), ("a {{/* no */}}b", "a b"),
        ('a \n {{- env "A" -}} \n b', "aoneb"), ("}} alone", "}} alone"),
    ],
)  # fmt: skip
def test_what_is_rendered(text: str, wanted: str) -> None:
    assert render(text, ENV) == wanted


def test_other_delimiters() -> None:
    assert render('[[ env "A" ]] {{ x }}', ENV, "[[", "]]") == "one {{ x }}"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("{{ nope }}", 'function "nope" not defined'), ('\n{{ key "a" }}', ':2: function "key" not defined'),
        ("{{ if true }}", 'function "if" not defined'), ("{{ env", "unclosed action"), ("{{ }}", "not defined"),
        ('{{ env "A" | nope }}', 'function "nope" not defined'), ('{{ "%" | base64Decode }}', "base64Decode"),
    ],
)  # fmt: skip
def test_everything_else_is_an_error_that_says_what(text: str, wanted: str) -> None:
    with pytest.raises(TemplateError) as caught:
        render(text, ENV)
    assert wanted in str(caught.value)


def test_files_of_variables() -> None:
    body = "# a comment\n\nA=1\nexport B = two words \nC=\"q = x\"\nD=''\n"
    assert env_of(body) == {"A": "1", "B": "two words", "C": "q = x", "D": ""}
    with pytest.raises(TemplateError, match="line 1"):
        env_of("nothing")
