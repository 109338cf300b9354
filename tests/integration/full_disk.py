"""A disk that a test can fill up and free again."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

_BYTES: Final = 512 * 1024


@dataclass(frozen=True)
class SmallDisk:
    path: Path
    kind: str

    @contextmanager
    def full(self) -> Iterator[None]:
        """No room for anything that needs more than 512 KiB."""
        if self.kind == "mounted":
            filling = self.path / "filling"
            with filling.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
                while True:
                    file.write(b"\0" * 4096)
            yield
            filling.unlink()
            return
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (_BYTES, hard))
        yield
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
