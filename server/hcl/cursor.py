"""Reading tokens: what comes next, what is wrong with it, and how to go on after an error."""

from __future__ import annotations

from yurt.server.hcl.diagnostics import Diagnostic, LimitError, Range, Source
from yurt.server.hcl.scanner import DEPTH_MAX, Scanner, Token

_CLOSERS = {"}": "{", "]": "[", ")": "(", "cquote": "oquote", "cheredoc": "oheredoc"}
_OPENERS = {opener: closer for closer, opener in _CLOSERS.items()}
_INVALID_ONCE = {
    "'": ("Invalid character", 'Single quotes are not valid. Use double quotes (") to enclose strings.'),
    "`": (
        "Invalid character",
        'The "`" character is not valid. To create a multi-line string, use the "heredoc" syntax, like "<<EOT".',
    ),
    ";": (
        "Invalid character",
        'The ";" character is not valid. Use newlines to separate arguments and blocks, and commas to separate items '
        "in collection values.",
    ),
    "&": ("Unsupported operator", 'Bitwise operators are not supported. Did you mean boolean AND ("&&")?'),
    "|": ("Unsupported operator", 'Bitwise operators are not supported. Did you mean boolean OR ("||")?'),
    "~": ("Unsupported operator", 'Bitwise operators are not supported. Did you mean boolean NOT ("!")?'),
    "^": ("Unsupported operator", "Bitwise operators are not supported."),
}
_GROUPS = dict.fromkeys("&|~^", "bitwise")
_CURLY = (
    '"Curly quotes" are not valid here. These can sometimes be inadvertently introduced when sharing code via '
    'documents or discussion forums. It might help to replace the character with a "straight quote".'
)
_LINE_END = (
    "Quoted strings may not be split over multiple lines. To produce a multi-line string, either use the \\n escape "
    'to represent a newline character or use the "heredoc" multi-line template syntax.'
)


class Cursor:
    """The tokens of a source, read one by one; newlines are skipped where they mean nothing."""

    def __init__(self, source: Source, *, template: bool = False) -> None:
        self.source = source
        self._tokens = Scanner(source).tokens(template=template)
        self._at = 0
        self._newlines = [not template]
        self._depth = 0
        self.in_recovery = False
        self.diagnostics: list[Diagnostic] = []
        self._check_tokens()

    def _check_tokens(self) -> None:
        told: dict[str, int] = {}
        for token in self._tokens:
            if token.kind == "badline":
                self.tell(token, "Invalid multi-line string", _LINE_END)
            elif token.kind == "bad":
                group = _GROUPS.get(token.text, token.text)
                if "\udc80" <= token.text <= "\udcff":
                    group, found = "encoding", (
                        "Invalid character encoding",
                        "All input files must be UTF-8 encoded. Ensure that UTF-8 encoding is selected in your editor.",
                    )  # fmt: skip
                elif token.text in "“”":
                    group, found = "", ("Invalid character", _CURLY)
                else:
                    fallback = ("Invalid character", "This character is not used within the language.")
                    found = _INVALID_ONCE.get(token.text, fallback)
                    group = group if token.text in _INVALID_ONCE else ""
                times = told[group] = told.get(group, 0) + 1
                # Quotes come in pairs: every other one is told; of the rest the first.
                if not group or times == 1 or (group in "'`" and times % 2):
                    self.tell(token, *found)

    def range(self, token: Token) -> Range:
        """The range of a token."""
        return Range(self.source, token.start, token.end)

    def tell(self, where: Token | Range, summary: str, detail: str) -> None:
        """Add a diagnostic."""
        place = where if isinstance(where, Range) else Range(self.source, where.start, where.end)
        self.diagnostics.append(Diagnostic(place, summary, detail))

    def tell_first(self, where: Token | Range, summary: str, detail: str) -> None:
        """Add a diagnostic unless the parser is lost already, so that one error does not make many."""
        if not self.in_recovery:
            self.tell(where, summary, detail)

    def lost_since(self, before: int) -> bool:
        """Whether an error was told since there were `before` diagnostics, and the parser is lost."""
        return self.in_recovery and len(self.diagnostics) > before

    def peek(self) -> Token:
        """The next token."""
        if not self._newlines[-1]:
            while self._tokens[self._at].kind == "newline":
                self._at += 1
        return self._tokens[self._at]

    def read(self) -> Token:
        """Take the next token; the `end` stays."""
        token = self.peek()
        if token.kind != "end":
            self._at += 1
        return token

    def previous(self) -> Range:
        """The range of the token taken last, newlines that were skipped left out."""
        at = self._at - 1
        while at > 0 and not self._newlines[-1] and self._tokens[at].kind == "newline":
            at -= 1
        return self.range(self._tokens[max(at, 0)])

    def push(self, newlines: bool) -> None:
        """From here newlines separate (True) or mean nothing (False)."""
        self._newlines.append(newlines)
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise LimitError(self.range(self._tokens[self._at]), f"Nested more than {DEPTH_MAX} deep.")

    def pop(self) -> None:
        """The end of a `push`."""
        self._newlines.pop()
        self._depth -= 1

    def recover(self, end: str) -> Token:
        """Skip to after the matching `end`, or to the end of the text."""
        opener = _CLOSERS.get(end, "")
        self.in_recovery = True
        nested = 0
        while True:
            token = self.peek()
            starts = token.kind in ("${", "%{") if end == "seqend" else token.kind == opener
            if starts:
                nested += 1
            elif token.kind == end:
                if nested < 1:
                    return self.read()
                nested -= 1
            elif token.kind == "end":
                return token
            self.read()

    def recover_after_item(self) -> None:
        """Skip to after the end of the line on which an argument or block ends."""
        self.in_recovery = True
        opened: list[str] = []
        while True:
            token = self.read()
            kind = token.kind
            if kind == "end" or (kind == "newline" and not opened):
                return
            if kind in _OPENERS or kind in ("${", "%{"):
                opened.append(kind)
            elif kind in _CLOSERS or kind == "seqend":
                wanted = (_CLOSERS[kind],) if kind in _CLOSERS else ("${", "%{")
                while opened and opened.pop() not in wanted:
                    pass
