"""The syntax tree of a source: bodies, blocks, attributes, expressions (spec jobspec-hcl §3, §4).

Every node has `range`, its whole text, and `start`, the stretch that diagnostics about its value point at (§16).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from yurt.server.hcl.diagnostics import Range


@dataclass(slots=True, eq=False)
class Node:
    """An expression."""

    range: Range
    start: Range


@dataclass(slots=True, eq=False)
class Literal(Node):
    """A number, a boolean, null, or a literal piece of a template."""

    value: str | Decimal | bool | None


@dataclass(slots=True, eq=False)
class Template(Node):
    """A quoted string or heredoc; its parts are joined as strings."""

    parts: list[Node]
    is_heredoc: bool = False


@dataclass(slots=True, eq=False)
class Wrap(Node):
    """A string that is exactly one interpolation: the value itself."""

    inner: Node


@dataclass(slots=True, eq=False)
class Paren(Node):
    """An expression in parentheses."""

    inner: Node


@dataclass(slots=True, eq=False)
class Join(Node):
    """A `for` directive: the strings of its items, joined."""

    loop: Node


@dataclass(slots=True, eq=False)
class Step:
    """One step of a traversal: a name (`is_name`) or a literal index."""

    range: Range
    key: str | Decimal
    is_name: bool


@dataclass(slots=True, eq=False)
class Traversal(Node):
    """`root.name[0]…`: a name and the steps from it."""

    root: str
    root_range: Range
    steps: list[Step]


@dataclass(slots=True, eq=False)
class Relative(Node):
    """Steps from the value of another expression."""

    source: Node
    steps: list[Step]


@dataclass(slots=True, eq=False)
class Index(Node):
    """`collection[key]` with a key that is computed."""

    collection: Node
    key: Node


@dataclass(slots=True, eq=False)
class Splat(Node):
    """`source[*].each` or `source.*.each`: steps and computed keys for every item."""

    source: Node
    path: list[Step | Node]


@dataclass(slots=True, eq=False)
class Call(Node):
    """`name(arguments…)`; `expands`: the last one is a list that stands for many."""

    name: str
    name_range: Range
    arguments: list[Node]
    expands: bool
    close: Range


@dataclass(slots=True, eq=False)
class Conditional(Node):
    """`condition ? yes : no`, or an `if` directive."""

    condition: Node
    yes: Node
    no: Node


@dataclass(slots=True, eq=False)
class Binary(Node):
    """`left operator right`."""

    operator: str
    left: Node
    right: Node


@dataclass(slots=True, eq=False)
class Unary(Node):
    """`-value` or `!value`."""

    operator: str
    operand: Node


@dataclass(slots=True, eq=False)
class TupleCons(Node):
    """`[a, b]`."""

    items: list[Node]


@dataclass(slots=True, eq=False)
class ObjectCons(Node):
    """`{ key = value }`; a bare name as a key is a `Literal`, one with steps a `Traversal`."""

    items: list[tuple[Node, Node]]


@dataclass(slots=True, eq=False)
class For(Node):
    """A `for` expression; `key` is None for a tuple."""

    key_name: str
    value_name: str
    collection: Node
    key: Node | None
    value: Node
    condition: Node | None
    groups: bool


@dataclass(slots=True, eq=False)
class Attribute:
    """`name = value` in a body."""

    name: str
    name_range: Range
    range: Range
    value: Node


@dataclass(slots=True, eq=False)
class Block:
    """`kind "label" { … }` in a body."""

    kind: str
    kind_range: Range
    labels: list[str]
    label_ranges: list[Range]
    open: Range
    body: Body

    @property
    def header(self) -> Range:
        """The kind and the labels."""
        return self.kind_range.to(self.label_ranges[-1]) if self.labels else self.kind_range


@dataclass(slots=True, eq=False)
class Body:
    """Attributes by name, blocks in order; `missing` is where diagnostics say that something is not there."""

    missing: Range
    attributes: dict[str, Attribute] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)
