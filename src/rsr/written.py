"""A config as it was written: YAML with overrides, and the file and line, or the command line, where a key stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError

from rsr.errors import ConfigError
from rsr.registry import first_problem, nearest


class Origin(NamedTuple):
    """Where a config comes from: the text's file, for error messages, and the content."""

    name: str
    content: DictConfig
    text: str = ""


def read_yaml(path: Path) -> Origin:
    """A YAML file as the origin of a config.

    Raises:
        ConfigError: it can't be read or is not YAML; names the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = OmegaConf.create(text)
    except OSError as cause:
        raise ConfigError(f"{path}: {cause.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not a YAML file: it is not text in UTF-8") from None
    except OmegaConfBaseException as cause:
        raise ConfigError(unresolved(cause, Origin(str(path), OmegaConf.create(), text), ())) from None
    except yaml.YAMLError as cause:
        mark = getattr(cause, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(cause, "problem", None) or str(cause).splitlines()[0]
        raise ConfigError(f"{path}{line}: not valid YAML: {problem}") from None
    if not isinstance(content, DictConfig) or not isinstance(yaml.safe_load(text), dict | None):
        kind = "a list" if OmegaConf.is_list(content) else "a single value"
        raise ConfigError(f"{path}: a config is a mapping of keys, this is {kind}")
    return Origin(str(path), content, text)


def from_mapping(values: Mapping[str, Any], name: str = "config") -> Origin:
    """A mapping as the origin of a config."""
    return Origin(name, OmegaConf.create(dict(values)))


def set_key(content: DictConfig, override: str) -> None:
    """Apply one `dotted.key=value`.

    Raises:
        ConfigError: it is not written like that, or there is no such place; names the key.
    """
    key, equals, value = override.partition("=")
    key = key.lstrip("+")
    if not equals or not key:
        raise ConfigError(f"{override!r}: an override is written key=value, e.g. sampler.temperature=0.8")
    if key.startswith("formatter.") and not OmegaConf.is_list(content.get("formatter")):
        # One entry need not be written as a list, and the default need not be written at all.
        entry = content.get("formatter") or "sft"
        content["formatter"] = [{"type": entry} if isinstance(entry, str) else entry]
    try:
        parsed = OmegaConf.to_container(OmegaConf.from_dotlist([f"value={value}"]))
        assert isinstance(parsed, dict)
        OmegaConf.update(content, key, parsed["value"], merge=False, force_add=True)
    except IndexError:
        fix = "write the whole list, e.g. 'formatter=[{type: sft}, {type: dpo}]'"
        raise ConfigError(f"{key}: can't be set from the command line: the list has no such entry; {fix}") from None
    except (OmegaConfBaseException, yaml.YAMLError, AttributeError, ValueError, TypeError) as cause:
        raise ConfigError(f"{key}: can't be set from the command line: {str(cause).splitlines()[0]}") from None


def explained(error: ValidationError, known: Sequence[str], origin: Origin, overrides: Sequence[str]) -> str:
    """The first complaint in one line: the key, where it stands, and the nearest of the `known` keys or the fix."""
    problem = error.errors()[0]
    path = [str(part) for part in problem["loc"]]
    if problem["type"] != "extra_forbidden":
        text = first_problem(error, known=known)
        return text + where(path, origin, overrides) if path else text
    siblings = [key.split(".")[len(path) - 1] for key in known if key.split(".")[: len(path) - 1] == path[:-1]]
    hint = nearest(path[-1], dict.fromkeys(siblings))
    elsewhere = [key for key in known if key.rpartition(".")[2] == path[-1]]
    if "did you mean" not in hint and elsewhere:
        hint = f"did you mean {elsewhere[0]!r}?"
    return f"{'.'.join(path)}: unknown key{where(path, origin, overrides)}; {hint}"


def unresolved(error: OmegaConfBaseException, origin: Origin, overrides: Sequence[str]) -> str:
    """Which `${...}` can't be filled in."""
    key = str(getattr(error, "full_key", None) or "")
    problem = str(error).splitlines()[0].removeprefix("KeyError raised while resolving interpolation: ").strip('"')
    place = where(key.split("."), origin, overrides) if key else ""
    fix = "set it, or give the key a value" if "Environment variable" in problem else "see ${oc.env:NAME}"
    return f"{key or origin.name}: {problem}{place}; {fix}"


def where(path: Sequence[str], origin: Origin, overrides: Sequence[str]) -> str:
    """` (FILE, line N)` or ` (command line)`, wherever the key was written."""
    dotted = f"{'.'.join(path)}."
    given = [override.lstrip("+").partition("=")[0] + "." for override in overrides]
    if any(key.startswith(dotted) or dotted.startswith(key) for key in given):
        return " (command line)"
    line = _line(origin.text, path)
    return f" ({origin.name}, line {line})" if line else ""


def _line(text: str, path: Sequence[str]) -> int | None:
    node = yaml.compose(text, Loader=yaml.SafeLoader) if text else None
    line = None
    for part in path:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == part), None)
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and part.isdigit() and int(part) < len(node.value):
            node = node.value[int(part)]
            line = node.start_mark.line + 1
        else:
            break
    return line
