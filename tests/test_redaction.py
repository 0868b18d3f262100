"""A secret given anywhere is in no file of the run directory, on no stream and in no error text."""

from pathlib import Path
from typing import Any

import pytest

from commands import Ended, free_port, process, question, write_rows
from rsr.redaction import REDACTED, Redactor, is_secret, redacted, without_credentials

SECRET = "sk-Vq8xW2mZ77secret"


def all_that_is_written(run_dir: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in run_dir.rglob("*") if path.is_file()}


def assert_nowhere(ended: Ended, *places: Path) -> None:
    assert SECRET not in ended.out + ended.err
    for place in places:
        assert place.is_dir()
        for name, content in all_that_is_written(place).items():
            assert SECRET.encode() not in content, name


# The command


WAYS: dict[str, tuple[str, list[str], dict[str, str]]] = {
    "in YAML": (f"sampler: {{api_key: {SECRET}}}", [], {}),
    "on the command line": ("", [f"sampler.api_key={SECRET}"], {}),
    "quoted on the command line": ("", [f"sampler.api_key='{SECRET}'"], {}),
    "in a mapping on the command line": ("", [f"sampler={{api_key: {SECRET}, type: SAMPLER, base_url: URL}}"], {}),
    "by the usual environment variable": ("", [], {"OPENAI_API_KEY": SECRET}),
    "by another environment variable": ("sampler: {api_key: '${oc.env:KEY_OF_TEST}'}", [], {"KEY_OF_TEST": SECRET}),
    "as the default of an interpolation": (f"sampler: {{api_key: '${{oc.env:NOT_SET_IN_TEST,{SECRET}}}'}}", [], {}),
    "in the usual header": (f"sampler: {{headers: {{Authorization: Bearer {SECRET}}}}}", [], {}),
    "in a header of any name": ("", [f"sampler.headers={{X-Anything: {SECRET}}}"], {}),
    "as a header's dotted key": ("", [f"sampler.headers.X-Anything={SECRET}"], {}),
    "as the password in the URL": ("", [f"sampler.base_url=http://me:{SECRET}@HOST/v1"], {}),
    "as the user in the URL": ("", [f"sampler.base_url=http://{SECRET}@HOST/v1"], {}),
    "in the URL's query": ("", [f"sampler.base_url=http://HOST/v1?whatever={SECRET}"], {}),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("sampler", ["scripted", "openai-compatible-api"])
def test_a_key_is_written_nowhere_however_it_is_given(way: str, sampler: str, folder: Path, command: Any) -> None:
    yaml, overrides, environment = WAYS[way]
    host = f"127.0.0.1:{free_port()}"
    filled = [text.replace("SAMPLER", sampler).replace("URL", f"http://{host}/v1") for text in overrides]
    filled = [text.replace("HOST", host) for text in filled]
    (folder / "recipe.yaml").write_text(yaml)
    prompts = write_rows(folder / "prompts.jsonl", [question("a"), question("b")])
    arguments = ["run", folder / "recipe.yaml", f"data.input_path={prompts}", f"work_dir={folder / 'run'}"]
    if "sampler=" not in "".join(filled):
        arguments.append(f"sampler.type={sampler}")
    if "base_url" not in "".join(filled):
        arguments.append(f"sampler.base_url=http://{host}/v1")
    arguments += [*filled, "sampler.model=m", "sampler.max_retries=0", "--traceback"]
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        ended = command(*arguments)
    assert ended.code == (0 if sampler == "scripted" else 2), ended.err
    assert_nowhere(ended, folder / "run")


def test_the_real_command_keeps_a_key_to_itself(folder: Path) -> None:
    prompts = write_rows(folder / "prompts.jsonl", [question("a")])
    common = [f"data.input_path={prompts}", "work_dir=run", f"sampler.headers.X-Mine={SECRET}-2", "--traceback"]
    ended = process("run", "sft", *common, f"sampler.api_key={SECRET}", "sampler.type=scripted", cwd=folder)
    assert ended.code == 0, ended.err
    assert_nowhere(ended, folder / "run")
    nobody = f"sampler.base_url=http://127.0.0.1:{free_port()}/v1?key={SECRET}"
    common += ["sampler.model=m", "sampler.max_retries=0", "--new-samples"]
    again = process("run", "sft", *common, nobody, cwd=folder, OPENAI_API_KEY=SECRET)
    assert again.code == 2, again.err
    assert_nowhere(again, folder / "run")


@pytest.mark.parametrize(
    "override",
    [
        f"sampler.api_key=[{SECRET}]",
        f"sampler.api_key={{a: {SECRET}}}",
        f"sampler.headers=Bearer {SECRET}",
        f"sampler.headers=[{SECRET}]",
        f"sampler.headers.X-Anything=[{SECRET}]",
        f"sampler={{api_kye: {SECRET}}}",
        f"sampler.api_kye={SECRET}",
        f"sampler={{api_key: {SECRET}, temperature: hot}}",
        f"sampler=[{SECRET}]",
    ],
)
@pytest.mark.parametrize("where", ["command line", "file"])
def test_a_key_of_the_wrong_type_or_name_is_refused_without_being_shown(
    override: str, where: str, folder: Path, command: Any
) -> None:
    prompts = write_rows(folder / "prompts.jsonl", [question("a")])
    key, _, value = override.partition("=")
    section, _, rest = key.partition(".")
    text = f"{section}: {value}\n"
    if rest:
        text = f"{section}:\n  {rest}: {value}\n" if "." not in rest else f"sampler: {{headers: {{X-A: {value}}}}}\n"
    (folder / "recipe.yaml").write_text(text if where == "file" else "")
    given = [override] if where == "command line" else []
    arguments = ["run", "recipe.yaml", f"data.input_path={prompts}", "work_dir=run", "--traceback", *given]
    ended = command(*arguments)
    assert ended.code == 2
    assert ended.errors[-1].startswith("rsr: sampler")
    assert_nowhere(ended)


def test_a_number_as_a_key_is_refused_without_being_shown(folder: Path, command: Any) -> None:
    ended = command("run", "sft", "sampler.api_key=778899665544", "--traceback")
    assert ended.code == 2
    assert "sampler.api_key: should be a valid string" in ended.err
    assert "778899665544" not in ended.err


def test_a_run_goes_on_with_the_key_by_reference(folder: Path, monkeypatch: pytest.MonkeyPatch, command: Any) -> None:
    write_rows(folder / "prompts.jsonl", [question("a")])
    monkeypatch.setenv("KEY_OF_TEST", SECRET)
    (folder / "recipe.yaml").write_text(
        "sampler: {type: scripted, api_key: '${oc.env:KEY_OF_TEST}', headers: {A: 'Bearer ${oc.env:KEY_OF_TEST}'}}"
    )
    assert command("run", "recipe.yaml", "data.input_path=prompts.jsonl", "work_dir=run").code == 0
    stored = (folder / "run" / "config.yaml").read_text()
    assert "api_key: ${oc.env:KEY_OF_TEST}" in stored
    assert "A: Bearer ${oc.env:KEY_OF_TEST}" in stored
    assert SECRET not in stored
    assert command("run", "run").code == 0


def test_a_run_goes_on_without_the_keys_that_were_not_written(folder: Path, command: Any) -> None:
    write_rows(folder / "prompts.jsonl", [question("a")])
    given = ["sampler.type=scripted", f"sampler.api_key={SECRET}", f"sampler.headers.X-A={SECRET}"]
    assert command("run", "sft", "data.input_path=prompts.jsonl", "work_dir=run", *given).code == 0
    assert command("run", "run").code == 0
    assert command("format", "run", "formatter.0.pass_threshold=0.5").code == 0
    assert REDACTED not in (folder / "run" / "train" / "sft.jsonl").read_text()


def test_a_verifiers_key_is_not_in_the_store(folder: Path, command: Any) -> None:
    write_rows(folder / "prompts.jsonl", [question("a")])
    (folder / "judge.py").write_text("def judge(response, answer, api_key=''):\n    return 1.0\n")
    given = ["sampler.type=scripted", "verifier.type=./judge.py:judge", f"verifier.api_key={SECRET}"]
    ended = command("run", "sft", "data.input_path=prompts.jsonl", "work_dir=run", *given)
    assert ended.code == 0, ended.err
    assert_nowhere(ended, folder / "run")


def test_an_exception_that_quotes_the_key_is_filtered(folder: Path, command: Any) -> None:
    write_rows(folder / "prompts.jsonl", [question("a")])
    (folder / "transform.py").write_text(f"def break_(row):\n    raise ValueError('no good: {SECRET}')\n")
    given = ["data.preprocess.transform=./transform.py:break_", "sampler.type=scripted", f"sampler.api_key={SECRET}"]
    ended = command("run", "sft", "data.input_path=prompts.jsonl", "work_dir=run", "--traceback", *given)
    assert ended.code == 2
    assert f"no good: {REDACTED}" in ended.err
    assert_nowhere(ended, folder / "run")


# The parts


SECRET_NAMES = [
    *("api_key", "apikey", "API_KEY", "sampler.api_key", "x-api-key", "Authorization", "token", "hf_token", "password"),
    *("client_secret", "Cookie", "auth", "sampler.headers", "credentials"),
]


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_names_of_secrets(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize("name", ["max_tokens", "model", "keyboard", "monkey", "stop", "author", "n_tokens", "passes"])
def test_names_of_no_secrets(name: str) -> None:
    assert not is_secret(name)


def test_what_is_written_keeps_what_is_no_secret() -> None:
    config = {
        "api_key": SECRET,
        "pin": {"password": 12345678, "credentials": {"user": "me", "pw": SECRET}},
        "headers": {"User-Agent": "rsr", "X-A": SECRET, "B": "${oc.env:B}", "C": "${oc.env:C,default}"},
        "tokens": ["</s>"],
        "token": [SECRET],
        "none": {"api_key": None},
        "base_url": f"https://me:{SECRET}@host:80/v1?api-version=2026-01-01&key={SECRET}#part",
        "system_prompt": "See https://me@example.org/?page=2 for more.",
    }
    assert redacted(config) == {
        "api_key": REDACTED,
        "pin": {"password": REDACTED, "credentials": {"user": REDACTED, "pw": REDACTED}},
        "headers": {"User-Agent": "rsr", "X-A": REDACTED, "B": "${oc.env:B}", "C": REDACTED},
        "tokens": ["</s>"],
        "token": [REDACTED],
        "none": {"api_key": None},
        "base_url": "https://host:80/v1?api-version=2026-01-01#part",
        "system_prompt": "See https://me@example.org/?page=2 for more.",
    }


@pytest.mark.parametrize("text", ["http://host/v1", "no url: a@b?c", "", "see http://a/?b=c and d"])
def test_a_text_without_credentials_stays_as_it_is(text: str) -> None:
    assert without_credentials(text) == text


def test_the_filter_knows_every_form_of_a_secret() -> None:
    redact = Redactor()
    redact.learn({"headers": {"Authorization": f"Bearer {SECRET}"}, "base_url": "http://u:p%40ssw%C3%B6rd@h/"})
    assert redact(f"tried {SECRET}!") == f"tried {REDACTED}!"
    assert redact("p%40ssw%C3%B6rd and p@sswörd") == f"{REDACTED} and {REDACTED}"


def test_the_filter_does_not_eat_short_words_or_harmless_headers() -> None:
    redact = Redactor()
    redact.learn({"api_key": "abc", "headers": {"User-Agent": "curl"}, "model": "gpt-4o"})
    assert redact("abc curl gpt-4o") == "abc curl gpt-4o"


def test_a_secret_that_holds_another_is_replaced_whole() -> None:
    redact = Redactor()
    redact.add("secret")
    redact.add("secret-and-more")
    assert redact("secret-and-more, secret") == f"{REDACTED}, {REDACTED}"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (f"me:{SECRET}@host/v1", "host/v1"),
        (f"host/v1?key={SECRET}", "host/v1"),
        (f"http://me:{SECRET}@host:99999999/v1?key=x", "http://host:99999999/v1"),
        (f"http://me:{SECRET}@[::zz/v1", "http://[::zz/v1"),
        (f"http://me:{SECRET[:4]}/{SECRET}@host/v1", "http://host/v1"),
        ("${oc.env:URL,http://host/v1?api-version=1}", "${oc.env:URL,http://host/v1?api-version=1}"),
    ],
)
def test_addresses_that_are_none_hide_their_credentials_too(address: str, shown: str) -> None:
    assert redacted({"base_url": address}) == {"base_url": shown}
    redact = Redactor()
    redact.learn({"base_url": address})
    assert SECRET not in redact(address)


def test_a_key_is_known_without_the_line_break_after_it() -> None:
    redact = Redactor()
    redact.learn({"api_key": f"{SECRET}\n"})
    assert redact(f"tried {SECRET}!") == f"tried {REDACTED}!"


@pytest.mark.parametrize("address", ["http://127.0.0.1:99999999/v1", "http://[::zz/v1", f"me:{SECRET}@host/v1"])
def test_a_run_with_an_address_that_is_none(address: str, folder: Path, command: Any) -> None:
    prompts = write_rows(folder / "prompts.jsonl", [question("a")])
    given = [f"sampler.base_url={address}", "sampler.model=m", "work_dir=run"]
    ended = command("run", "sft", f"data.input_path={prompts}", *given)
    assert ended.code == 2
    assert ended.errors[-1].startswith("rsr: sampler.base_url: ") and "Traceback" not in ended.err
    assert SECRET not in ended.err + ended.out
