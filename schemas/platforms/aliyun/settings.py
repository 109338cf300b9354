"""What a source of Aliyun has of its own."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from schemas.settings import Duration, Secret
from schemas.settings.source import AskingSource, SignedSource
from schemas.vocabulary import Mode


class AliyunSource(SignedSource, AskingSource):
    """`mode` stands in records, since no receipt tells it; the rest is for the questions of X mode.

    `control_secret` signs them where that is not `app_secret`, `key_variant` says how, and `clock_skew` how far their
    timestamp may be from our clock. `model_shape`: `model` in an answer as an object, or as JSON in a text.
    """

    mode: Mode | None = None
    control_secret: Secret | None = None
    key_variant: Literal["A", "B", "C"] = "A"
    model_shape: Literal["object", "string"] = "object"
    clock_skew: Duration = timedelta(minutes=15)
