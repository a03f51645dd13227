"""Tuples, objects and `for` expressions (spec jobspec-hcl §4)."""

from __future__ import annotations

from yurt.server.hcl.diagnostics import Range
from yurt.server.hcl.expressions import OperatorParser
from yurt.server.hcl.nodes import For, Literal, Node, ObjectCons, TupleCons
from yurt.server.hcl.scanner import Token

_NESTING = "This may be caused by incorrect {} nesting elsewhere in this file."
_QUOTES = (
    " If you intended to given an attribute name containing periods or spaces, write the name in quotes to create a "
    "string literal."
)
_INVALID_FOR = "Invalid 'for' expression"


class ExpressionParser(OperatorParser):
    """Reads every kind of expression."""

    def collection(self) -> Node:
        """A tuple, an object, or a `for` in their brackets."""
        opening = self.read()
        is_tuple = opening.kind == "["
        self.push(newlines=False)
        if self.peek().kind == "ident" and self.peek().text == "for":
            found = self._for(opening, "]" if is_tuple else "}")
            self.pop()
            return found
        self.pop()
        return self._tuple(opening) if is_tuple else self._object(opening)

    def _tuple(self, opening: Token) -> Node:
        place = self.range(opening)
        self.push(newlines=False)
        items: list[Node] = []
        while True:
            if self.peek().kind == "]":
                close = self.read()
                break
            before = len(self.diagnostics)
            items.append(self.expression())
            if self.lost_since(before):
                close = self.recover("]")
                break
            token = self.peek()
            if token.kind == "]":
                close = self.read()
                break
            if token.kind != ",":
                if token.kind == "end":
                    detail = "There is no corresponding closing bracket before the end of the file. "
                    self.tell_first(
                        place, "Unterminated tuple constructor expression", detail + _NESTING.format("bracket")
                    )
                else:
                    detail = "Expected a comma to mark the beginning of the next item."
                    self.tell_first(token, "Missing item separator", detail)
                close = self.recover("]")
                break
            self.read()
        self.pop()
        return TupleCons(place.to(self.range(close)), place, items)

    def _object(self, opening: Token) -> Node:
        place = self.range(opening)
        self.push(newlines=True)
        items: list[tuple[Node, Node]] = []
        while True:
            token = self.peek()
            if token.kind == "newline":
                self.read()
                continue
            if token.kind == "}":
                close = self.read()
                break
            before = len(self.diagnostics)
            key = self._key()
            if self.lost_since(before) or not self._equals(place):
                close = self.recover("}")
                break
            items.append((key, self.expression()))
            if self.lost_since(before):
                close = self.recover("}")
                break
            token = self.peek()
            if token.kind == "}":
                close = self.read()
                break
            if token.kind not in (",", "newline"):
                if token.kind == "end":
                    self._tell_unterminated(place)
                else:
                    detail = "Expected a newline or comma to mark the beginning of the next attribute."
                    self.tell_first(token, "Missing attribute separator", detail)
                close = self.recover("}")
                break
            self.read()
        self.pop()
        return ObjectCons(place.to(self.range(close)), place, items)

    def _key(self) -> Node:
        token = self.peek()
        key = self.expression()
        if token.kind == "ident" and (key.range.start, key.range.end) == (token.start, token.end):
            return Literal(key.range, key.range, token.text)
        return key

    def _tell_unterminated(self, place: Range) -> None:
        detail = "There is no corresponding closing brace before the end of the file. "
        self.tell_first(place, "Unterminated object constructor expression", detail + _NESTING.format("brace"))

    def _equals(self, place: Range) -> bool:
        """Whether the sign between a key and its value is there, and taken."""
        token = self.peek()
        if token.kind in ("=", ":"):
            self.read()
            return True
        if token.kind in ("newline", ","):
            detail = 'Expected an attribute value, introduced by an equals sign ("=").'
            self.tell_first(token, "Missing attribute value", detail)
        elif token.kind == "end":
            self._tell_unterminated(place)
        else:
            detail = 'Expected an equals sign ("=") to mark the beginning of the attribute value.'
            if token.kind == "ident":
                detail += _QUOTES
            self.tell_first(token, "Missing key/value separator", detail)
        return False

    def _for(self, opening: Token, closer: str) -> Node:
        place = self.range(opening)
        self.read()
        lost = Literal(place, place, None)

        def fail(token: Token, detail: str) -> Node:
            self.tell_first(token, _INVALID_FOR, detail)
            self.recover(closer)
            return lost

        if self.peek().kind != "ident":
            return fail(self.peek(), "For expression requires variable name after 'for'.")
        names = [self.read().text]
        if self.peek().kind == ",":
            self.read()
            name = self.peek()
            if name.kind != "ident":
                return fail(name, "For expression requires value variable name after comma.")
            names.append(self.read().text)
        if self.peek().text != "in":
            return fail(self.peek(), "For expression requires the 'in' keyword after its name declarations.")
        self.read()
        over = self.expression()
        if self.peek().kind != ":":
            return fail(self.peek(), "For expression requires a colon after the collection expression.")
        self.read()
        key: Node | None = None
        value = self.expression()
        groups, condition = False, None
        if self.peek().kind == "=>":
            if closer == "]":
                return fail(self.peek(), "Key expression is not valid when building a tuple.")
            self.read()
            key, value = value, self.expression()
            if self.peek().kind == "...":
                self.read()
                groups = True
        elif closer == "}":
            self.tell_first(value.range, _INVALID_FOR, "Key expression is required when building an object.")
        elif self.peek().kind == "...":
            return fail(self.peek(), "Grouping ellipsis (...) cannot be used when building a tuple.")
        if self.peek().text == "if":
            self.read()
            condition = self.expression()
        close = self.peek()
        if close.kind != closer:
            return fail(close, "Extra characters after the end of the 'for' expression.")
        self.read()
        key_name, value_name = names if len(names) == 2 else ("", names[0])
        return For(place.to(self.range(close)), place, key_name, value_name, over, key, value, condition, groups)
