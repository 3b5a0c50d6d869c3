"""What tests of the web page share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.webdriver import Browser, chromium


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for the module."""
    with chromium(tmp_path_factory.mktemp("profile")) as opened:
        yield opened
