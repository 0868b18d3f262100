"""Plug-ins by name: built in, from an installed package, from a file; and how what is wrong with one is said."""

import importlib
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from commands import process, question, read_rows, write_rows
from rsr.errors import ConfigError, PluginError
from rsr.formatters import FORMATTERS
from rsr.registry import Registry, file_version, load_from_file, nearest
from rsr.samplers import SAMPLERS
from rsr.types import Formatter, Sampler
from rsr.verifiers import VERIFIERS, get

PACKAGE = Path(__file__).parent / "plugin_package"


def install(folder: Path, name: str = "rsr-plugin-of-test", points: dict[str, dict[str, str]] | None = None) -> None:
    """What an installer leaves behind: the metadata beside the code."""
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    info = folder / f"{name.replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {project['version']}\n")
    groups = project["entry-points"] if points is None else points
    lines = [
        f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in of.items()) for group, of in groups.items()
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for installed packages, with the plug-in package in it."""
    folder = tmp_path / "site"
    install(folder)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.syspath_prepend(str(PACKAGE / "src"))
    importlib.invalidate_caches()
    yield folder
    sys.modules.pop("rsr_plugin_of_test", None)


# Built in


@pytest.mark.parametrize(
    ("registry", "names"),
    [
        (VERIFIERS, {"mcq-rlvr", "math-rlvr", "exact"}),
        (FORMATTERS, {"sft", "dpo", "multi_sft"}),
        (SAMPLERS, {"openai-compatible-api", "llama-cpp", "scripted"}),
    ],
)
def test_what_is_built_in_is_listed_with_a_line_about_it(registry: Registry, names: set[str]) -> None:
    listed = {entry.name: entry for entry in registry.list()}
    assert names <= set(listed)
    for name in names:
        assert listed[name].package == "rsr"
        assert len(listed[name].summary) > 10
        assert "broken" not in listed[name].summary


@pytest.mark.parametrize(
    ("registry", "name", "says"),
    [
        (VERIFIERS, "mcq-rvlr", "verifier.type: unknown verifier 'mcq-rvlr'; did you mean 'mcq-rlvr'?"),
        (FORMATTERS, "multisft", "formatter.type: unknown formatter 'multisft'; did you mean 'multi_sft'?"),
        (SAMPLERS, "openai", "sampler.type: unknown sampler 'openai'; known: llama-cpp, openai-compatible-api, "),
    ],
)
def test_an_unknown_name_says_which_is_nearest(registry: Registry, name: str, says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        registry.load(name)
    assert str(refused.value).startswith(says)


def test_nearest_says_so_where_there_is_nothing() -> None:
    assert nearest("x", []) == "no keys are known here"


# An installed package


def test_an_installed_package_registers_all_three_kinds(site: Path) -> None:
    for registry, name in (
        (VERIFIERS, "contains"),
        (VERIFIERS, "length"),
        (FORMATTERS, "labels"),
        (SAMPLERS, "parrot"),
    ):
        listed = {entry.name: entry for entry in registry.list()}
        assert (listed[name].package, listed[name].version) == ("rsr-plugin-of-test", "1.2.3")
    assert {entry.name: entry.summary for entry in FORMATTERS.list()}[
        "labels"
    ] == "Every scored response with its label."


def test_what_it_registers_is_built_with_the_configs_keys(site: Path) -> None:
    assert isinstance(SAMPLERS.build("parrot", {"prefix": "!"}), Sampler)
    formatter: Formatter = FORMATTERS.build("labels", {"count": 5})
    assert formatter.needs([]) == 5
    assert get("contains", case=False)("It is PARIS.", "Paris").score == 1.0
    assert get("contains")("It is PARIS.", "Paris").score == 0.0
    assert get("length", most=10)("12345", None).score == 0.5


def test_a_broken_one_is_listed_as_broken_and_the_others_work(site: Path) -> None:
    listed = {entry.name: entry for entry in VERIFIERS.list()}
    assert listed["broken-of-test"].summary.startswith("broken: verifier 'broken-of-test' (rsr-plugin-of-test 1.2.3)")
    assert "No module named 'rsr_plugin_of_test.nowhere'" in listed["broken-of-test"].summary
    assert "broken" not in listed["contains"].summary
    with pytest.raises(PluginError, match=r"'broken-of-test' \(rsr-plugin-of-test 1\.2\.3\) can't be loaded"):
        VERIFIERS.load("broken-of-test")


def test_the_same_name_from_two_packages_is_an_error_that_names_both(site: Path) -> None:
    install(site, "another-plugin", {"rsr.formatters": {"labels": "another:Labels"}})
    importlib.invalidate_caches()
    with pytest.raises(PluginError) as refused:
        FORMATTERS.load("labels")
    assert "rsr-plugin-of-test 1.2.3" in str(refused.value)
    assert "another-plugin 1.2.3" in str(refused.value)
    assert "both register formatter 'labels'; uninstall one of them" in str(refused.value)
    assert FORMATTERS.load("sft").__name__ == "SFT"


def test_one_package_that_is_found_twice_is_no_error(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "again")
    monkeypatch.syspath_prepend(str(tmp_path / "again"))
    importlib.invalidate_caches()
    assert FORMATTERS.load("labels").__name__ == "Labels"


def test_a_package_can_not_take_a_name_that_is_built_in(site: Path) -> None:
    install(site, "another-plugin", {"rsr.verifiers": {"exact": "another:Exact"}})
    importlib.invalidate_caches()
    with pytest.raises(PluginError, match=r"another-plugin 1\.2\.3 registers verifier 'exact', which is built in"):
        VERIFIERS.list()
    assert VERIFIERS.load("exact").__module__ == "rsr.verifiers.exact"


@pytest.mark.parametrize(
    ("registry", "name", "params", "says"),
    [
        (SAMPLERS, "parrot", {"prefx": "!"}, "sampler.prefx: unknown key; did you mean 'prefix'?"),
        (FORMATTERS, "labels", {"count": "many"}, "formatter.count: should be a valid integer"),
        (VERIFIERS, "contains", {"cases": True}, "verifier.cases: unknown key; did you mean 'case'?"),
        (VERIFIERS, "contains", {"case": "maybe"}, "verifier.case: should be a valid boolean"),
        (VERIFIERS, "contains", {"answer": "B"}, "verifier.answer: unknown key"),
        (VERIFIERS, "length", {"most": 0}, "verifier.most: must be at least 1, is 0"),
    ],
)
def test_a_wrong_key_is_refused_by_its_name(
    site: Path, registry: Registry, name: str, params: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        registry.build(name, params)
    assert str(refused.value).startswith(says)


def test_a_whole_run_with_them(site: Path, folder: Path) -> None:
    write_rows(folder / "in.jsonl", [question("a"), question("b", answer="nowhere in it")])
    parts = [
        "sampler.type=parrot",
        "sampler.prefix='B: '",
        "verifier.type=contains",
        "formatter=[{type: labels, count: 3}]",
    ]
    path = f"{site}:{PACKAGE / 'src'}"
    ended = process("run", "sft", "data.input_path=in.jsonl", "work_dir=run", *parts, cwd=folder, PYTHONPATH=path)
    assert ended.code == 0, ended.err
    rows = read_rows(folder / "run/train/labels.jsonl")
    assert [row["label"] for row in rows] == [True] * 3 + [False] * 3
    assert rows[0]["messages"][-1]["content"] == f"B: {question('a')['messages'][0]['content']} #0"
    listed = process("list", "samplers", cwd=folder, PYTHONPATH=path)
    assert "parrot" in listed.out
    assert "rsr-plugin-of-test 1.2.3" in listed.out


# From a file


FILE = '''
"""My own."""
from rsr import Verdict

calls = []

def shout(response, answer):
    """Whether it shouts."""
    return response.isupper()

def strict(response, answer, *, level: int = 1):
    return Verdict(score=level if response == answer else 0.0)

class Best:
    name = "best"
    def __init__(self, *, least: float): self.least = least
    def needs(self, rollouts): return 0
    def rows(self, prompt, rollouts): return []
    def missing(self, rollouts): return "nothing"
    def dataset_info(self): return None

class Exploding:
    def __init__(self): raise RuntimeError("no file\\nof mine")

number = 5
'''


@pytest.fixture
def file(folder: Path) -> Path:
    (folder / "mine.py").write_text(FILE)
    return folder / "mine.py"


def test_a_function_or_class_in_a_file_is_a_plug_in(file: Path) -> None:
    assert get("./mine.py:shout")("B!", "b").score == 1.0
    assert get(f"{file}:strict", level=3)("b", "b").score == 3.0
    assert FORMATTERS.build("./mine.py:Best", {"least": 1}).least == 1.0


def test_a_file_is_imported_once(file: Path) -> None:
    assert load_from_file("./mine.py:calls") is load_from_file(f"{file}:calls")


def test_an_edited_file_has_another_version(file: Path) -> None:
    before = file_version("./mine.py:shout")
    file.write_text(FILE + "\n# edited\n")
    assert before is not None
    assert file_version("./mine.py:shout") not in (None, before)
    assert file_version("mcq-rlvr") is None


@pytest.mark.parametrize(
    ("reference", "error", "says"),
    [
        ("./nowhere.py:shout", ConfigError, "there is no file ./nowhere.py"),
        ("./mine.py:shoot", ConfigError, "there is no 'shoot' in it; did you mean 'shout'?"),
        ("./mine.py:number", PluginError, "is a int, not a function or class"),
        ("./bad.py:f", PluginError, "can't be imported: SyntaxError"),
        ("./worse.py:f", PluginError, "can't be imported: ZeroDivisionError: division by zero"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_one_line(
    reference: str, error: type[Exception], says: str, file: Path
) -> None:
    (file.parent / "bad.py").write_text("def f(:\n")
    (file.parent / "worse.py").write_text("1 / 0\n")
    with pytest.raises(error) as refused:
        VERIFIERS.build(reference, {})
    assert reference in str(refused.value)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_key_that_is_missing_is_named(file: Path) -> None:
    with pytest.raises(ConfigError, match=r"^formatter\.least: missing; set it$"):
        FORMATTERS.build("./mine.py:Best", {})


def test_a_class_that_raises_is_named(file: Path) -> None:
    with pytest.raises(PluginError, match="formatter: RuntimeError: no file"):
        FORMATTERS.build("./mine.py:Exploding", {})
