"""The config of a run: loading, overriding, checking, comparing.

A config is YAML, `key=value` overrides and `${oc.env:NAME}`, merged in this order and checked as a whole before
anything starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ValidationError

from rsr.errors import ConfigError
from rsr.hashing import content_hash
from rsr.sections import KeyClass, RunConfig, section_of
from rsr.written import Origin, explained, set_key, unresolved, where


class Loaded(NamedTuple):
    """A checked config, and what it was before interpolation, which is what may be written down."""

    config: RunConfig
    source: dict[str, Any]
    recipe: str
    origin: Origin
    overrides: Sequence[str] = ()

    def where(self, key: str) -> str:
        """` (FILE, line N)` or ` (command line)`, wherever a dotted key was written; empty: nowhere."""
        return where(key.split("."), self.origin, self.overrides)


def load(
    origin: Origin,
    overrides: Sequence[str] = (),
    recipe: str = "run",
    prepare: Callable[[DictConfig], None] = lambda content: None,
) -> Loaded:
    """Merge, interpolate and check.

    Args:
        origin: the YAML.
        overrides: `dotted.key=value`, values as YAML.
        recipe: the name for the default work directory.
        prepare: changes the merged content, before interpolation.

    Raises:
        ConfigError: one line that names the key, where it stands, and the fix.
    """
    content = origin.content.copy()
    for override in overrides:
        set_key(content, override)
    prepare(content)
    source = OmegaConf.to_container(content, resolve=False)
    assert isinstance(source, dict)
    try:
        resolved = OmegaConf.to_container(content, resolve=True)
    except OmegaConfBaseException as cause:
        raise ConfigError(unresolved(cause, origin, overrides)) from None
    try:
        config = RunConfig.model_validate(resolved)
    except ValidationError as cause:
        raise ConfigError(explained(cause, [key for key, _ in key_classes()], origin, overrides)) from None
    return Loaded(config, {str(key): value for key, value in source.items()}, recipe, origin, overrides)


def sampling_identity(config: RunConfig, sampler: Mapping[str, Any]) -> dict[str, Any]:
    """What the sampling key is a hash of; `sampler` is what the sampler adds, e.g. the weights' file."""
    values = config.model_dump(mode="json")
    identity = {key: _get(values, key) for key, kind in key_classes() if kind is KeyClass.IDENTITY}
    return {key: value for key, value in {**identity, **sampler}.items() if value not in (None, {}, [])}


def sampling_key(identity: Mapping[str, Any]) -> bytes:
    """16 bytes that identify a way of sampling."""
    return content_hash(identity)


def key_classes() -> Iterator[tuple[str, KeyClass]]:
    """Every known key, dotted, with its class, in the order of the config."""
    for path, field in _fields(RunConfig):
        extra = field.json_schema_extra
        kind = extra.get("class", KeyClass.TRANSPORT) if isinstance(extra, dict) else KeyClass.TRANSPORT
        yield path, KeyClass(str(kind))


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The dotted keys that differ, with both values (lists count as one value)."""
    before, after = dict(_flat(old)), dict(_flat(new))
    keys = [*before, *(key for key in after if key not in before)]
    return {key: (before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)}


def key_class(key: str) -> KeyClass:
    """The class of a dotted key; parameters of verifiers and formatters are decisions."""
    known = dict(key_classes())
    while key:
        if key in known:
            return known[key]
        key = key.rpartition(".")[0]
        if key in ("verifier", "formatter", "data"):
            return KeyClass.DECISIONS
    return KeyClass.TRANSPORT


def describe() -> Iterator[tuple[str, Any, KeyClass, str]]:
    """Every key with default, class and meaning: the source of the reference page and of configs/config.yaml."""
    classes = dict(key_classes())
    for path, field in _fields(RunConfig):
        default = field.get_default(call_default_factory=True)
        yield path, default, classes[path], " ".join((field.description or "").split())


def _fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, field in model.model_fields.items():
        section = section_of(field.annotation)
        if section is not None:
            yield from _fields(section, f"{prefix}{name}.")
        else:
            yield prefix + name, field


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value and f"{prefix}{key}" not in ("sampler.extra_params", "sampler.headers"):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _get(values: Any, dotted: str) -> Any:
    for part in dotted.split("."):
        values = values[part]
    return values
