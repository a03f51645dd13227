"""From the text of a job file to the job (spec jobspec-hcl §1, §3, §8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from yurt.server.hcl.bodies import parse
from yurt.server.hcl.diagnostics import Diagnostic, HclError, LimitError, Source
from yurt.server.hcl.nodes import Body, Node
from yurt.server.jobspec.canonical import canonicalize
from yurt.server.jobspec.content import Placed, Shape, content
from yurt.server.jobspec.decode import Decoder
from yurt.server.jobspec.json_source import JsonBody, parse_json
from yurt.server.jobspec.local_values import local_values
from yurt.server.jobspec.normalise import normalise
from yurt.server.jobspec.scope import Scope, Shared
from yurt.server.jobspec.values import Value
from yurt.server.jobspec.variables import Variables

_TOP = Shape({}, {"variables": (), "variable": ("name",), "locals": (), "job": ("name",)})


@dataclass(frozen=True, slots=True)
class Inputs:
    """Where values of variables come from beside their defaults, the weakest first.

    `files` are (name, text) pairs; `is_strict`: a name that is not declared is an error and no warning;
    `reads_files`: functions may read files, as in the command line; `what` error texts call the files' texts.
    """

    environment: Mapping[str, str] = field(default_factory=dict)
    files: Sequence[tuple[str, str]] = ()
    flags: Sequence[tuple[str, str]] = ()
    is_strict: bool = False
    reads_files: bool = False
    what: str = "content"


@dataclass(frozen=True, slots=True)
class Parsed:
    """The job, and its declared variables by how a flag's text is read: as it is, or as an expression."""

    job: dict[str, Any]
    simple_variables: frozenset[str]
    complex_variables: frozenset[str]


def parse_job(text: str, file: str, inputs: Inputs, *, canonical: bool = False) -> dict[str, Any]:
    """The job as JSON has it; raises `HclError`."""
    job = parse_file(text, file, inputs).job
    return canonicalize(job) if canonical else job


def parse_file(text: str, file: str, inputs: Inputs) -> Parsed:
    """The job of a file with its variables; raises `HclError`."""
    reader = _Reader(inputs)
    try:
        job = reader.job(Source(text, file))
    except RecursionError:
        raise LimitError(None, "The values are nested too deep.") from None
    return Parsed(job, *reader.variables_by_kind())


def read_body(source: Source) -> Body:
    """The document of a source, in native or JSON syntax; raises `HclError`."""
    source.text = source.text.removeprefix("\ufeff")
    return parse_json(source) if source.text.lstrip(" ").startswith("{") else parse(source)


class _Reader:
    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs
        self._shared = Shared(reads_files=inputs.reads_files)
        self._diagnostics: list[Diagnostic] = []
        self._variables = Variables(self._shared, self._diagnostics)

    def variables_by_kind(self) -> tuple[frozenset[str], frozenset[str]]:
        """The names of simple variables, and of those whose values are expressions."""
        declared = self._variables.declared
        complex_ = frozenset(name for name, one in declared.items() if not one.is_simple)
        return frozenset(declared) - complex_, complex_

    def _stop_on_errors(self) -> None:
        if any(not one.is_warning for one in self._diagnostics):
            raise HclError(self._diagnostics, whole=True)

    def job(self, source: Source) -> dict[str, Any]:
        scope = Scope(self._shared, {}, self._diagnostics, is_runtime=False)
        body = read_body(source)
        _, blocks = content(body, _TOP, scope)
        job = self._only_job(blocks)
        self._stop_on_errors()
        locals_ = self._declarations(blocks)
        self._assign()
        variables = self._variables.values()
        self._stop_on_errors()
        found = local_values(locals_, variables, self._shared, self._diagnostics)
        self._stop_on_errors()
        assert job is not None
        return self._decoded(job, {"var": variables, "local": found})

    def _only_job(self, blocks: list[Placed]) -> Placed | None:
        jobs = [one for one in blocks if one.block.kind == "job"]
        if not jobs and not self._diagnostics:
            self._diagnostics.append(Diagnostic(None, "Missing job block", "A job block is required"))
        for other in jobs[1:]:
            first = jobs[0].block.header
            detail = f'Only one block of type "job" is allowed. Previous definition was at {first}.'
            self._diagnostics.append(Diagnostic(other.block.header, "Duplicate job block", detail))
        return jobs[0] if jobs else None

    def _declarations(self, blocks: list[Placed]) -> dict[str, Node]:
        locals_: dict[str, Node] = {}
        for one in blocks:
            if one.block.kind == "variables":
                self._variables.declare_all(one.block.body)
            elif one.block.kind == "variable":
                self._variables.declare(one)
        for one in blocks:
            if one.block.kind == "locals":
                body = one.block.body
                plain = body.plain() if isinstance(body, JsonBody) else body
                for block in plain.blocks:
                    summary = f'Unexpected "{block.kind}" block'
                    self._diagnostics.append(Diagnostic(block.kind_range, summary, "Blocks are not allowed here."))
                locals_ |= {name: attribute.value for name, attribute in plain.attributes.items()}
        return locals_

    def _assign(self) -> None:
        declared = self._variables.declared
        for name in declared:
            given = self._inputs.environment.get(name)
            if given is not None:
                self._variables.assign_text(name, given, "env")
        for file, text in self._inputs.files:
            self._assign_file(Source(text, file))
        for name, text in self._inputs.flags:
            if name in declared:
                self._variables.assign_text(name, text, "cmd")
            else:
                self._tell_undeclared(name, is_flag=True)

    def _assign_file(self, source: Source) -> None:
        try:
            body = read_body(source)
        except LimitError:
            raise
        except HclError as error:
            raise VariablesError(error, self._inputs.what) from None
        plain = body.plain() if isinstance(body, JsonBody) else body
        for block in plain.blocks:
            self._tell_block(source.file, block)
        for name, attribute in plain.attributes.items():
            if name in self._variables.declared:
                self._variables.assign(name, attribute.value, "varfile")
            else:
                self._tell_undeclared(name, is_flag=False)

    def _tell_block(self, file: str, block: Any) -> None:
        if block.kind != "variable":
            detail = "Blocks are not allowed here."
            self._diagnostics.append(Diagnostic(block.kind_range, f'Unexpected "{block.kind}" block', detail))
            return
        name = block.labels[0] if block.labels else ""
        detail = (
            "A .var file is used to assign values to variables that have already been declared in job files, not to "
            f'declare new variables. To declare variable "{name}", place this block in one of your job files\n\n'
            f"To set a value for this variable in {file}, use the definition syntax instead:\n    {name} = <value>"
        )
        self._diagnostics.append(Diagnostic(block.kind_range, "Variable declaration in a .var file", detail))

    def _tell_undeclared(self, name: str, *, is_flag: bool) -> None:
        is_warning = not self._inputs.is_strict
        if is_flag:
            summary, how, where = "Undefined -var variable", "passed in the command line", "job file"
        else:
            summary, how, where = "Undefined variable", "set", "job files"
        detail = (
            f'A "{name}" variable was {how} but was not found in known variables. '
            f'To declare variable "{name}", place this block in your {where}'
        )
        self._diagnostics.append(Diagnostic(None, summary, detail, is_warning))

    def _decoded(self, job: Placed, names: dict[str, Value]) -> dict[str, Any]:
        decoder = Decoder()
        scope = Scope(self._shared, names, self._diagnostics)
        found = decoder.block("job", Placed(job.block, scope))
        self._stop_on_errors()
        if decoder.free_errors:
            raise HclError(decoder.free_errors[0])
        return normalise(found)


class VariablesError(HclError):
    """The text with the values of variables cannot be read."""

    def __init__(self, error: HclError, what: str) -> None:
        super().__init__(error.diagnostics)
        self.args = (f"unable to parse var {what}: {error}",)
