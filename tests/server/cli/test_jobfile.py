"""Job files on the command line: what is read, what is sent along, what is said of bad ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from yurt.server.cli.job_init import COMMENTED, SHORT
from yurt.server.cli.jobfile import JobFile, load
from yurt.server.cli.main import main
from yurt.server.jobspec.parse import Inputs, parse_job

SOURCE = 'variable "n" { default = "x" }\nvariable "l" { default = ["a"] }\njob "j" {\n  name = var.n\n  datacenters = var.l\n}\n'
FLAGS: dict[str, Any] = {"is_json": False, "variables": (), "variable_files": (), "is_strict": True}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job file in the working directory."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "j.nomad.hcl"
    path.write_text(SOURCE)
    return path


def loaded(path: Path | str, **flags: Any) -> JobFile:
    return load(str(path), **{**FLAGS, **flags})


def test_variables_come_from_flags_files_and_the_environment(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert loaded(file).job["Name"] == "x"
    assert loaded(file).submission == {"Source": SOURCE, "Format": "hcl2"}
    monkeypatch.setenv("NOMAD_VAR_n", "from nomad")
    assert loaded(file).job["Name"] == "from nomad"
    monkeypatch.setenv("YURT_VAR_n", "from yurt")
    assert loaded(file).job["Name"] == "from yurt"
    (file.parent / "v.hcl").write_text('n = "from file"\n')
    found = loaded(file, variable_files=("v.hcl",))
    assert found.job["Name"] == "from file" and found.submission["Variables"] == 'n = "from file"\n'
    found = loaded(file, variable_files=("v.hcl",), variables=("n=a=b", 'l=["c d"]'))
    assert (found.job["Name"], found.job["Datacenters"]) == ("a=b", ["c d"])
    assert found.submission["VariableFlags"] == {"n": "a=b"}
    assert found.submission["Variables"] == 'n = "from file"\n\nl = ["c d"]'
    assert found.flags == "-var=n=a=b '-var=l=[\"c d\"]' -var-file=v.hcl "


def test_what_is_sent_along_gives_the_same_job_on_a_server(file: Path) -> None:
    found = loaded(file, variables=("n=y", 'l=["c"]'))
    kept = found.submission
    text = kept["Variables"] + "".join(
        f"\n{name} = {json.dumps(value)}" for name, value in kept["VariableFlags"].items()
    )
    assert parse_job(kept["Source"], "input.hcl", Inputs(files=[("input.hcl", text)])) == found.job


def test_functions_read_files_beside_the_caller(file: Path) -> None:
    (file.parent / "name.txt").write_text("from disk")
    file.write_text('job "j" { name = file("name.txt") }\n')
    assert loaded("j.nomad.hcl").job["Name"] == "from disk"


@pytest.mark.parametrize(
    ("text", "is_json", "wanted"),
    [
        ('{"Job": {"ID": "a"}}', False, {"ID": "a"}),
        ('{"ID": "a"}', True, {"ID": "a"}),
        (' {"ID": "a"}', False, {"ID": "a"}),
    ],
)
def test_the_apis_json_is_taken_as_it_is(file: Path, text: str, is_json: bool, wanted: dict[str, Any]) -> None:
    file.write_text(text)
    found = loaded(file, is_json=is_json)
    assert (found.job, found.submission) == (wanted, {"Source": text, "Format": "json"})


def test_hcl_in_json_is_hcl(file: Path) -> None:
    file.write_text('{"job": {"j": {"name": "${upper(\\"x\\")}"}}}')
    assert loaded(file).job["Name"] == "X" and loaded(file).submission["Format"] == "hcl2"


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("job {", {}, "Error parsing job file from j.nomad.hcl:\nj.nomad.hcl:1,5-6: Unclosed configuration block"),
    (SOURCE, {"variables": ("zz=1",)}, 'Error parsing job file from j.nomad.hcl:\n<nil>: Undefined -var variable; A "zz" variable was passed'),
    (SOURCE, {"variables": ("zz",)}, "No '=' in -var \"zz\""),
    (SOURCE, {"variable_files": ("no",)}, 'Error parsing job file from j.nomad.hcl:\nunable to parse var file: <nil>: Failed to read file; failed to read "no": open no: no such file or directory'),
    ("[", {"is_json": True}, "Failed to parse JSON job: "),
    ("[]", {"is_json": True}, "Failed to parse JSON job: want an object"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "flags", "wanted"), BAD)
def test_bad_files_end_the_command(
    file: Path, text: str, flags: dict[str, Any], wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(text)
    with pytest.raises(SystemExit) as ended:
        loaded("j.nomad.hcl", **flags)
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith("Error getting job struct: " + wanted)


def test_undeclared_names_may_be_let_through(file: Path) -> None:
    assert loaded(file, variables=("zz=1",), is_strict=False).job["Name"] == "x"


def test_a_missing_file_is_named(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        loaded("no.hcl")
    assert (
        capsys.readouterr().err
        == 'Error getting job struct: Error opening file "no.hcl": open no.hcl: no such file or directory\n'
    )


@pytest.mark.parametrize(("flags", "text"), [([], COMMENTED), (["-short"], SHORT)])
def test_init_writes_an_example_once(
    file: Path, flags: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["job", "init", *flags])
    assert Path("example.nomad.hcl").read_text() == text
    assert capsys.readouterr().out == "Example job file written to example.nomad.hcl\n"
    assert loaded("example.nomad.hcl").job["ID"] == "example"
    with pytest.raises(SystemExit):
        main(["job", "init"])


def test_run_prints_the_request(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["job", "run", "-output", "-var", "n=z", "-hcl2-strict=false", str(file)])
    request = json.loads(capsys.readouterr().out)
    assert request["Job"]["Name"] == "z" and request["Submission"]["VariableFlags"] == {"n": "z"}
