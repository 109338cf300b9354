"""What a source of Jiuyun has of its own."""

from __future__ import annotations

from schemas.settings.source import Source
from schemas.vocabulary import Mode


class JiuyunSource(Source):
    """`mode` overrides what the platform says. Nothing is signed and nothing is asked: the token is all there is."""

    mode: Mode | None = None
