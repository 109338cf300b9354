"""Text on its way to a terminal: what a platform sent may hold what a terminal obeys."""

from __future__ import annotations

import unicodedata
from typing import Final

OBEYED: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})  # controls, formats, lone surrogates, line separators
_ASCII: Final = 0x80
_ONE_UNIT: Final = 0x10000


def shown(text: str) -> str:
    r"""The text as one line that no terminal obeys: ESC is `\x1b`, a line break `\n`, U+009B `\u009b`, and so on."""
    if text.isprintable():
        return text
    return "".join(_escaped(one) if unicodedata.category(one) in OBEYED else one for one in text)


def shown_lines(text: str) -> str:
    """The same of text whose line breaks are ours."""
    return "\n".join(map(shown, text.split("\n")))


def _escaped(character: str) -> str:
    point = ord(character)
    if character in "\n\r\t":
        return repr(character)[1:-1]
    return f"\\x{point:02x}" if point < _ASCII else f"\\u{point:04x}" if point < _ONE_UNIT else f"\\U{point:08x}"
