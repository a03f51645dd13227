"""Structured diffs as text."""

from __future__ import annotations

from typing import Any

import click
import msgspec
import pytest

from yurt.fsm.structs.evaluation import DesiredUpdates, PlanAnnotations
from yurt.fsm.structs.job import Job
from yurt.scheduler.annotate import diff_plan
from yurt.server.cli import diff_text
from yurt.server.cli.diff_text import job_diff, printable, quoted

OLD: dict[str, Any] = {
    "ID": "web",
    "Meta": {"a": "1", "gone": "x"},
    "TaskGroups": [
        {
            "Name": "main",
            "Count": 2,
            "Services": [{"Name": "s", "Tags": ["x"]}],
            "Tasks": [
                {"Name": "nginx", "Driver": "docker", "Config": {"image": "nginx:1", "args": ["a"]}},
                {"Name": "side", "Driver": "docker"},
            ],
        },
        {"Name": "old", "Tasks": [{"Name": "t", "Driver": "d"}]},
        {"Name": "same", "Tasks": [{"Name": "t", "Driver": "d"}]},
    ],
}
NEW: dict[str, Any] = {
    "ID": "web",
    "Meta": {"a": "2", "b.c": "3"},
    "TaskGroups": [
        {
            "Name": "main",
            "Count": 3,
            "Services": [{"Name": "s", "Tags": ["x", "y"]}],
            "Tasks": [
                {"Name": "nginx", "Driver": "docker", "Config": {"image": "nginx:2", "args": ["a"]}},
                {"Name": "side", "Driver": "docker"},
            ],
        },
        {"Name": "new", "Tasks": [{"Name": "t", "Driver": "d"}]},
        {"Name": "same", "Tasks": [{"Name": "t", "Driver": "d"}]},
    ],
}
UPDATES = {
    "main": DesiredUpdates(place=1, destructive_update=2),
    "new": DesiredUpdates(place=1),
    "old": DesiredUpdates(stop=1),
    "same": DesiredUpdates(ignore=1),
}
EDITED = """\
+/- Job: "web"
+/- Meta[a]:    "1" => "2"
+   Meta[b.c]:  "3"
-   Meta[gone]: "x"
+/- Task Group: "main" (1 create, 2 create/destroy update)
  +/- Count: "2" => "3" (forces create)
  +/- Service {
        Address:           ""
        AddressMode:       "auto"
        Cluster:           "default"
        EnableTagOverride: "false"
        Kind:              ""
        Name:              "s"
        Namespace:         ""
        OnUpdate:          "require_healthy"
        PortLabel:         ""
        Provider:          "consul"
        TaskName:          ""
    +   Tags {
      +   Tags: "y"
          Tags: "x"
        }
      }
  +/- Task: "nginx" (forces create/destroy update)
    +/- Config {
          args[0]: "a"
      +/- image:   "nginx:1" => "nginx:2"
        }
      Task: "side"
+   Task Group: "new" (1 create)
  + Task: "t" (forces create)
-   Task Group: "old" (1 destroy)
  - Task: "t" (forces destroy)
    Task Group: "same" (1 ignore)
      Task: "t\""""


def diff(old: Any, new: Any, updates: Any = None) -> Any:
    jobs = [None if one is None else msgspec.convert(one, Job) for one in (old, new)]
    assert jobs[1] is not None
    return msgspec.to_builtins(diff_plan(jobs[0], jobs[1], PlanAnnotations(desired_tg_updates=updates)))


def test_an_edited_job() -> None:
    text = job_diff(diff(OLD, NEW, UPDATES))
    assert text.splitlines()[:-1] == EDITED.splitlines()[:-1]
    assert text.splitlines()[-1].strip() == 'Task: "t"'


def test_a_new_job_and_one_that_stays() -> None:
    text = job_diff(diff(None, OLD, {"main": DesiredUpdates(place=2)}))
    assert text.splitlines()[:4] == [
        '+ Job: "web"', '+ Task Group: "main" (2 create)', '  + Task: "nginx" (forces create)', '  + Task: "side" (forces create)',
    ]  # fmt: skip
    assert "Driver" not in text
    assert job_diff(diff(OLD, OLD)).splitlines()[:3] == ['Job: "web"', 'Task Group: "main"', '  Task: "nginx"']


def test_verbose_shows_everything_that_is_new() -> None:
    lines = job_diff(diff(None, OLD), verbose=True).splitlines()
    assert '+ Meta[a]:    "1"' in lines and "  + Service {" in lines and '      + image:   "nginx:1"' in lines
    assert sum(line.strip() == "}" for line in lines) == sum(line.endswith("{") for line in lines) > 5


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain äß", "plain äß"),
        ("\x1b[31m", "\\u001b[31m"),
        ("\x9b", "\\u009b"),
        ("a\u202eb", "a\\u202eb"),
        ("\n", "\\u000a"),
    ],
)
def test_a_terminal_obeys_nothing_of_a_job(text: str, shown: str) -> None:
    assert printable(text) == shown
    evil = diff({**OLD, "Meta": {text: text}}, OLD)
    assert all(line.isprintable() for line in job_diff(evil).splitlines())
    assert quoted('say "x"\n') == '"say \\"x\\"\\n"'


def test_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diff_text, "paint", lambda text, colour: click.style(text, fg=colour))
    lines = job_diff(diff(OLD, NEW, UPDATES)).splitlines()
    assert lines[0] == click.style("+/- ", fg="bright_yellow") + 'Job: "web"'
    assert lines[2].startswith(click.style("+   ", fg="green")) and lines[3].startswith(click.style("-   ", fg="red"))
    assert lines[4].endswith(
        f"({click.style('1 create', fg='green')}, {click.style('2 create/destroy update', fg='bright_yellow')})"
    )
    assert lines[-2].endswith('"same" (1 ignore)')
