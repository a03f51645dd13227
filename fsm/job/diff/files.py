"""The diff shapes of a task's initial files: artifacts and templates (spec job-model §7)."""

from __future__ import annotations

from operator import attrgetter

from yurt.fsm.job.diff.pairs import by, directly_or
from yurt.fsm.job.diff.shape import Many, One, Set, Shape
from yurt.fsm.structs.task import Artifact, ChangeScript, Template, WaitBlock

ARTIFACTS = Many("artifacts", "Artifact", Shape(Artifact, primitive=True), by(attrgetter("relative_dest")))
TEMPLATES = Many(
    "templates",
    "Template",
    Shape(
        Template,
        parts=(
            One("wait", "Template", Shape(WaitBlock, null="nil")),
            One("change_script", "ChangeScript", Shape(ChangeScript, parts=(Set("args", "Args"),))),
        ),
    ),
    directly_or(by(attrgetter("dest_path"))),
)
