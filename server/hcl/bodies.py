"""Bodies: arguments and blocks (spec jobspec-hcl §3)."""

from __future__ import annotations

from yurt.server.hcl.collections import ExpressionParser
from yurt.server.hcl.diagnostics import Diagnostic, HclError, Range, Source
from yurt.server.hcl.nodes import Attribute, Block, Body, Node
from yurt.server.hcl.scanner import Token

_REQUIRED = "Argument or block definition required"
_NEEDED = "An argument or block definition is required here."
_EQUALS = ' To set an argument, use the equals sign "=" to introduce the argument value.'
_END = {
    ",": "Single-line block syntax can include only one argument definition. To define multiple arguments, use the "
    "multi-line block syntax with one argument definition per line.",
    "newline": "An argument definition on the same line as its containing block creates a single-line block "
    "definition, which must also be closed on the same line. Place the block's closing brace immediately after the "
    "argument definition.",
}
_END_ELSE = (
    "A single-line block definition must end with a closing brace immediately after its single argument definition."
)


class BodyParser(ExpressionParser):
    """Reads a whole document.

    `is_lenient`: blocks may stand whole on one line, and argument names be quoted, as agents' configurations have it.
    """

    is_lenient = False

    def body(self, end: str, missing: Range) -> Body:
        """The items up to `end`, which is taken."""
        found = Body(missing)
        begin = self.previous()
        while True:
            token = self.peek()
            if token.kind == end:
                self.read()
                return found
            if token.kind == "newline":
                self.read()
            elif token.kind == "ident":
                self._item(self.read(), found)
            elif token.kind == "oquote" and self.is_lenient:
                text, place = self.label()
                self._item(Token("ident", text, place.start, place.end), found)
            else:
                self.read()
                self._tell_no_item(token, begin)
                self.recover(end)
                return found

    def _tell_no_item(self, token: Token, begin: Range) -> None:
        if token.kind == "oquote":
            self.tell_first(token, "Invalid argument name", "Argument names must not be quoted.")
        elif token.kind == "end":
            self.tell_first(
                begin, "Unclosed configuration block",
                "There is no closing brace for this block before the end of the file. This may be caused by incorrect "
                "brace nesting elsewhere in this file.",
            )  # fmt: skip
        else:
            self.tell_first(token, _REQUIRED, _NEEDED)

    def _item(self, name: Token, into: Body) -> None:
        kind = self.peek().kind
        if kind == "=":
            self._add(into, self._attribute(name, single=False))
        elif kind in ("oquote", "{", "ident"):
            self._block(name, into)
        else:
            self.recover_after_item()
            self.tell(name, _REQUIRED, _NEEDED + _EQUALS)

    def _add(self, into: Body, attribute: Attribute) -> None:
        earlier = into.attributes.get(attribute.name)
        if earlier is None:
            into.attributes[attribute.name] = attribute
            return
        self.tell(
            attribute.name_range, "Attribute redefined",
            f'The argument "{attribute.name}" was already set at {earlier.name_range}. '
            "Each argument may be set only once.",
        )  # fmt: skip

    def _attribute(self, name: Token, *, single: bool) -> Attribute:
        self.read()
        before = len(self.diagnostics)
        value = self.expression()
        place = self.range(name)
        if self.lost_since(before):
            self.recover_after_item()
        elif not single:
            token = self.peek()
            if not self._line_ends(token):
                summary, detail = "Missing newline after argument", "An argument definition must end with a newline."
                if token.kind == ",":
                    summary = "Unexpected comma after argument"
                    detail = "Argument definitions must be separated by newlines, not commas. " + detail
                self.tell_first(token, summary, detail)
                self.recover_after_item()
        return Attribute(name.text, place, place.to(value.range), value)

    def _block(self, kind: Token, into: Body) -> None:
        labels: list[str] = []
        ranges: list[Range] = []
        while True:
            token = self.peek()
            if token.kind == "{":
                break
            if token.kind == "oquote":
                text, place = self.label()
                labels.append(text)
                ranges.append(place)
            elif token.kind == "ident":
                self.read()
                labels.append(token.text)
                ranges.append(self.range(token))
            else:
                self._tell_no_block(token)
                self.recover_after_item()
                return
        opening = self.range(self.read())
        block = Block(kind.text, self.range(kind), labels, ranges, opening, Body(opening.at_start()))
        into.blocks.append(block)
        self.push(newlines=True)
        if self.is_lenient or self.peek().kind in ("newline", "end", "}"):
            block.body = self.body("}", opening.at_start())
        else:
            self._single(block)
        self.pop()
        token = self.peek()
        if not self._line_ends(token):
            detail = "A block definition must end with a newline."
            self.tell_first(token, "Missing newline after block definition", detail)
            self.recover_after_item()

    def _line_ends(self, token: Token) -> bool:
        """Whether an item may end before this token, which is taken if it is no brace."""
        if token.kind in ("newline", "end"):
            self.read()
            return True
        if token.kind == "," and self.is_lenient:
            self.read()
            return True
        return token.kind == "}" and self.is_lenient

    def _tell_no_block(self, token: Token) -> None:
        summary = "Invalid block definition"
        if token.kind == "=":
            detail = 'The equals sign "=" indicates an argument definition, and must not be used when defining a block.'
            self.tell(token, summary, detail)
        elif token.kind == "newline":
            detail = (
                'A block definition must have block content delimited by "{" and "}", starting on the same line as '
                "the block header."
            )
            self.tell(token, summary, detail)
        else:
            detail = 'Either a quoted string block label or an opening brace ("{") is expected here.'
            self.tell_first(token, summary, detail)

    def _single(self, block: Block) -> None:
        """A block on one line, with at most one argument."""
        before = len(self.diagnostics)
        name = self.read()
        kind = self.peek().kind
        if name.kind != "ident":
            self.tell(name, _REQUIRED, _NEEDED)
            self.recover_after_item()
        elif kind == "=":
            self._add(block.body, self._attribute(name, single=True))
        elif kind in ("oquote", "{", "ident"):
            self.tell(
                self.range(name).to(self.range(self.peek())), "Argument definition required",
                "A single-line block definition can contain only a single argument. If you meant to define argument "
                f'"{name.text}", use an equals sign to assign it a value. To define a nested block, place it on a '
                "line of its own within its parent block.",
            )  # fmt: skip
            self.recover_after_item()
        else:
            self.tell(name, _REQUIRED, _NEEDED + _EQUALS)
            self.recover_after_item()
        close = self.peek()
        if close.kind == "}":
            self.read()
            return
        of_body = self.diagnostics[before:]
        del self.diagnostics[before:]
        if close.kind == "end":
            self._tell_no_item(close, block.open)
        elif close.kind in _END:
            self.tell(close, "Invalid single-argument block definition", _END[close.kind])
        else:
            self.tell_first(close, "Invalid single-argument block definition", _END_ELSE)
        self.diagnostics += of_body
        self.recover("}")


class LenientParser(BodyParser):
    """Reads agents' configurations."""

    is_lenient = True


def parse(source: Source, parser: type[BodyParser] = BodyParser) -> Body:
    """The document of a source; raises `HclError` with what is wrong with its syntax."""
    body, diagnostics = parse_with_diagnostics(source, parser)
    if diagnostics:
        raise HclError(diagnostics)
    return body


def parse_with_diagnostics(source: Source, parser: type[BodyParser] = BodyParser) -> tuple[Body, list[Diagnostic]]:
    """The document as far as it can be read, and what is wrong with its syntax."""
    if source.text.startswith("\ufeff"):
        source.text = source.text[1:]
    reader = parser(source)
    body = reader.body("end", Range(source, len(source.text), len(source.text)))
    return body, reader.diagnostics


def parse_expression(source: Source) -> Node:
    """A source that is one expression; raises `HclError`."""
    parser = ExpressionParser(source)
    parser.push(newlines=False)
    node = parser.expression()
    token = parser.peek()
    if token.kind != "end":
        parser.tell_first(
            token, "Extra characters after expression",
            "An expression was successfully parsed, but extra characters were found after it.",
        )  # fmt: skip
    if parser.diagnostics:
        raise HclError(parser.diagnostics)
    return node


def parse_template(source: Source) -> Node:
    """A source that is one template, as strings in JSON are; raises `HclError`."""
    parser = ExpressionParser(source, template=True)
    node = parser.whole_template()
    if parser.diagnostics:
        raise HclError(parser.diagnostics)
    return node
