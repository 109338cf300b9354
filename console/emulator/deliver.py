"""Posts one body and posts it again by the platform's schedule until 200 or the last try."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta

import aiohttp

from console.emulator import signing
from console.emulator.book import OK, Answer
from console.emulator.plan import Push
from console.emulator.settings import EmulatorSettings

# Counted from the first failure, the natural reading [inferred]; huawei-privatenumber.md section 0.
REPUSH_MINUTES = (1, 4, 9, 106, 203, 300)
PATHS = {"event": "/status", "cdr": "/fee"}
CONTENT_TYPE = "application/json;charset=UTF-8"


class Courier:
    """Holds a slot only while a request is under way, so that waiting posts block nobody."""

    def __init__(
        self, settings: EmulatorSettings, session: aiohttp.ClientSession, slots: asyncio.Semaphore, faults: list[str]
    ) -> None:
        self._settings = settings
        self._session = session
        self._slots = slots
        self._faults = faults
        self._base = settings.to.rstrip("/")
        self._clock = asyncio.get_running_loop().time
        self._began = self._clock()
        self._signed_at = (settings.signed_at or settings.start).astimezone(UTC)

    async def deliver(self, push: Push) -> Answer:
        """Return the last answer, after one attempt and at most six re-pushes."""
        body = push.body(app_key=self._settings.app_key)
        unanswered = 0
        failed_at: float | None = None
        for attempt, minutes in enumerate((0, *REPUSH_MINUTES), start=1):
            if failed_at is not None:
                await asyncio.sleep(failed_at + self._seconds(minutes) - self._clock())
            status = await self._post(push, attempt, body)
            unanswered += status is None
            if status == OK:
                break
            failed_at = failed_at or self._clock()
        return Answer(status=status, attempts=attempt, unanswered=unanswered)

    async def pause(self, push: Push) -> None:
        """Wait out the time between a first push and its later repetition or correction."""
        if push.pause_minutes:
            await asyncio.sleep(self._seconds(push.pause_minutes))

    async def _post(self, push: Push, attempt: int, body: bytes) -> int | None:
        headers = {"Content-Type": CONTENT_TYPE} | self._auth(push, attempt)
        url = self._base + PATHS[push.kind]
        async with self._slots:
            try:
                async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
                    self._check(answer.status, await answer.read())
                    return answer.status
            except (aiohttp.ClientError, TimeoutError):
                return None

    def _auth(self, push: Push, attempt: int) -> dict[str, str]:
        """Each attempt is signed anew; the nonce follows from the seed, `Created` from a running clock."""
        nonce = hashlib.sha256(f"{self._settings.seed}:{push.n}:{attempt}".encode()).hexdigest()
        created: datetime = self._signed_at + timedelta(seconds=self._clock() - self._began)
        return signing.headers(
            self._settings.sign,
            app_key=self._settings.app_key,
            app_secret=self._settings.app_secret,
            nonce=nonce,
            created=f"{created:%Y-%m-%dT%H:%M:%SZ}",
        )

    def _check(self, status: int, body: bytes) -> None:
        if status == OK and body:
            self._faults.append("door: a 200 with a body, where the platform wants it empty")

    def _seconds(self, minutes: int) -> float:
        return minutes * 60 / self._settings.repush_factor
