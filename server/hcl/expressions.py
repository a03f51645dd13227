"""Expressions (spec jobspec-hcl §4): operators by precedence, then terms with what is appended to them."""

from __future__ import annotations

from abc import abstractmethod
from decimal import Decimal, InvalidOperation

from yurt.server.hcl.diagnostics import LimitError, Range
from yurt.server.hcl.nodes import (
    Binary,
    Call,
    Conditional,
    Index,
    Literal,
    Node,
    Paren,
    Relative,
    Splat,
    Step,
    Template,
    Traversal,
    Unary,
)
from yurt.server.hcl.scanner import DEPTH_MAX, Token
from yurt.server.hcl.templates import TemplateParser

_LEVELS = (("||",), ("&&",), ("==", "!="), (">", ">=", "<", "<="), ("+", "-"), ("*", "/", "%"))
_PRECEDENCE = {sign: level for level, signs in enumerate(_LEVELS) for sign in signs}
_WORDS = {"true": True, "false": False, "null": None}
_DOT = "An attribute name is required after a dot."
_CHAINED = (
    "When using the legacy index syntax, chaining two indexes together is not permitted. Use the proper index syntax "
    "instead, like [0][1]."
)
_NUMBER_LENGTH_MAX = 1024


class OperatorParser(TemplateParser):
    """Reads expressions; collections and `for` are read by the subclass."""

    @abstractmethod
    def collection(self) -> Node:
        """A tuple, an object, or a `for` in their brackets."""

    def expression(self) -> Node:
        """An expression; where there is none, a diagnostic and null."""
        self.push(self._newlines[-1])
        before = len(self.diagnostics)
        condition = self._binary(0)
        if self.peek().kind == "?" and not self.lost_since(before):
            condition = self._conditional(condition)
        self.pop()
        return condition

    def _conditional(self, condition: Node) -> Node:
        self.read()
        yes = self.expression()
        if self.peek().kind != ":":
            self.tell_first(
                self.peek(), "Missing false expression in conditional",
                "The conditional operator (...?...:...) requires a false expression, delimited by a colon.",
            )  # fmt: skip
            return Conditional(condition.range.to(yes.range), condition.start, condition, yes, yes)
        self.read()
        no = self.expression()
        return Conditional(condition.range.to(no.range), condition.start, condition, yes, no)

    def _binary(self, level: int) -> Node:
        before = len(self.diagnostics)
        left = self._unary()
        while True:
            if self.lost_since(before):
                return left
            sign = self.peek().kind
            found = _PRECEDENCE.get(sign, -1)
            if found < level:
                return left
            self.read()
            right = self._binary(found + 1)
            left = Binary(left.range.to(right.range), left.start, sign, left, right)

    def _unary(self) -> Node:
        token = self.peek()
        if token.kind not in ("-", "!"):
            return self._postfix(self._term())
        self.push(self._newlines[-1])
        self.read()
        operand = self._unary()
        self.pop()
        place = self.range(token)
        return Unary(place.to(operand.range), place, token.kind, operand)

    def _term(self) -> Node:
        token = self.peek()
        place = self.range(token)
        match token.kind:
            case "(":
                return self._parenthesised()
            case "number":
                self.read()
                return Literal(place, place, self._number(token))
            case "ident":
                self.read()
                if token.text in _WORDS:
                    return Literal(place, place, _WORDS[token.text])
                if self.peek().kind in ("(", "::"):
                    return self._call(token)
                return Traversal(place, place, token.text, place, [])
            case "oquote":
                return self.quoted()
            case "oheredoc":
                return self.heredoc()
            case "[" | "{":
                return self.collection()
        if token.kind == "end":
            detail = "Expected the start of an expression, but found the end of the file."
            self.tell_first(token, "Missing expression", detail)
        else:
            detail = "Expected the start of an expression, but found an invalid expression token."
            self.tell_first(token, "Invalid expression", detail)
        self.in_recovery = True
        return Literal(place, place, None)

    def _number(self, token: Token) -> Decimal:
        if len(token.text) > _NUMBER_LENGTH_MAX:
            raise LimitError(self.range(token), f"A number has more than {_NUMBER_LENGTH_MAX} digits.")
        try:
            return Decimal(token.text)
        except InvalidOperation:
            detail = "Failed to recognize the value of this number literal."
            self.tell(token, "Invalid number literal", detail)
            return Decimal(0)

    def _parenthesised(self) -> Node:
        opening = self.range(self.read())
        self.push(newlines=False)
        inner = self.expression()
        close = self.peek()
        if close.kind != ")":
            self.tell_first(
                close, "Unbalanced parentheses", "Expected a closing parenthesis to terminate the expression."
            )
            close = self.recover(")")
        else:
            self.read()
        self.pop()
        whole = opening.to(self.range(close))
        return Paren(whole, whole, inner)

    def _call(self, name: Token) -> Node:
        full, name_range = name.text, self.range(name)
        while self.peek().kind == "::":
            self.read()
            part = self.read()
            if part.kind != "ident":
                detail = "Function scope resolution symbol :: must be followed by a function name in this scope."
                self.tell_first(part, "Missing function name", detail)
                self.recover_after_item()
                return Literal(name_range, name_range, None)
            full, name_range = f"{full}::{part.text}", name_range.to(self.range(part))
        if self.peek().kind != "(":
            detail = "Function names must be followed by opening parenthesis."
            self.tell_first(self.peek(), "Missing open parenthesis", detail)
            self.in_recovery = True
            return Literal(name_range, name_range, None)
        opening = self.range(self.read())
        self.push(newlines=False)
        arguments, expands = self._arguments(name_range.to(opening))
        close = self.previous()
        self.pop()
        return Call(name_range.to(close), name_range.to(opening), full, name_range, arguments, expands, close)

    def _arguments(self, opening: Range) -> tuple[list[Node], bool]:
        arguments: list[Node] = []
        while True:
            if self.peek().kind == ")":
                self.read()
                return arguments, False
            before = len(self.diagnostics)
            arguments.append(self.expression())
            if self.lost_since(before):
                self.recover(")")
                return arguments, False
            separator = self.read()
            if separator.kind == ")":
                return arguments, False
            if separator.kind == "...":
                if self.peek().kind != ")":
                    self.tell_first(
                        self.peek(), "Missing closing parenthesis",
                        "An expanded function argument (with ...) must be immediately followed by closing parentheses.",
                    )  # fmt: skip
                    self.recover(")")
                else:
                    self.read()
                return arguments, True
            if separator.kind != ",":
                if separator.kind == "end":
                    self.tell(
                        opening, "Unterminated function call",
                        "There is no closing parenthesis for this function call before the end of the file. "
                        "This may be caused by incorrect parenthesis nesting elsewhere in this file.",
                    )  # fmt: skip
                else:
                    self.tell(
                        separator, "Missing argument separator",
                        "A comma is required to separate each function argument from the next.",
                    )  # fmt: skip
                self.recover(")")
                return arguments, False

    def _postfix(self, source: Node) -> Node:
        appended = 0
        while True:
            token = self.peek()
            if token.kind == ".":
                source = self._dot(source)
            elif token.kind == "[":
                source = self._bracket(source)
            else:
                return source
            appended += 1
            if appended > DEPTH_MAX:
                raise LimitError(self.range(token), f"Nested more than {DEPTH_MAX} deep.")

    def _dot(self, source: Node) -> Node:
        dot = self.range(self.read())
        token = self.peek()
        if token.kind == "ident":
            self.read()
            return _stepped(source, Step(dot.to(self.range(token)), token.text, is_name=True))
        if token.kind == "number":
            self.read()
            return self._legacy_index(source, dot, token)
        if token.kind == "*":
            marker = dot.to(self.range(self.read()))
            path = self._attribute_path()
            return Splat(source.range.to(self.previous()), marker, source, path)
        self.tell(token, "Invalid attribute name", _DOT)
        self.in_recovery = True
        return source

    def _attribute_path(self) -> list[Step | Node]:
        """The names and legacy indexes after `.*`."""
        path: list[Step | Node] = []
        while self.peek().kind == ".":
            star, dot = self.previous(), self.range(self.read())
            token = self.peek()
            whole = dot.to(self.range(token))
            if token.kind == "ident":
                path.append(Step(whole, token.text, is_name=True))
            elif token.kind == "number" and token.text.isdigit():
                path.append(Step(whole, Decimal(token.text), is_name=False))
            else:
                self.tell(star, "Invalid attribute name", _DOT)
                self.in_recovery = True
                break
            self.read()
        return path

    def _legacy_index(self, source: Node, dot: Range, token: Token) -> Node:
        if not token.text.isdigit():
            self.tell(token, "Invalid legacy index syntax", _CHAINED)
            return source
        return _stepped(source, Step(dot.to(self.range(token)), Decimal(token.text), is_name=False))

    def _bracket(self, source: Node) -> Node:
        opening = self.range(self.read())
        self.push(newlines=False)
        if self.peek().kind == "*" and self._tokens[self._at + 1].kind == "]":
            self.read()
            marker = opening.to(self.range(self.read()))
            self.pop()
            return self._full_splat(source, marker)
        key = self.expression()
        close = self.peek()
        if close.kind != "]":
            is_lost = self.in_recovery
            close = self.recover("]")
            if not is_lost:
                detail = 'The index operator must end with a closing bracket ("]").'
                self.tell(close, "Missing close bracket on index", detail)
        else:
            self.read()
        self.pop()
        whole = opening.to(self.range(close))
        literal = _literal_key(key)
        if literal is not None:
            return _stepped(source, Step(whole, literal, is_name=False))
        return Index(source.range.to(whole), opening, source, key)

    def _full_splat(self, source: Node, marker: Range) -> Node:
        path: list[Step | Node] = []
        while len(path) <= DEPTH_MAX:
            token = self.peek()
            if token.kind not in (".", "["):
                break
            place = self.range(token)
            if token.kind == "[" and self._tokens[self._at + 1].kind == "*":
                break
            stub = Literal(place.at_start(), place.at_start(), None)
            found = self._dot(stub) if token.kind == "." else self._bracket(stub)
            if isinstance(found, Relative):
                path.extend(found.steps)
            elif isinstance(found, Index):
                path.append(found.key)
            else:
                break
        return Splat(source.range.to(self.previous()), marker, source, path)


def _stepped(source: Node, step: Step) -> Node:
    whole = source.range.to(step.range)
    if isinstance(source, Traversal):
        return Traversal(whole, whole, source.root, source.root_range, [*source.steps, step])
    if isinstance(source, Relative):
        return Relative(whole, whole, source.source, [*source.steps, step])
    return Relative(whole, whole, source, [step])


def _literal_key(key: Node) -> str | Decimal | None:
    """The key of an index that is written out: a number or a plain string."""
    if isinstance(key, Literal) and isinstance(key.value, Decimal):
        return key.value
    if isinstance(key, Template) and len(key.parts) == 1 and isinstance(key.parts[0], Literal):
        value = key.parts[0].value
        return value if isinstance(value, str) else None
    return None
