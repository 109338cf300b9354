"""What a dialect says it does and what its settings have go together."""

from __future__ import annotations

import pytest

from schemas.platforms import DIALECTS
from schemas.settings.source import AskingSource, SignedSource, Source


@pytest.mark.parametrize("name", DIALECTS)
def test_a_source_has_the_keys_of_what_its_platform_does_and_no_others(name: str) -> None:
    dialect = DIALECTS[name]
    signs = dialect.verify is not None or dialect.recordings is not None
    assert (issubclass(dialect.settings, SignedSource), issubclass(dialect.settings, AskingSource)) == (
        signs,
        dialect.asks is not None,
    )


@pytest.mark.parametrize("name", DIALECTS)
def test_a_nonce_is_that_of_a_signature(name: str) -> None:
    assert DIALECTS[name].once is None or DIALECTS[name].verify is not None


@pytest.mark.parametrize("name", DIALECTS)
def test_a_source_needs_no_more_than_its_name_and_a_token(name: str) -> None:
    source = DIALECTS[name].settings.model_validate({"name": "s", "platform": name, "tokens": ["t"]})
    assert isinstance(source, Source)
    assert source.recording_hosts == ()


def test_platforms_are_known_by_different_names() -> None:
    assert [dialect.name for dialect in DIALECTS.values()] == list(DIALECTS)
    assert len({dialect.parse for dialect in DIALECTS.values()}) == len(DIALECTS)
