"""The code's own order: who may import whom, what pure rooms may touch, how long things may be, what docs must say."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Callable, Iterator
from functools import cache, wraps
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("fsm", "scheduler", "server", "deploy")
LINES_PER_FILE_MAX = 400
LINES_PER_FUNCTION_MAX = 60
TOP_LEVEL = {
    "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md", "deploy", "docs", "fsm", "pyproject.toml", "scheduler",
    "server", "src", "tests",
}  # fmt: skip

PURE_STANDARD_LIBRARY = {
    "__future__", "abc", "base64", "binascii", "bisect",
    "calendar", "collections", "copy", "dataclasses", "datetime", "enum",
    "fnmatch", "functools", "hashlib", "heapq", "itertools", "json", "math", "operator", "re", "string", "struct",
    "traceback", "types", "typing", "unicodedata", "weakref", "zlib", "zoneinfo",
}  # fmt: skip
PURE_PACKAGES = {"msgspec", "msgpack", "orjson", "sortedcontainers", "immutables", "re2"}
RAFT_CORE = "server/raft/core/"  # time, chance and files are handed to it
MAY_IMPORT = {
    "fsm/": PURE_STANDARD_LIBRARY | PURE_PACKAGES | {"yurt.fsm"},
    "scheduler/": PURE_STANDARD_LIBRARY | PURE_PACKAGES | {"yurt.fsm", "yurt.scheduler", "numpy"},
    RAFT_CORE: PURE_STANDARD_LIBRARY
    | PURE_PACKAGES
    | {"contextlib", "logging", "random", "yurt.fsm", "yurt.server.raft"},
}
ONLY_IN = {  # a package → the places that may import it
    "pysyncobj": ("server/raft/engines/pysyncobj/",),
    "starlette": ("server/http/", "server/agent.py"),
    "uvicorn": ("server/http/", "server/agent.py"),
    "click": ("server/cli/", "server/experiments/", "deploy/"),
    "matplotlib": ("server/experiments/figures.py",),
}
EXPERIMENTS = "server/experiments/"
RUN_EXPERIMENTS = (EXPERIMENTS, "server/cli/experiment.py", "server/testing/simulation/experiment.py")
STILL_IN_A_CIRCLE = "yurt.server.testing.simulation."  # servers, their network and their clients know each other
BANNED_CALLS = {"eval", "exec", "compile", "__import__"}
BANNED_MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "yaml"}
LISTS_OF_OBJECTS = {"get_objects", "get_referrers", "get_freeze_count"}
BEGIN_NO_DOCSTRING = {"What", "Who", "Those", "Of", "Whoever", "Whatever", "And", "Others"}
BANNED_PURE_CALLS = {"open", "print", "input", "hash", "id"}

# Tasks and threads are started by `server/platform/supervision.py`, which logs, counts and restarts them. These calls elsewhere
# start short ones; the reason says who hears of their errors.
STARTS = {"create_task", "ensure_future", "run_coroutine_threadsafe", "Thread"}
STARTED_ELSEWHERE = {
    "server/experiments/run.py": (2, "threads of an experiment's clients: it joins them, and they record their errors"),
    "server/agent.py": (2, "the cluster's forming and the stop that ends it: awaited"),
    "server/cli/alloc_exec.py": (7, "a command line, which ends with them"),
    "server/client/agent.py": (1, "the end of runners: awaited"),
    "server/client/drivers/mock.py": (4, "the handle's result, which its task runner awaits"),
    "server/client/execute.py": (3, "a session's pipes: awaited, and cancelled at its end"),
    "server/client/task_runner.py": (5, "what is awaited unless the task is killed"),
    "server/events/event_file.py": (1, "a write that catches every error itself"),
    "server/http/routing/forward.py": (1, "a call to the leader: awaited unless another server leads"),
    "server/http/query/passes.py": (1, "a pass that all who asked for it await"),
    "server/http/query/reads.py": (1, "a body that all who asked for it await"),
    "server/http/asgi/streams.py": (2, "the next piece, and the client's end: awaited"),
    "server/http/asgi/websocket.py": (2, "both directions: awaited"),
    "server/raft/engines/pysyncobj/engine.py": (1, "its beginning and newcomers: an error ends the server"),
    "server/server.py": (2, "the engine's answers, which any number of requests await"),
    "server/platform/supervision.py": (3, "the supervisor itself"),
    "server/testing/links.py": (4, "tests: a thread of their own, which they ask for results"),
    "server/testing/simulation/duty_servers.py": (1, "virtual time: the loop reports every error"),
    "server/testing/virtual/machine.py": (1, "virtual time: the loop reports every error"),
    "server/testing/virtual/network.py": (1, "virtual time: the loop reports every error"),
    "server/testing/virtual/server.py": (1, "virtual time: the loop reports every error"),
}


def files(*rooms: str) -> list[Path]:
    return sorted(path for room in rooms for path in (ROOT / room).rglob("*.py"))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def over(*rooms: str) -> Callable[[Callable[[Path], None]], Callable[[], None]]:
    """Make one test of a rule for one file: it looks at each file of the rooms and tells all that break the rule."""

    def decorate(rule: Callable[[Path], None]) -> Callable[[], None]:
        @wraps(rule)
        def test() -> None:
            broken = []
            for path in files(*rooms):
                try:
                    rule(path)
                except AssertionError as error:
                    broken.append(str(error))
            assert not broken, "\n".join(broken)

        del test.__wrapped__  # type: ignore[attr-defined]  # pytest would ask for the rule's parameter
        return test

    return decorate


@cache
def tree_of(path: Path) -> ast.Module:
    """Parse a file once for all tests."""
    return ast.parse(path.read_text())


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module or ""


def within(module: str, allowed: set[str]) -> bool:
    return any(module == one or module.startswith(one + ".") for one in allowed)


@over(*ROOMS)
def test_imports_follow_the_arrows(path: Path) -> None:
    room, name = path.relative_to(ROOT).parts[0], relative(path)
    for module in imports(tree_of(path)):
        top = module.split(".")[0]
        assert top not in BANNED_MODULES, f"{name} imports {module}: data must never become code"
        assert not module.startswith("tests"), f"{name} imports the tests"
        for pure, allowed in MAY_IMPORT.items():
            if name.startswith(pure):
                assert within(module, allowed), f"{name} may not import {module}: {pure} is pure"
        if room == "deploy" or name.startswith(EXPERIMENTS):
            known = "yurt.server.experiments" if room == "server" else "yurt.deploy"
            assert not module.startswith(("yurt.fsm", "yurt.scheduler", "yurt.server")) or module.startswith(known), (
                f"{name} reaches behind the API"
            )
        assert room == "deploy" or not module.startswith("yurt.deploy"), f"{name} imports what is made to run it"
        if module.startswith("yurt.server.experiments"):
            assert name.startswith(RUN_EXPERIMENTS), f"{name} imports what is made to break it"
        if top in ONLY_IN:
            assert name.startswith(ONLY_IN[top]), f"{name} may not import {top}"


def test_no_imports_go_in_a_circle() -> None:
    """Those under TYPE_CHECKING count: a part that knows its owner's type is no part."""
    modules = {
        "yurt." + relative(path).removesuffix(".py").replace("/", ".").removesuffix(".__init__"): path
        for path in files(*ROOMS)
    }
    wanted = {name: _imported(tree_of(path), set(modules)) - {name} for name, path in modules.items()}
    left = {name: found for name, found in wanted.items() if not name.startswith(STILL_IN_A_CIRCLE)}
    while free := [name for name, found in left.items() if not found & left.keys()]:
        for name in free:
            del left[name]
    assert not left, f"these import each other: {', '.join(sorted(left))}"


def _imported(tree: ast.Module, modules: set[str]) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= whole & modules or {node.module}
    return found & modules


@over("fsm", "scheduler", RAFT_CORE)
def test_pure_rooms_call_nothing_impure(path: Path) -> None:
    is_handed_time = relative(path).startswith(RAFT_CORE)
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in BANNED_PURE_CALLS | BANNED_CALLS, (
                f"{relative(path)}:{node.lineno} {node.func.id}()"
            )
        if isinstance(node, ast.Attribute) and not is_handed_time:
            assert node.attr not in {"now", "utcnow", "today"}, f"{relative(path)}:{node.lineno} reads the clock"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            assert ast.unparse(node.func.value) != "random", f"{relative(path)}:{node.lineno} draws without a seed"
        if isinstance(node, ast.For | ast.comprehension):
            assert not isinstance(node.iter, ast.Set | ast.SetComp), f"{relative(path)} iterates over a set"


@over("server", "deploy")
def test_nothing_runs_code_from_data_or_a_shell(path: Path) -> None:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name):
                assert node.func.id not in BANNED_CALLS, f"{relative(path)}:{node.lineno}"
            assert not any(
                keyword.arg == "shell" and getattr(keyword.value, "value", None) for keyword in node.keywords
            ), f"{relative(path)}:{node.lineno} uses a shell"


@over(*ROOMS)
def test_files_and_functions_stay_short_and_documented(path: Path) -> None:
    text = path.read_text()
    tree = tree_of(path)
    assert text.count("\n") <= LINES_PER_FILE_MAX, f"{relative(path)} has {text.count(chr(10))} lines"
    assert ast.get_docstring(tree), f"{relative(path)} has no docstring"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= LINES_PER_FUNCTION_MAX, f"{relative(path)}:{node.lineno} {node.name} has {length} lines"
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"{relative(path)}:{node.lineno} catches everything without saying so"
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{relative(path)}:{node.lineno} {node.name} has no docstring"


def test_every_file_is_imported_by_another() -> None:
    """A module that nobody imports is dead, unless it is an entry point."""
    entries = {
        "yurt.server.cli.main",
        "yurt.deploy.local_cluster",
        "yurt.deploy.quickstart",
        "yurt.deploy.packaging.yurt_build",  # pyproject.toml names it
        "yurt.server.experiments.compare",
        "yurt.server.cli.__main__",
        "yurt.server.testing.plugin",
        "yurt.server.testing.simulation.__main__",
        "yurt.server.testing.simulation.experiment",  # server/experiments/simulated.py imports it when it is asked for
    }
    used: set[str] = set()
    for path in files(*ROOMS):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Import):
                used.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                used.add(node.module)
                used.update(f"{node.module}.{alias.name}" for alias in node.names)
    lazy = re.findall(r'": \("(\w+)", "', (ROOT / "server/cli/main.py").read_text())
    used.update(f"yurt.server.cli.{name}" for name in lazy)
    found_by_name = ("yurt.server.experiments.scenarios.", "yurt.server.experiments.workloads.")
    for path in files(*ROOMS):
        if path.name == "__init__.py":
            continue
        module = "yurt." + ".".join(path.relative_to(ROOT).with_suffix("").parts)
        if module.startswith(found_by_name):
            continue  # loaded by `server/experiments/scenario.py`, which takes all files of these folders
        assert module in used | entries, f"{relative(path)} is used by nobody"


def _called(node: ast.AST) -> str:
    """The last name of what is called; empty if nothing is."""
    if not isinstance(node, ast.Call):
        return ""
    return getattr(node.func, "attr", "") or getattr(node.func, "id", "")


def test_tasks_and_threads_are_started_by_the_supervisor_or_have_an_owner() -> None:
    found: dict[str, int] = {}
    for path in files(*ROOMS):
        starts = sum(_called(node) in STARTS for node in ast.walk(ast.parse(path.read_text())))
        if starts:
            found[relative(path)] = starts
    listed = {path: count for path, (count, _) in STARTED_ELSEWHERE.items()}
    assert found == listed, "start long-lived work with `Supervisor.start`, short work with `Supervisor.spawn`"


@over(*ROOMS)
def test_nothing_lists_the_objects_of_the_interpreter(path: Path) -> None:
    """The list would hold what other threads are still making: a tuple that is held twice cannot be finished.

    Counting what is frozen walks over the whole state, and everything stands still meanwhile.
    """
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Attribute | ast.alias):
            name = node.attr if isinstance(node, ast.Attribute) else node.name
            assert name not in LISTS_OF_OBJECTS, f"{relative(path)}:{node.lineno} {name}"


@over(*ROOMS)
def test_other_interpreters_run_nothing_of_the_working_directory(path: Path) -> None:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.List | ast.Tuple | ast.Call):
            given = [ast.unparse(one) for one in (node.args if isinstance(node, ast.Call) else node.elts)]
            if "sys.executable" in given[:-1]:
                option = given[given.index("sys.executable") + 1]
                assert option in ("'-P'", "'-I'"), f"{relative(path)}:{node.lineno} python {option}"


@over(*ROOMS)
def test_no_deadline_swallows_a_cancellation(path: Path) -> None:
    for node in ast.walk(tree_of(path)):
        # Of Python 3.11 it returns a result that is there already although its task is cancelled.
        assert not (isinstance(node, ast.Attribute) and ast.unparse(node) == "asyncio.wait_for"), (
            f"{relative(path)}:{node.lineno} asyncio.wait_for: use asyncio.timeout"
        )


@over(*ROOMS)
def test_docstrings_begin_with_a_verb_or_a_noun(path: Path) -> None:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = (ast.get_docstring(node) or "").partition(" ")[0]
            assert first not in BEGIN_NO_DOCSTRING, f"{relative(path)}:{getattr(node, 'lineno', 1)} begins with {first}"


def test_test_folders_are_packages() -> None:
    for path in (ROOT / "tests").rglob("test_*.py"):
        assert (path.parent / "__init__.py").exists(), f"{relative(path.parent)} has no __init__.py"


def test_the_top_level_holds_nothing_else() -> None:
    found = {p.name for p in ROOT.iterdir() if not p.name.startswith(".") and not p.name.endswith(".egg-info")}
    assert found - {"build", "dist", "yurt-data"} <= TOP_LEVEL


def test_every_dependency_has_a_reason() -> None:
    text = (ROOT / "docs/dependencies.md").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + [one for extra in project["optional-dependencies"].values() for one in extra]
    for requirement in wanted:
        name = re.split(r"[<>=\[~! ]", requirement)[0]
        assert f"`{name}`" in text, f"docs/dependencies.md says nothing about {name}"
    assert "pysyncobj==0.3.17" in project["dependencies"]


def test_the_changelog_knows_the_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()
    assert f'__version__ = "{version}"' in (ROOT / "src/yurt/__init__.py").read_text()
