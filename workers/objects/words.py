"""What an object store said when it failed, without the path or URL that obstore puts beside it."""

from __future__ import annotations

import os
import re
from typing import Final

_OS_ERROR: Final = re.compile(r"\(os error (\d+)\)")
_CODE: Final = re.compile(r"<Code>([A-Za-z]{1,40})</Code>")
_STATUS: Final = re.compile(r"\b([345]\d\d) ([A-Z][A-Za-z]+(?: [A-Z][A-Za-z]+)*)")


def words_of(error: BaseException) -> str:
    """The system's or the store's own words for it ("No space left on device", "403 Forbidden, AccessDenied")."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = str(error)
    if found := _OS_ERROR.search(text):
        return os.strerror(int(found[1]))
    told = [" ".join(status.groups()) for status in _STATUS.finditer(text)][:1]
    told += [code[1] for code in _CODE.finditer(text)][:1]
    return ", ".join(told) or type(error).__name__
