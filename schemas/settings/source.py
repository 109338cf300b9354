"""The settings of a source, one configured account at a platform: what every platform has, and what several share.

Each platform's own settings are a subclass in its package. A key stands where it means something, so that one that
would do nothing is an error.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from schemas.question import GOING, Decision, goes_somewhere
from schemas.settings import Duration, Given, Host, Name, Secret, Settings, Token, Url
from schemas.vocabulary import Billing


class Source(Settings):
    """What a source has at every platform; `platform` is the name of its dialect.

    `call_events`: False when it pushes CDRs only. `progress`: publish call.progress. `settle`, `cdr_wait` and
    `open_max` say how long a call waits for what is missing (docs/design.md section 5). `billing`: what the
    platform bills, each that has begun. `recording_hosts`: where audio may come from; none means the platform's own
    hosts. `allow_private` admits http and private addresses for them.
    """

    name: Name
    platform: str
    tokens: Annotated[tuple[Token, ...], Field(min_length=1)]
    call_events: bool = True
    progress: bool = True
    settle: Duration = timedelta(seconds=2)
    cdr_wait: Duration = timedelta(minutes=15)
    open_max: Duration = timedelta(hours=24)
    billing: Billing = "minute"
    recording_hosts: tuple[Host, ...] = ()
    allow_private: bool = False


class SignedSource(Source):
    """A source with a key and a secret, which verify its pushes and sign our requests to its recording API.

    `recording_api` is scheme and host; None means the platform's own.
    """

    app_key: Given | None = None
    app_secret: Secret | None = None
    verify: Literal["never", "when_present", "always"] = "when_present"
    recording_api: Url | None = None

    @property
    def questions_are_signed(self) -> bool:
        """Whether a question without a signature is refused: unless `verify` says otherwise, where there is a secret.

        Whoever knows the URL could else ask where a number leads, and make a call go there.
        """
        return self.app_secret is not None and (self.verify == "always" or "verify" not in self.model_fields_set)

    @model_validator(mode="after")
    def _can_verify(self) -> Self:
        if self.verify == "always" and self.app_secret is None:
            raise ValueError('verify = "always" needs app_secret')
        return self


class AskingSource(Source):
    """A source whose pushes may be questions.

    `control`: it asks them, and `default` is the answer when nobody gives one in time; without it the platform's
    refusal.
    """

    control: bool = False
    default: Decision | None = None

    @model_validator(mode="after")
    def _default_is_an_answer(self) -> Self:
        if self.default is not None and self.default.action in GOING and not goes_somewhere(self.default):
            raise ValueError(f"a default of {self.default.action} needs a callee")
        if self.default is not None and not self.control:
            raise ValueError("a default needs control = true")
        return self
