"""Posts one body and posts it again by the platform's schedule until 200 or the last try."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta

import aiohttp

from console.emulator.act import OK, Act, Heard, Request
from console.emulator.book import Answer
from console.emulator.push import Push
from console.emulator.settings import EmulatorSettings


class Courier:
    """Holds a slot only while a request is under way, so that waiting posts block nobody."""

    def __init__(
        self,
        settings: EmulatorSettings,
        act: Act,
        session: aiohttp.ClientSession,
        slots: asyncio.Semaphore,
        faults: list[str],
    ) -> None:
        self._settings = settings
        self._act = act
        self._session = session
        self._slots = slots
        self._faults = faults
        self._base = settings.to.rstrip("/")
        self._clock = asyncio.get_running_loop().time
        self._began = self._clock()
        self._signed_at = (settings.signed_at or settings.start).astimezone(UTC)

    async def deliver(self, push: Push) -> Answer:
        """Return the last answer, after one attempt and as many re-pushes as the platform makes."""
        body = push.body(app_key=self._settings.app_key)
        unanswered = late = wrong = 0
        failed_at: float | None = None
        for attempt, minutes in enumerate((0, *self._act.repush_minutes[push.kind]), start=1):
            if failed_at is not None:
                await asyncio.sleep(failed_at + self._seconds(minutes) - self._clock())
            heard, seconds = await self._post(push, attempt, body)
            unanswered += heard is None
            late += seconds > (self._act.answer_seconds if push.asks else self._act.reply_seconds)
            if heard is not None and heard.status == OK:
                wrong = self._judge(push, heard)
                break
            failed_at = failed_at or self._clock()
        if push.asks:
            self._act.hear(push, heard if heard is not None and heard.status == OK else None)
        status = heard.status if heard is not None else None
        return Answer(status=status, attempts=attempt, unanswered=unanswered, late=late, wrong=wrong)

    async def pause(self, push: Push) -> None:
        """Wait out the time between a first push and its later repetition or correction."""
        if push.pause_minutes:
            await asyncio.sleep(self._seconds(push.pause_minutes))

    async def _post(self, push: Push, attempt: int, body: bytes) -> tuple[Heard | None, float]:
        """What the door said, None when no answer came in time, and how long that took."""
        request = self._signed(push, attempt, body)
        async with self._slots:
            began = self._clock()
            try:
                async with self._session.post(
                    request.url, data=request.body, headers=request.headers, allow_redirects=False
                ) as answer:
                    heard = Heard(status=answer.status, content_type=answer.content_type, body=await answer.read())
                    return heard, self._clock() - began
            except (aiohttp.ClientError, TimeoutError):
                return None, self._clock() - began

    def _signed(self, push: Push, attempt: int, body: bytes) -> Request:
        """Each attempt is signed anew; the nonce follows from seed and start, `created` from a running clock."""
        nonce = f"{self._settings.seed}:{push.n}:{attempt}:{self._signed_at.timestamp()}"
        created: datetime = self._signed_at + timedelta(seconds=self._clock() - self._began)
        request = Request(url=self._base + push.form.path, body=body, headers={"Content-Type": push.form.content_type})
        return self._act.sign(request, push, hashlib.sha256(nonce.encode()).hexdigest(), created)

    def _judge(self, push: Push, heard: Heard) -> int:
        found = self._act.faults(push, heard)
        self._faults.extend(found)
        return int(bool(found))

    def _seconds(self, minutes: int) -> float:
        return minutes * 60 / self._settings.repush_factor
