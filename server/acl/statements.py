"""Statements: what a server hands to a node in place of its caller's secret.

A statement is a signed text (JWT, RS256, by the key that signs workload identities) that says who asks for what, what
that caller was found to be allowed, and of which node; it holds for one request of the next minute. Its type in the
header keeps it apart from workload identities, whose claims a job's author may choose.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric import rsa

from yurt.fsm.acl.rights import Rights
from yurt.fsm.errors import YurtError
from yurt.fsm.structs.acl import NamespaceRule, PlainRule, PolicyRules
from yurt.fsm.structs.times import SECOND

TYPE, ALGORITHM = "yurt-statement+jwt", "RS256"
HEADER, NODE_HEADER = b"x-yurt-statement", b"x-yurt-node"
ATTRIBUTE = "unique.yurt.statements"  # of a node that takes them; left out of the computed class
SECONDS = 60
TEXT_MAX, SEEN_MAX = 8192, 65_536


class BadStatement(YurtError):
    """The statement is not of this cluster, not for this node or request, or too old."""


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """A signed statement: subject, request and rights (capabilities in `namespace`, levels as `node:read`)."""

    subject: str = msgspec.field(name="sub")
    node_id: str = msgspec.field(name="aud")
    request: str = msgspec.field(name="yurt_request")
    capabilities: tuple[str, ...] = msgspec.field(default=(), name="yurt_capabilities")
    levels: tuple[str, ...] = msgspec.field(default=(), name="yurt_levels")
    namespace: str = msgspec.field(default="", name="yurt_namespace")
    alloc_id: str = msgspec.field(default="", name="yurt_allocation")
    issued: int = msgspec.field(default=0, name="iat")
    expires: int = msgspec.field(default=0, name="exp")
    id: str = msgspec.field(default="", name="jti")

    @property
    def rights(self) -> Rights:
        """Return the rights that the statement grants, and no others."""
        levels = {kind: PlainRule(policy=level) for kind, _, level in (text.partition(":") for text in self.levels)}
        namespaces = (NamespaceRule(name=self.namespace, capabilities=self.capabilities),)
        rules = PolicyRules(
            namespaces=namespaces if self.namespace else None, node=levels.get("node"), agent=levels.get("agent")
        )
        return Rights([rules])


def request_digest(method: str, path: str, raw_query: bytes, body: bytes) -> str:
    """Return a digest that binds a statement to one request."""
    whole = hashlib.sha256()
    for part in (method.encode(), path.encode("utf-8", "surrogateescape"), raw_query, body):
        whole.update(len(part).to_bytes(8, "big") + part)
    return whole.hexdigest()


def sign(statement: Statement, key_id: str, key: rsa.RSAPrivateKey, now_ns: int) -> str:
    """Return the statement as a signed text that holds for a minute from now."""
    seconds = now_ns // SECOND
    dated = msgspec.structs.replace(statement, issued=seconds, expires=seconds + SECONDS, id=str(uuid.uuid4()))
    claims: dict[str, Any] = msgspec.to_builtins(dated)
    return jwt.encode(claims, key, algorithm=ALGORITHM, headers={"kid": key_id, "typ": TYPE})


def key_id_of(text: str) -> str:
    """Return the ID of the key that a text says it is signed with; raises `BadStatement`."""
    try:
        header = jwt.get_unverified_header(text) if len(text) <= TEXT_MAX else {}
    except jwt.PyJWTError as error:
        raise BadStatement(f"the statement cannot be read: {error}") from None
    if header.get("typ") != TYPE:
        raise BadStatement("the statement is of another type")
    return str(header.get("kid", ""))


@dataclass(slots=True)
class Checker:
    """Checks statements for one node; each counts once."""

    node_id: str
    now_ns: Callable[[], int]
    _seen: dict[str, int] = field(default_factory=dict)  # ID → when it expires, oldest first

    def check(self, text: str, key: rsa.RSAPublicKey, request: str) -> Statement:
        """Return what a text says about a request, and count it as used; raises `BadStatement`."""
        statement = self.read(text, key)
        if statement.request != request:
            raise BadStatement("the statement is for another request")
        self._once(statement, self.now_ns() // SECOND)
        return statement

    def read(self, text: str, key: rsa.RSAPublicKey) -> Statement:
        """Return what a text says, whatever its request is; raises `BadStatement`. It is not used yet."""
        key_id_of(text)  # its type
        options: Any = {"verify_exp": False, "verify_iat": False, "require": ["exp", "iat", "jti"]}
        try:
            claims = jwt.decode(text, key, algorithms=[ALGORITHM], audience=self.node_id, options=options)
            statement = msgspec.convert(claims, Statement)
        except (jwt.PyJWTError, msgspec.ValidationError) as error:
            raise BadStatement(f"the statement does not hold here: {error}") from None
        now = self.now_ns() // SECOND
        if not statement.issued - SECONDS <= now < statement.expires <= statement.issued + SECONDS:
            raise BadStatement("the statement is too old or of the future: compare the clocks of server and node")
        if statement.id in self._seen:
            raise BadStatement("the statement was used already")
        return statement

    def _once(self, statement: Statement, now: int) -> None:
        for known, expires in list(self._seen.items()):
            if expires > now:
                break
            del self._seen[known]
        if statement.id in self._seen:
            raise BadStatement("the statement was used already")
        if len(self._seen) >= SEEN_MAX:
            raise BadStatement(f"{SEEN_MAX} statements came within a minute, and no more are taken: retry in a minute")
        self._seen[statement.id] = statement.expires
