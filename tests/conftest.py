"""What every test may ask for."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from commands import Ended
from rsr import cli


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Ended]]:
    """`rsr ...` in this process: quick, and everything that it says is seen."""
    logger = logging.getLogger("rsr")
    before = logger.handlers, logger.propagate

    def run(*arguments: object) -> Ended:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit:
            cli.main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Ended(int(exit.value.code or 0), said.out, said.err)

    yield run
    logger.handlers, logger.propagate = before


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, and no key in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    return tmp_path
