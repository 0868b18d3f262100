"""The house: a file imports only from floors below its own, and keeps to the shape that it was given."""

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
SOURCE = TESTS.parent / "src" / "rsr"

FLOORS: list[set[str]] = [
    {"types", "errors"},
    {
        "hashing",
        "redaction",
        "reasoning",
        "schedule",
        "messages",
        "migrations",
        "outfile",
        "row_files",
        "alarms",
        "budgets",
        "gate",
        "mathematics",
    },
    {"registry", "completions", "alike", "failures", "progress", "guards", "listed_models"},
    {"multiple_choice"},
    {"bodies", "endpoint", "connections"},
    {"written", "replies", "sections"},
    {"config"},
    {"wire", "rows", "prompt_tables", "lint"},
    {"simulation", "prompt_changes"},
    {"prompts", "store", "samplers", "verifiers", "formatters", "filters"},
    {"replay", "judging", "settings", "training_files", "stats", "scoring", "arrivals", "oversight", "flips", "probes"},
    {"commits", "slots", "findings"},
    {"engine", "export", "reverify", "recipes", "parts"},
    {"loading", "signals", "writing", "freshness", "checking"},
    {"examples"},
    {"session"},
    {"inspection", "pilot"},
    {"api"},
    {"display", "simulate"},
    {"ending"},
    {"arguments"},
    {"looking"},
    {"cli"},
    {"__main__"},
]
"""From the ground up. A folder is one room: inside it files may import each other."""

MOST_LINES = 400
MOST_LINES_OF_A_FUNCTION = 60

FILES = sorted(SOURCE.rglob("*.py"))


def module(path: Path) -> str:
    """`store.rollouts` of src/rsr/store/rollouts.py; a folder's `__init__` is the folder."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


def room(name: str) -> str:
    return name.partition(".")[0]


def floor(name: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if room(name) in rooms)


MODULES = {module(path): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}


def imported(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """The modules of RSR that these statements import."""
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("rsr."):
                    yield alias.name.removeprefix("rsr.")
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "rsr":
            base = node.module.removeprefix("rsr").strip(".")
            for alias in node.names:
                whole = f"{base}.{alias.name}".strip(".")
                yield whole if whole in MODULES else base


def statements(path: Path) -> Iterable[ast.AST]:
    """Where imports count: everywhere, in functions too; but an `__init__` may name its parts and import them later."""
    tree = MODULES[module(path)]
    return tree.body if path.name == "__init__.py" else ast.walk(tree)


EDGES = {
    module(path): {target for target in imported(statements(path)) if target in MODULES and target != module(path)}
    for path in FILES
}


def test_every_module_has_a_floor() -> None:
    homeless = [name for name in MODULES if name != "__init__" and not any(room(name) in rooms for rooms in FLOORS)]
    assert homeless == []


def test_a_file_imports_only_from_floors_below_its_own_or_from_its_own_folder() -> None:
    wrong = [
        f"{name} imports {target}"
        for name, targets in EDGES.items()
        for target in sorted(targets)
        if room(target) != room(name) and floor(target) >= floor(name)
    ]
    assert wrong == []


def test_no_imports_go_in_circles() -> None:
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name not in done:
            for target in EDGES.get(name, ()):
                visit(target, (*path, name))
            done.add(name)

    for name in EDGES:
        visit(name, ())


def test_the_schedule_knows_nothing_of_clocks_networks_or_files() -> None:
    outside = {
        alias.name
        for node in ast.walk(MODULES["schedule"])
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in ([ast.alias(node.module or "")] if isinstance(node, ast.ImportFrom) else node.names)
    }
    assert outside.isdisjoint({"time", "asyncio", "os", "pathlib", "sqlite3", "random", "datetime", "threading"})


@pytest.mark.parametrize("name", MODULES)
def test_a_module_says_in_its_first_line_what_it_owns(name: str) -> None:
    first = (ast.get_docstring(MODULES[name]) or "").split("\n")[0]
    assert len(first) > 20


@pytest.mark.parametrize("path", FILES, ids=module)
def test_a_file_is_not_too_long(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_no_file_of_the_tests_is_too_long() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in TESTS.rglob("*.py")}
    long = [f"{path.relative_to(TESTS)}: {lines} lines" for path, lines in lengths.items() if lines > MOST_LINES]
    assert long == []


@pytest.mark.parametrize("name", MODULES)
def test_functions_are_not_too_long(name: str) -> None:
    long = [
        f"{node.name}: {lines} lines"
        for node in ast.walk(MODULES[name])
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if (lines := (node.end_lineno or 0) - node.lineno + 1) > MOST_LINES_OF_A_FUNCTION
    ]
    assert long == []


def test_the_library_never_prints() -> None:
    printing = [
        name
        for name, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert printing == []


HEAVY = (
    *("aiohttp", "pydantic", "pyarrow", "sympy", "omegaconf", "rich", "typer", "math_verify", "xllamacpp"),
    *("jinja2", "rensa"),
)


def test_importing_rsr_is_quick_and_loads_nothing_heavy() -> None:
    script = f"import sys, time, rsr; print(time.process_time(), [name for name in {HEAVY} if name in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    seconds, _, loaded = ended.stdout.strip().partition(" ")
    assert loaded == "[]"
    assert float(seconds) < 0.5


def test_the_parts_of_the_python_api_load_no_engine_before_they_are_used() -> None:
    script = "import sys, rsr; rsr.Verdict, rsr.split_reasoning, rsr.verifiers.get; print('rsr.engine' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "False"
