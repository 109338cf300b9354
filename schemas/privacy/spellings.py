"""Numbers in text: found in whatever spelling they stand there, and given back as something else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from schemas.numbers import canonical

LEAST_DIGITS: Final = 7  # a local number; what has fewer digits is found in no text, where anything may look like it

Instead = Callable[[str, str], str]  # of what is spelled there, and of the number that it is

_TAIL: Final = 8  # digits at the end of a number by which it is known again: without its country or area code
_WIDE: Final = str.maketrans("０１２３４５６７８９＋－（）　", "0123456789+-() ")  # noqa: RUF001 - as Chinese texts have
_UUID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_RUN: Final = re.compile(rf"({_UUID})|\+?[0-9](?:[\s().-]{{0,3}}[0-9]){{6,}}")
_MANY_DIGITS: Final = re.compile(r"[0-9][0-9\s().-]{5,}[0-9]")
_LOOKS_LIKE_ONE: Final = re.compile(  # +..., 00..., a mobile, a landline
    rf"({_UUID})"
    r"|(?:\+|(?<![0-9])00)[1-9](?:[ ()-]{0,2}[0-9]){6,14}"
    r"|(?<![0-9])(?:86[ -]?)?1[3-9][0-9][ -]?[0-9]{4}[ -]?[0-9]{4}(?![0-9])"
    r"|(?<![0-9])0(?:10|2[0-9]|[3-9][0-9]{2})[ -]?[0-9]{7,8}(?![0-9])"
)
_BEFORE: Final = ("0086", "86", "0")  # a number's own, where it is spelled so
_DIGITS: Final = re.compile(r"[0-9]")


def plain_digits(text: str) -> str:
    """The text with full-width digits, which Chinese texts have, as those that anybody looks for."""
    return text if text.isascii() else text.translate(_WIDE)


class Numbers:
    """The numbers that are known of one event; each text in it is looked through for them, and for what looks alike."""

    def __init__(self, known: Iterable[str]) -> None:
        """`known` as they are spelled, each alone."""
        bare = {_national(number): number for number in sorted(known)}
        whole = {digits: number for digits, number in bare.items() if len(digits) >= LEAST_DIGITS}
        tails = {digits[-_TAIL:]: number for digits, number in whole.items() if len(digits) > _TAIL}
        self._known: Mapping[str, str] = {**tails, **whole}

    def replaced(self, text: str, instead: Instead) -> str:
        """The text with `instead` in the place of each number; the same where it holds none."""
        plain = plain_digits(text)
        if _MANY_DIGITS.search(plain) is None:
            return text
        found = _RUN.sub(lambda run: run[0] if run[1] else self._in_run(run[0], instead), plain)
        found = _LOOKS_LIKE_ONE.sub(lambda one: one[0] if one[1] else instead(one[0], one[0]), found)
        return text if found == plain else found

    def _in_run(self, run: str, instead: Instead) -> str:
        """The known ones in a run of digits and what stands between them; another may begin in what is left of one."""
        places = [match.start() for match in _DIGITS.finditer(run)]
        digits = "".join([run[place] for place in places])
        parts: list[str] = []
        done, at = 0, 0
        while found := self._next(digits, at):
            start, at, number = found
            start = _with_prefix(digits, start, done)
            begins = places[start]
            if start == done == 0 and run[0] == "+":
                begins = 0
            parts += [run[places[done] if done else 0 : begins], instead(run[begins : places[at - 1] + 1], number)]
            done = at
        if not done:
            return run
        return "".join(parts) + run[places[done - 1] + 1 :]

    def _next(self, digits: str, at: int) -> tuple[int, int, str] | None:
        found = [
            (start, start + len(known), number)
            for known, number in self._known.items()
            if (start := digits.find(known, at)) >= 0
        ]
        return min(found, key=lambda one: (one[0], -one[1]), default=None)


def _with_prefix(digits: str, start: int, least: int) -> int:
    for prefix in _BEFORE:
        if start - len(prefix) >= least and digits.endswith(prefix, 0, start):
            return start - len(prefix)
    return start


def _national(number: str) -> str:
    digits = "".join(_DIGITS.findall(canonical(plain_digits(number))))
    return digits.removeprefix("86") if len(digits) > LEAST_DIGITS + len("86") else digits
