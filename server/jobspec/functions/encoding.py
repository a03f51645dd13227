"""Functions that encode and decode: base64, JSON, CSV, URLs, YAML."""

from __future__ import annotations

import base64
import binascii
import csv
import io
from urllib.parse import quote_plus

from yurt.server.jobspec.functions.signature import FunctionError, FunctionLimit, function, text_of
from yurt.server.jobspec.jsontext import JsonError, from_json, json_text
from yurt.server.jobspec.values import STRING, Type, Value, list_of, object_of
from yurt.server.jobspec.yaml_read import YamlError, from_yaml
from yurt.server.jobspec.yaml_write import yaml_text


def decoded_base64(text: str) -> bytes:
    """The bytes of standard base64; raises FunctionError."""
    try:
        return base64.b64decode(text.replace("\r", "").replace("\n", ""), validate=True)
    except (binascii.Error, ValueError):
        raise FunctionError(f"failed to decode base64 data {text[:64]!r}".replace("'", '"')) from None


@function("base64decode", "str:string")
def _base64decode(text: Value) -> Value:
    data = decoded_base64(text.raw)
    try:
        return text_of(data.decode())
    except UnicodeDecodeError:
        raise FunctionError("the result of decoding the provided string is not valid UTF-8") from None


@function("base64encode", "str:string")
def _base64encode(text: Value) -> Value:
    return text_of(base64.b64encode(text.raw.encode()).decode())


@function("urlencode", "str:string")
def _urlencode(text: Value) -> Value:
    return text_of(quote_plus(text.raw, safe="~"))


@function("jsonencode", "val:any?")
def _jsonencode(value: Value) -> Value:
    try:
        return text_of(json_text(value))
    except JsonError as error:
        raise FunctionLimit(str(error)) from None


@function("jsondecode", "str:string")
def _jsondecode(text: Value) -> Value:
    try:
        return from_json(text.raw)
    except JsonError as error:
        raise FunctionError(str(error)) from None


@function("yamlencode", "value:any?")
def _yamlencode(value: Value) -> Value:
    try:
        return text_of(yaml_text(value))
    except JsonError as error:
        raise FunctionLimit(str(error)) from None


@function("yamldecode", "src:string")
def _yamldecode(text: Value) -> Value:
    try:
        return from_yaml(text.raw)
    except YamlError as error:
        raise FunctionError(str(error)) from None


@function("csvdecode", "str:string")
def _csvdecode(text: Value) -> Value:
    reader = csv.reader(io.StringIO(text.raw), strict=True)
    names: list[str] | None = None
    rows: list[Value] = []
    try:
        for row in reader:
            if not row:
                continue
            if names is None:
                names = row
                _check_header(names)
            elif len(row) != len(names):
                raise FunctionError(f"CSV parse error on line {reader.line_num}: wrong number of fields")
            else:
                rows.append(object_of({name: Value(STRING, one) for name, one in zip(names, row, strict=True)}))
    except csv.Error as error:
        raise FunctionError(f"CSV parse error on line {reader.line_num}: {error}") from None
    if names is None:
        raise FunctionError("missing header line")
    element = Type("object", None, dict.fromkeys(sorted(names), STRING))
    return list_of(element, rows)


def _check_header(names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise FunctionError(f'duplicate column name "{name}"')
        seen.add(name)
