"""Secret fields: the table knows all of them, and no filter, answer or event has one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from msgspec import inspect

from yurt.fsm.lang.filter import FilterError, Partial, compile_filter
from yurt.fsm.store.schema import TABLES
from yurt.fsm.structs.node import Node, NodeEvent
from yurt.fsm.structs.secrets import SECRET_FIELDS, readable_fields, redacted

# Names that sound like a secret. One that is none is listed here with its reason.
SOUNDS_SECRET = re.compile(r"secret|passw|credential|private|_key\b|key_material|\btoken|wrapped|\bdata\b")
NO_SECRETS = {
    ("Task", "secrets"): "where secrets come from, as the job says",
    ("Resources", "secrets_mb"): "a size",
    ("Identity", "allow_token_expiration"): "a switch",
    ("Template", "err_missing_key"): "a switch",
    ("Job", "dispatch_idempotency_token"): "a name that the dispatcher chose; it gives no right",
}
OPERATIONS = ('{} matches "^a"', '{} == "a"', '"a" in {}', "{} is empty", "{} is nil", "not {} contains b")


def records(kind: Any, seen: set[Any]) -> Iterator[type[msgspec.Struct]]:
    """Yield every record type that a table's rows hold, at any depth."""
    todo = [inspect.type_info(kind)]
    while todo:
        one = todo.pop()
        if isinstance(one, inspect.StructType):
            if one.cls not in seen:
                seen.add(one.cls)
                yield one.cls
                todo += [field.type for field in one.fields]
        elif isinstance(one, inspect.UnionType):
            todo += one.types
        elif isinstance(one, inspect.DictType):
            todo.append(one.value_type)
        elif isinstance(one, inspect.VarTupleType | inspect.ListType):
            todo.append(one.item_type)


STORED = sorted({kind for table in TABLES for kind in records(table.record, set())}, key=lambda kind: kind.__name__)
SECRETS = [(kind, name) for kind, names in SECRET_FIELDS.items() for name in sorted(names)]


@pytest.mark.parametrize("kind", STORED, ids=lambda kind: kind.__name__)
def test_s4_every_field_that_sounds_like_a_secret_is_in_the_table(kind: Any) -> None:
    for field in msgspec.structs.fields(kind):
        if SOUNDS_SECRET.search(field.name) and (kind.__name__, field.name) not in NO_SECRETS:
            assert field.name in SECRET_FIELDS.get(kind, ()), f"{kind.__name__}.{field.name}: is it secret?"


@pytest.mark.parametrize(("kind", "name"), SECRETS, ids=lambda value: getattr(value, "__name__", value))
def test_s4_a_filter_knows_a_secret_field_no_better_than_one_that_does_not_exist(kind: Any, name: str) -> None:
    wire = next(field.encode_name for field in msgspec.structs.fields(kind) if field.name == name)
    record = kind()
    for operation in OPERATIONS:
        texts = []
        for selector in (wire, "Nothing"):
            with pytest.raises(FilterError) as error:
                compile_filter(operation.format(selector)).matches(record)
            texts.append(str(error.value).replace(selector, "?"))
        assert texts[0] == texts[1] and "couldn't find key" in texts[0]


def test_s4_the_variables_of_a_collection_lead_to_no_secret_either() -> None:
    node = Node(secret_id="s", events=(NodeEvent(message="a"),))
    with pytest.raises(FilterError, match="couldn't find key"):
        compile_filter('any Events as e { e.Message == "b" or SecretID == "s" }').matches(node)


def test_s4_a_redacted_record_has_no_secret_and_everything_else() -> None:
    node = Node(id="n", secret_id="s", name="here")
    assert redacted(node) == Node(id="n", name="here")
    assert "SecretID" not in readable_fields(Node)
    assert set(readable_fields(Node)) == {field.encode_name for field in msgspec.structs.fields(Node)} - {"SecretID"}


def test_s4_of_a_partial_record_a_filter_sees_the_named_fields_only() -> None:
    node = Partial(Node(name="here", meta={"a": "b"}, node_class="c"), {"Name", "NodeClass", "SecretID", "Links"})
    assert compile_filter('Name == "here" and NodeClass == "c" and Links is empty').matches(node)
    for hidden in ('Meta.a == "b"', "Meta is empty", 'any Meta as k { k == "a" }', 'SecretID == "s"', "a in Meta"):
        with pytest.raises(FilterError, match="couldn't find key"):
            compile_filter(hidden).matches(node)
