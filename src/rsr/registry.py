"""Plug-ins by name: built in, from entry points, or from a file of the user's.

    verifiers    entry points `rsr.verifiers`     a function, or a class built with the config's keys
    formatters   entry points `rsr.formatters`    a class
    samplers     entry points `rsr.samplers`      a class

A name resolves to the built-in one, else to an entry point, else (`./file.py:name`) to an object in a file. Listing
imports nothing. Keys of the config are checked against the factory's signature before it is called.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Collection, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, NamedTuple

from rsr.errors import ConfigError, PluginError, boundary
from rsr.redaction import is_secret


class Listed(NamedTuple):
    """One line of `rsr list`."""

    name: str
    package: str
    version: str
    summary: str


class Registry:
    """The plug-ins of one kind.

    Args:
        kind: `verifier`, `formatter` or `sampler`; also the config's section.
        builtins: name to `module:attribute`.
    """

    def __init__(self, kind: str, builtins: Mapping[str, str]) -> None:
        self.kind = kind
        self.group = f"rsr.{kind}s"
        self._builtins = builtins

    def names(self) -> list[str]:
        """All known names, sorted."""
        return sorted({*self._builtins, *self._entry_points()})

    def load(self, name: str) -> Any:
        """The plug-in of that name, imported.

        Raises:
            ConfigError: no such name; says which is nearest.
            PluginError: it can't be imported.
        """
        if name in self._builtins:
            return _attribute(self._builtins[name], what=f"{self.kind} {name!r}")
        if _is_file_reference(name):
            return load_from_file(name)
        found = self._entry_points()
        if name not in found:
            raise ConfigError(f"{self.kind}.type: unknown {self.kind} {name!r}; {nearest(name, self.names())}")
        try:
            return found[name].load()
        except Exception as cause:
            raise PluginError(f"{self.kind} {name!r} ({_origin(found[name])}) can't be loaded: {cause}") from cause

    def build(self, name: str, params: Mapping[str, Any], where: str = "") -> Any:
        """The plug-in built with `params`, or, where it is a plain function, bound to them.

        Raises:
            ConfigError: a key that it doesn't take, a missing one, a value of the wrong type; names the key.
        """
        factory = self.load(name)
        where = where or self.kind
        if inspect.isclass(factory):
            return _call(factory, checked(factory, params, where), where)
        if not callable(factory):
            raise PluginError(f"{self.kind} {name!r} is a {type(factory).__name__}, not a function or class")
        given = checked(factory, params, where, partial=True)
        return functools.wraps(factory)(functools.partial(factory, **given)) if given else factory

    def takes(self, name: str, key: str) -> bool:
        """Whether the plug-in has a parameter of that name."""
        return key in inspect.signature(self.load(name)).parameters

    def list(self) -> list[Listed]:
        """Name, package, version and first docstring line of each, or why it is broken."""
        rows = []
        found = self._entry_points()
        for name in self.names():
            point = found.get(name)
            package, version = _distribution(point) if point else ("rsr", "")
            try:
                summary = (inspect.getdoc(self.load(name)) or "").split("\n")[0]
            except (PluginError, ConfigError) as error:
                summary = f"broken: {error}"
            rows.append(Listed(name, package, version, summary))
        return rows

    def _entry_points(self) -> dict[str, EntryPoint]:
        found: dict[str, EntryPoint] = {}
        for point in entry_points(group=self.group):
            if point.name in self._builtins:
                raise PluginError(f"{_origin(point)} registers {self.kind} {point.name!r}, which is built in")
            if point.name in found and found[point.name].value != point.value:
                both = f"{_origin(found[point.name])} and {_origin(point)}"
                raise PluginError(f"{both} both register {self.kind} {point.name!r}; uninstall one of them")
            found[point.name] = point
        return found


def checked(
    factory: Callable[..., Any], params: Mapping[str, Any], where: str, partial: bool = False
) -> dict[str, Any]:
    """`params` validated and converted by the annotations of the factory's keyword parameters."""
    from pydantic import ConfigDict, ValidationError, create_model

    fields: dict[str, Any] = {}
    try:
        parameters = inspect.signature(factory, eval_str=True).parameters.values()
    except (NameError, TypeError):
        parameters = inspect.signature(factory).parameters.values()
    for parameter in parameters:
        if parameter.kind is parameter.VAR_KEYWORD:
            return dict(params)
        if parameter.kind is parameter.VAR_POSITIONAL or (partial and parameter.name in _CALL_ARGUMENTS):
            continue
        annotation = (
            Any
            if parameter.annotation is parameter.empty or isinstance(parameter.annotation, str)
            else (parameter.annotation)
        )
        fields[parameter.name] = (annotation, ... if parameter.default is parameter.empty else parameter.default)
    for key in params:
        if key not in fields:
            raise ConfigError(f"{where}.{key}: unknown key; {nearest(key, fields)}")
    arbitrary = ConfigDict(arbitrary_types_allowed=True, protected_namespaces=())
    model = create_model("Params", __config__=arbitrary, **fields)
    try:
        values = model(**params)
    except ValidationError as cause:
        raise ConfigError(first_problem(cause, where)) from None
    return {key: getattr(values, key) for key in params}


def first_problem(error: Any, where: str = "", known: Collection[str] = ()) -> str:
    """The first complaint of a pydantic `ValidationError` in one line: key, what is wrong, what stands there.

    Args:
        error: the `ValidationError`.
        where: put before the key.
        known: whole keys; what pydantic puts after one of them is the branch of a union.
    """
    problem, *others = error.errors()
    path = ".".join([where, *(str(part) for part in problem["loc"])]).strip(".")
    if problem["type"] == "missing":
        return f"{path}: missing; set it"
    given = problem.get("input")
    text = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
    parent = path.rpartition(".")[0]
    if parent in known:
        path = parent
        branches = [other["msg"] for other in others if list(other["loc"][:-1]) == list(problem["loc"][:-1])]
        text = " or ".join(dict.fromkeys([text, *(msg.removeprefix("Input should be ") for msg in branches)]))
    hidden = isinstance(given, Mapping | list) or problem["type"] == "value_error" or _under_secret(path)
    shown = "" if hidden else f" (it is {given!r})"
    return f"{path}: {text}{shown}" if path else text


def _under_secret(path: str) -> bool:
    return any(is_secret(part) for part in path.split("."))


def nearest(name: str, known: Any) -> str:
    """`did you mean 'x'?`, or the list of what there is."""
    names = sorted(str(key) for key in known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return "known: " + ", ".join(names) if names else "no keys are known here"


def load_from_file(reference: str) -> Any:
    """The object that `path.py:name` names; the file is imported once per process.

    Raises:
        ConfigError: no such file or name.
        PluginError: the file can't be imported.
    """
    if not _is_file_reference(reference):
        raise ConfigError(f"{reference}: a function in a file is written ./file.py:function")
    path_text, _, name = reference.rpartition(":")
    path = Path(path_text).expanduser().resolve()
    if not path.is_file():
        raise ConfigError(f"{reference}: there is no file {path_text}")
    module_name = "rsr_file_" + hashlib.blake2b(str(path).encode(), digest_size=8).hexdigest()
    if module_name not in sys.modules:
        spec = importlib.util.spec_from_file_location(module_name, path)
        if spec is None or spec.loader is None:
            raise PluginError(f"{reference}: {path_text} is not a Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[module_name] = module
        try:
            spec.loader.exec_module(module)
        except (Exception, SystemExit) as cause:
            del sys.modules[module_name]
            raise PluginError(f"{reference} can't be imported: {type(cause).__name__}: {cause}") from cause
    return _attribute(f"{module_name}:{name}", what=reference)


def file_version(reference: str) -> str | None:
    """A hash of the source of `path.py:name`, so that an edited function is a new one; None for other names."""
    if not _is_file_reference(reference):
        return None
    path = Path(reference.rpartition(":")[0]).expanduser()
    return hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest()


_CALL_ARGUMENTS = ("response", "answer", "choices", "metadata")


def _is_file_reference(name: str) -> bool:
    return ".py:" in name


def _attribute(target: str, what: str) -> Any:
    module, _, name = target.partition(":")
    try:
        loaded = importlib.import_module(module)
    except ImportError as cause:
        raise PluginError(f"{what} can't be loaded: {cause}") from cause
    if not hasattr(loaded, name):
        public = [key for key in vars(loaded) if not key.startswith("_")]
        raise ConfigError(f"{what}: there is no {name!r} in it; {nearest(name, public)}")
    return getattr(loaded, name)


def _call(factory: Callable[..., Any], params: dict[str, Any], where: str) -> Any:
    try:
        with boundary(PluginError, where):
            return factory(**params)
    except PluginError as error:
        cause = error.__cause__
        if isinstance(cause, ValueError):
            raise ConfigError(f"{where}.{cause}") from cause
        raise


def _distribution(point: EntryPoint) -> tuple[str, str]:
    return (point.dist.name, point.dist.version) if point.dist else ("?", "")


def _origin(point: EntryPoint) -> str:
    return " ".join(_distribution(point)).strip()
