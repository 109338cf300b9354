"""Why an object store failed, in its own words and without a path, an address or a key."""

from __future__ import annotations

import errno
import os

import pytest

from workers.objects.words import words_of

PLACE = "/srv/recordings/13800000021.wav"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            f"Generic LocalFileSystem error: Unable to copy {PLACE}: No space left on device (os error 28)",
            os.strerror(28),
        ),
        (f"Generic LocalFileSystem error: {PLACE}: Permission denied (os error 13)", os.strerror(13)),
        (
            "Generic S3 error: https://b.example/13800000021.wav: 403 Forbidden: <Error><Code>AccessDenied</Code>AKIA",
            "403 Forbidden, AccessDenied",
        ),
        (f"something else about {PLACE}", "ValueError"),
    ],
)
def test_only_the_words_of_the_system_or_the_store_are_told(said: str, told: str) -> None:
    assert words_of(ValueError(said)) == told


def test_an_error_of_the_system_is_told_without_its_file() -> None:
    assert words_of(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), PLACE)) == "No space left on device"
