"""Which places of the repository's pages its comments, docstrings and pages cite; docs/notes/style.md section 3."""

from __future__ import annotations

import ast
import io
import posixpath
import re
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

LOOSE: Final = "?"  # the page of a citation that names none, where none can be meant

_TRAPS: Final = "docs/notes/amqp.md"
_PAGE: Final = r"docs/[\w/-]+\.md"
_NUMBER: Final = r"\d+(?:\.\d+)*"
_NOTE: Final = r"(?: \([^)]*\))?"
_JOIN: Final = r"(?:,? and |, | to )"


def _listed(one: str) -> str:
    return rf"{one}\b{_NOTE}(?:{_JOIN}{one}\b{_NOTE})*"


_CITING: Final = re.compile(
    rf"(?P<page>{_PAGE})(?: (?=[a-z]+ [\dA-G]))?"
    rf"|[Ss]ections? (?P<section>{_listed(_NUMBER)})(?:,? traps? (?P<point>{_listed(_NUMBER)}))?"
    rf"|[Tt]raps? (?P<trap>{_listed(_NUMBER)})"
    rf"|[Tt]ables? (?P<table>{_listed('[A-G]')})"
    rf"|[Rr]ules? (?P<rule>{_listed(_NUMBER)})"
)
_FOREIGN: Final = re.compile(r"(?:RFC \d+|AMQP 0-9-1)[\w ,]*$")  # their sections are not ours
_OLD: Final = re.compile(r"\b(?:contract|design|amqp|notes|security|style|page,?) $", re.IGNORECASE)
_BARE_PAGE: Final = re.compile(r"(?<![\w/.-])(?!README|CHANGELOG|tests/fixtures/)(?:[\w-]+/)*[\w-]+\.md\b")
_LINK: Final = re.compile(r"\[[^\]]*\]\(([^)#\s]*\.md)[^)\s]*\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """One place that is cited: `place` is what and which number, or empty where the page alone is named."""

    file: str
    line: int
    page: str
    place: str = ""

    def __str__(self) -> str:
        """As an editor finds it."""
        return f"{self.file}:{self.line}: {self.page} {self.place}".rstrip()


@dataclass(frozen=True, slots=True)
class _Text:
    """A run of words that are read together, and the line of the file that each begins on."""

    line: int
    words: str
    heads_module: bool = False


def citations(file: str, content: str) -> list[Citation]:
    """All that a file cites; what is spelled otherwise than the rule says is a Citation of the page LOOSE."""
    texts = list(_texts(file, content))
    by_module = next((set(re.findall(_PAGE, text.words)) for text in texts if text.heads_module), set())
    meant = [page for page in by_module if not any(_alike(page, other) for other in by_module - {page})]
    return [citation for text in texts for citation in _in_text(file, text, meant)]


def _alike(page: str, other: str) -> bool:
    """Whether a bare place could be of either."""
    return _is_protocol(page) and _is_protocol(other) and _is_lettered(page) == _is_lettered(other)


def _is_protocol(page: str) -> bool:
    return page.startswith("docs/protocols/")


def _is_lettered(page: str) -> bool:
    """Its headings are the letters of its tables."""
    return page.endswith("-codes.md")


def _texts(file: str, content: str) -> Iterator[_Text]:
    if file.endswith(".md"):
        for number, line in enumerate(content.splitlines(), 1):
            yield _Text(number, _LINK.sub(lambda link: _inside(file, link[1]), line))
    elif file.endswith(".py"):
        yield from _docstrings(ast.parse(content))
        yield from _comments(content)
    else:
        for number, line in enumerate(content.splitlines(), 1):
            yield _Text(number, line.partition("#")[2])


def _inside(file: str, target: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(file), target))


def _docstrings(tree: ast.Module) -> Iterator[_Text]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            words = ast.get_docstring(node, clean=False)
            if words is not None:
                yield _Text(node.body[0].lineno, words, heads_module=isinstance(node, ast.Module))


def _comments(content: str) -> Iterator[_Text]:
    """Lines of nothing but a comment that follow each other are one text."""
    first, words, last = 0, "", -1
    for token in tokenize.generate_tokens(io.StringIO(content).readline):
        if token.type != tokenize.COMMENT:
            continue
        alone = not token.line[: token.start[1]].strip()
        if not (alone and last == token.start[0] - 1):
            if words:
                yield _Text(first, words)
            first, words = token.start[0], ""
        words += token.string.lstrip("#").strip() + "\n"
        last = token.start[0] if alone else -1
    if words:
        yield _Text(first, words)


def _in_text(file: str, text: _Text, named_by_module: list[str]) -> Iterator[Citation]:
    words = re.sub(r"[ \t]*\n[ \t]*", "\n", text.words)
    flat = words.replace("\n", " ")
    named, direct = list(named_by_module), ""
    for match in _CITING.finditer(flat):
        line = text.line + words.count("\n", 0, match.start())
        if match["page"]:
            direct = match["page"] if match[0].endswith(" ") else ""
            named.append(match["page"])
            yield Citation(file=file, line=line, page=match["page"])
        elif not _FOREIGN.search(flat[: match.start()]):
            page = direct or (LOOSE if _OLD.search(flat[: match.start()]) else _meant(match, file, named))
            yield from (Citation(file=file, line=line, page=page, place=place) for place in _places(match))
            direct = ""
    if not file.endswith(".md"):
        for loose in _BARE_PAGE.finditer(flat):
            if not loose[0].startswith("docs/"):
                line = text.line + words.count("\n", 0, loose.start())
                yield Citation(file=file, line=line, page=LOOSE, place=loose[0])


def _meant(match: re.Match[str], file: str, named: list[str]) -> str:
    """The page of a place that names none: in a page itself; else of the pages named so far the last that can be."""
    if file.endswith(".md"):
        return file
    if match["trap"]:
        fitting = [page for page in named if page == _TRAPS]
    else:
        lettered = match["table"] is not None
        fitting = [page for page in named if _is_protocol(page) and _is_lettered(page) == lettered]
    return fitting[-1] if fitting and match["rule"] is None else LOOSE


def _places(match: re.Match[str]) -> Iterator[str]:
    for kind in ("section", "trap", "table", "rule"):
        if match[kind] is not None:
            ones = re.sub(r" \([^)]*\)", "", match[kind])
            points = re.findall(_NUMBER, match["point"]) if match["point"] else []
            for one in re.findall(rf"{_NUMBER}|\b[A-G]\b", ones):
                yield from (f"{kind} {one}.{point}" for point in points) if points else (f"{kind} {one}",)


def places(page: str) -> frozenset[str]:
    """Every place that this page has: its numbered headings and lists, lettered headings, traps, rules."""
    found: set[str] = set()
    section = ""
    for line in page.splitlines():
        if heading := re.match(rf"#{{2,4}} (?:({_NUMBER})|([A-G]))\.? ", line):
            section = heading[1] or ""
            found.add(f"section {heading[1]}" if heading[1] else f"table {heading[2]}")
        elif line.startswith("#"):
            section = ""
        elif row := re.match(r"\| (\d+) \|", line):
            found.add(f"trap {row[1]}")
        elif (point := re.match(r"(\d+)\. ", line)) and section:
            found |= {f"section {section}.{point[1]}", f"rule {point[1]}"}
    return frozenset(found)


def broken(found: list[Citation], pages: Mapping[str, str]) -> list[str]:
    """The citations that lead nowhere, each with file and line."""
    known = {path: places(text) for path, text in pages.items()}
    return [str(one) for one in found if one.page not in known or (one.place and one.place not in known[one.page])]
