"""Quoted strings, heredocs, and the templates in them (spec jobspec-hcl §5)."""

from __future__ import annotations

import re
from abc import abstractmethod
from dataclasses import dataclass

from yurt.server.hcl.cursor import Cursor
from yurt.server.hcl.diagnostics import Range, suggestion
from yurt.server.hcl.nodes import Conditional, For, Join, Literal, Node, Template, Wrap
from yurt.server.hcl.scanner import Token

_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}
_DOUBLED = re.compile(r"(?:\$\$|%%)\{")
_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{0,4}|U[0-9a-fA-F]{0,8}|.?)|(?:\$\$|%%)\{", re.DOTALL)
_ESCAPE_LENGTHS = {"u": 6, "U": 10}
_KEYWORDS = ("if", "for", "else", "endif", "endfor")
_UNBALANCED = "The control directives within this template are unbalanced."
_EXTRA = (
    "Did you intend this to be a literal sequence to be processed as part of another language? If so, you can escape "
    'it by starting with "$${" instead of just "${".'
)


@dataclass(slots=True)
class Piece:
    """A flat piece of a template: a literal text, an interpolation, or a directive (`if`, `else`, `for`, …)."""

    kind: str
    range: Range
    text: str = ""
    expression: Node | None = None
    names: tuple[str, str] = ("", "")
    trims_left: bool = False
    trims_right: bool = False


class TemplateParser(Cursor):
    """Reads templates; `expression` is what its subclass reads."""

    @abstractmethod
    def expression(self) -> Node:
        """An expression."""

    def quoted(self) -> Node:
        """A quoted string."""
        opening = self.read()
        pieces, end = self._pieces("cquote", is_heredoc=False)
        whole = self.range(opening).to(self.previous())
        return self._assembled(pieces, whole, self.range(opening), end)

    def heredoc(self) -> Node:
        """A heredoc."""
        opening = self.read()
        pieces, end = self._pieces("cheredoc", is_heredoc=True)
        whole = self.range(opening).to(self.previous())
        if opening.text.startswith("<<-"):
            _trim(pieces)
            _flush(pieces)
        return self._assembled(pieces, whole, self.range(opening), end, heredoc=True)

    def whole_template(self) -> Node:
        """The whole source as a template."""
        pieces, end = self._pieces("end", is_heredoc=True)
        whole = Range(self.source, 0, len(self.source.text))
        return self._assembled(pieces, whole, whole.at_start(), end)

    def label(self) -> tuple[str, Range]:
        """A quoted string that must be plain, with its range."""
        opening = self.read()
        parts: list[str] = []
        while True:
            token = self.read()
            if token.kind in ("cquote", "end"):
                if token.kind == "end":
                    detail = "Unable to find the closing quote mark before the end of the file."
                    self.tell(token, "Unterminated string literal", detail)
                break
            if token.kind == "lit":
                parts.append(self.decoded(token, escapes=True))
            elif token.kind in ("${", "%{"):
                mark = token.text[0]
                self.tell(
                    token,
                    "Invalid string literal",
                    "Template sequences are not allowed in this string. To include a literal "
                    f'"{mark}", double it (as "{mark * 2}") to escape it.',
                )
                self.recover("seqend")
            else:
                self.tell(token, "Invalid string literal", "This item is not valid in a string literal.")
                self.recover("cquote")
                break
        return "".join(parts), self.range(opening).to(self.previous())

    def decoded(self, token: Token, *, escapes: bool) -> str:
        """The text of a literal piece, with its escapes replaced; `escapes`: backslashes count."""
        text = token.text
        if "\\" not in text and "{" not in text:
            return text

        def replace(match: re.Match[str]) -> str:
            found = match[0]
            if found[0] != "\\":
                return found[1:]
            if len(found) == _ESCAPE_LENGTHS.get(found[1:2], 0) and int(found[2:], 16) < 0x110000:
                return chr(int(found[2:], 16))
            if found[1:] in _ESCAPES:
                return _ESCAPES[found[1:]]
            self._tell_escape(found, token.start + match.start())
            return found

        return (_ESCAPE if escapes else _DOUBLED).sub(replace, text)

    def _tell_escape(self, found: str, at: int) -> None:
        symbol = found[1:2]
        detail = f'The symbol "{symbol}" is not a valid escape sequence selector.'
        if symbol in _ESCAPE_LENGTHS:
            digits = "four" if symbol == "u" else "eight"
            detail = f"The \\{symbol} escape sequence must be followed by {digits} hexadecimal digits."
        self.tell(Range(self.source, at, at + max(len(found), 2)), "Invalid escape sequence", detail)

    def _pieces(self, end: str, *, is_heredoc: bool) -> tuple[list[Piece], Range]:
        """The pieces up to a token of kind `end`, which is taken, and the range of what ended them."""
        pieces: list[Piece] = []
        self.push(newlines=False)
        first = self._tokens[self._at]
        while True:
            token = self._tokens[self._at]
            if token.kind == end:
                self._at += end != "end"
                break
            if token.kind == "end":
                self.tell_first(token, "Unterminated template string", "No closing marker was found for the string.")
                self.in_recovery = True
                break
            self._at += 1
            if token.kind in ("lit", "strlit"):
                pieces.append(Piece("text", self.range(token), self.decoded(token, escapes=not is_heredoc)))
            elif token.kind == "${":
                pieces.append(self._interpolation(token, first))
            elif token.kind == "%{":
                pieces.append(self._directive(token))
            else:
                self.tell_first(token, "Unterminated template string", "No closing marker was found for the string.")
                token = self.recover(end)
                break
        self.pop()
        return pieces, self.range(token)

    def _interpolation(self, opening: Token, first: Token) -> Piece:
        value = self.expression()
        close = self.peek()
        if close.kind != "seqend":
            self._tell_extra(close, first)
            close = self.recover("seqend")
        else:
            self._at += 1
        whole = self.range(opening).to(self.range(close))
        return Piece(
            "value", whole, expression=value,
            trims_left="~" in opening.text or self.source.text[opening.end - 1] == "~",
            trims_right=close.text.startswith("~"),
        )  # fmt: skip

    def _tell_extra(self, close: Token, first: Token) -> None:
        if close.kind == ":":
            detail = "Template interpolation doesn't expect a colon at this location. " + _EXTRA
            self.tell_first(close, "Extra characters after interpolation expression", detail)
        elif close.kind == "end" or close.kind in ("oquote", "cheredoc", "badline"):
            self.tell_first(
                first,
                "Unclosed template interpolation sequence",
                "There is no closing brace for this interpolation sequence before the end of the "
                + ("file. " if close.kind == "end" else "quoted template. ")
                + "This might be caused by incorrect nesting inside the given expression.",
            )
        else:
            self.tell_first(
                close,
                "Extra characters after interpolation expression",
                "Expected a closing brace to end the interpolation expression, but found extra characters.\n\n"
                "This can happen when you include interpolation syntax for another language, such as shell scripting, "
                "but forget to escape the interpolation start token. If this is an embedded sequence for another "
                'language, escape it by starting with "$${" instead of just "${".',
            )

    def _directive(self, opening: Token) -> Piece:
        word = self.read()
        piece = Piece(word.text, self.range(opening), trims_left=self.source.text[opening.end - 1] == "~")
        if word.kind != "ident":
            detail = 'A template directive keyword ("if", "for", etc) is expected at the beginning of a %{ sequence.'
            self.tell_first(word, "Invalid template directive", detail)
            piece.kind = "bad"
        elif word.text == "if":
            piece.expression = self.expression()
        elif word.text == "for":
            self._for_directive(piece)
        elif word.text not in _KEYWORDS:
            meant = next((f' Did you mean "{one}"?' for one in _KEYWORDS if suggestion(word.text, [one])), "")
            detail = f'"{word.text}" is not a valid template control keyword.{meant}'
            self.tell_first(word, "Invalid template control keyword", detail)
            piece.kind = "bad"
        close = self.peek()
        if close.kind == "seqend" and piece.kind != "bad":
            self._at += 1
        else:
            if piece.kind != "bad":
                self.tell_first(
                    close, f"Extra characters in {piece.kind} marker",
                    "Expected a closing brace to end the sequence, but found extra characters.",
                )  # fmt: skip
            piece.range = self.range(opening).to(self.range(close))
            piece.trims_right = self.recover("seqend").text.startswith("~")
            return piece
        piece.range = self.range(opening).to(self.range(close))
        piece.trims_right = close.text.startswith("~")
        return piece

    def _for_directive(self, piece: Piece) -> None:
        names: list[str] = []
        for _ in range(2):
            name = self.read()
            if name.kind != "ident":
                self.tell_first(
                    name, "Invalid 'for' directive", "For directive requires variable name after 'for'."
                    if not names else "For directive requires value variable name after comma.",
                )  # fmt: skip
                piece.kind = "bad"
                return
            names.append(name.text)
            if self.peek().kind != ",":
                break
            self.read()
        if self.peek().text != "in":
            detail = "For directive requires 'in' keyword after names."
            self.tell_first(self.read(), "Invalid 'for' directive", detail)
            piece.kind = "bad"
            return
        self.read()
        piece.names = (names[0], names[1]) if len(names) == 2 else ("", names[0])
        piece.expression = self.expression()

    def _assembled(
        self, pieces: list[Piece], whole: Range, opening: Range, end: Range, *, heredoc: bool = False
    ) -> Node:
        _trim(pieces)
        if len(pieces) == 1 and pieces[0].kind == "value":
            inner = pieces[0].expression
            assert inner is not None
            return Wrap(whole, whole, inner)
        after = Range(self.source, whole.end, whole.end)
        reader = _Nesting(self, pieces, end)
        parts = reader.parts(()) or [Literal(after, after, "")]
        return Template(whole, parts[0].start, parts, heredoc)


def _trim(pieces: list[Piece]) -> None:
    for at, piece in enumerate(pieces):
        if piece.trims_left and at and pieces[at - 1].kind == "text":
            pieces[at - 1].text = pieces[at - 1].text.rstrip()
        if piece.trims_right and at + 1 < len(pieces) and pieces[at + 1].kind == "text":
            pieces[at + 1].text = pieces[at + 1].text.lstrip()


def _flush(pieces: list[Piece]) -> None:
    """Remove the smallest indentation of the pieces that begin a line (spec §5)."""
    beginnings: list[Piece] = []
    smallest: int | None = None
    begins = True
    for piece in pieces:
        if piece.kind != "text":
            if begins:
                smallest = 0
            begins = False
            continue
        text = piece.text
        if begins:
            if text.endswith("\n") and not text.strip():
                continue
            indent = len(text) - len(text.lstrip())
            smallest = indent if smallest is None else min(smallest, indent)
            beginnings.append(piece)
        begins = text.endswith("\n")
    for piece in beginnings:
        piece.text = piece.text[smallest or 0 :]


class _Nesting:
    """Turns flat pieces into nodes: directives hold what stands between them and their end."""

    def __init__(self, parser: TemplateParser, pieces: list[Piece], end: Range) -> None:
        self._parser, self._pieces, self._end = parser, pieces, end
        self._at = 0
        self._broken = False

    def parts(self, ends: tuple[str, ...], opener: Piece | None = None) -> list[Node]:
        """The nodes up to a directive of `ends`, which stays."""
        found: list[Node] = []
        while self._at < len(self._pieces):
            piece = self._pieces[self._at]
            if piece.kind in ends:
                return found
            self._at += 1
            if piece.kind == "text":
                if piece.text or not found:
                    found.append(Literal(piece.range, piece.range, piece.text))
            elif piece.kind == "value":
                assert piece.expression is not None
                found.append(piece.expression)
            elif piece.kind == "if":
                found.append(self._if(piece))
            elif piece.kind == "for":
                found.append(self._for(piece))
            elif piece.kind in _KEYWORDS:
                self._tell_unexpected(piece, opener, is_else="else" not in ends)
                if opener is not None:
                    self._broken = True
                    return found
        if opener is not None:
            self._parser.tell(
                self._end, "Unexpected end of template",
                f"The {opener.kind} directive at {opener.range} is missing its corresponding "
                f"end{opener.kind} directive.",
            )  # fmt: skip
        return found

    def _tell_unexpected(self, piece: Piece, opener: Piece | None, *, is_else: bool) -> None:
        detail = _UNBALANCED
        if opener is not None:
            detail = f"Expecting an end{opener.kind} directive for the {opener.kind} started at {opener.range}."
            if piece.kind == "else" and opener.kind == "if" and is_else:
                detail = f"Already in the else clause for the if started at {opener.range}."
        self._parser.tell(piece.range, f"Unexpected {piece.kind} directive", detail)

    def _template(self, parts: list[Node], after: Piece) -> Node:
        place = after.range
        parts = parts or [Literal(place.at_start(), place.at_start(), "")]
        whole = parts[0].range.to(parts[-1].range)
        return Template(whole, parts[0].start, parts)

    def _take(self) -> Piece | None:
        """The directive that ended the parts; None if they ended without it."""
        if self._broken:
            self._broken = False
            return None
        if self._at >= len(self._pieces):
            return None
        self._at += 1
        return self._pieces[self._at - 1]

    def _if(self, opener: Piece) -> Node:
        assert opener.expression is not None
        self._parser.push(newlines=False)
        yes = self._template(self.parts(("else", "endif"), opener), opener)
        no: Node = Literal(opener.range, opener.range, "")
        end = self._take()
        if end is not None and end.kind == "else":
            no = self._template(self.parts(("endif",), opener), end)
            end = self._take()
        self._parser.pop()
        whole = opener.range.to(end.range) if end is not None else opener.range
        return Conditional(whole, opener.expression.start, opener.expression, yes, no)

    def _for(self, opener: Piece) -> Node:
        if opener.expression is None:
            return Literal(opener.range, opener.range, "")
        self._parser.push(newlines=False)
        inner = self._template(self.parts(("endfor",), opener), opener)
        end = self._take()
        self._parser.pop()
        whole = opener.range.to(end.range) if end is not None else opener.range
        key, value = opener.names
        loop = For(whole, opener.range, key, value, opener.expression, None, inner, None, groups=False)
        return Join(whole, opener.range, loop)
