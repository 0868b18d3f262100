"""What tests of the store may ask for."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", params=[1, 64])
def many(request: pytest.FixtureRequest) -> Iterator[None]:
    """With the table of where prompts are, and without."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rsr.store.reading._MANY", request.param)
        yield
