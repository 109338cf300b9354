"""Any sequence of claims, folds, sweeps, marks, redeliveries and crashes, against a plain model, on both stores."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import asyncpg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from schemas.envelope import Envelope
from schemas.facts import Fact
from tests.building.facts import T0, a_cdr, an_event, seconds
from tests.contracts.stores import PostgresqlRig, SqliteRig, StoreRig, a_claim, a_receipt, forget_everything, stepping
from tests.contracts.stores_model import ClaimsModel, SessionsModel
from workers.correlate import SessionStore, StepFunction
from workers.dedupe import ClaimStore
from workers.emission import Patience

PATIENCE = Patience(cdr_wait=seconds(20), open_max=seconds(60))
TABLES = "claim, amendment, receipt, tally, session, outbox, tombstone"
CALLS = st.sampled_from(["s1", "s2", "s3"])
NEWS = st.one_of(
    st.builds(an_event, st.sampled_from(["incoming", "answered", "ended"]), session=CALLS),
    st.builds(a_cdr, st.sampled_from(["r1", "r2"]), session=CALLS, user_data=st.sampled_from(["", "x"])),
    st.builds(a_cdr, st.just("r1"), session=CALLS, implies=st.just(())),
)
CLAIMS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")), min_size=1, max_size=4)


class Stores(RuleBasedStateMachine):
    """`rig_of` makes the state of one example; the model says what each answer must be."""

    rig_of: ClassVar[Any]

    @initialize()
    def opens(self) -> None:
        self.runner = asyncio.Runner()
        self.rig: StoreRig = self.runner.run(self.rig_of())
        self.now = T0
        self.claims_model, self.sessions_model = ClaimsModel(), SessionsModel()
        self.envelopes: list[list[tuple[str, str]]] = []
        self.folded: list[list[Fact]] = []
        self._open()

    def _open(self) -> None:
        self.stack = AsyncExitStack()
        self.claims: ClaimStore = self.runner.run(self.stack.enter_async_context(self.rig.open_claims()))
        self.sessions: SessionStore = self.runner.run(self.stack.enter_async_context(self.rig.open_sessions()))

    def teardown(self) -> None:
        if not hasattr(self, "runner"):
            return
        self.passes(6)
        self.finds_what_nobody_sent(100)
        assert not self.sessions_model.unsent_ids() - self.sessions_model.returned, "something unsent was lost"
        self.runner.run(self.stack.aclose())
        self.runner.close()

    @rule(items=CLAIMS)
    def claims_some(self, items: list[tuple[str, str]]) -> None:
        self.envelopes.append(items)
        self._claim(len(self.envelopes) - 1)

    @rule(which=st.integers(0, 9))
    def claims_a_redelivery(self, which: int) -> None:
        if which < len(self.envelopes):
            self._claim(which)

    def _claim(self, which: int) -> None:
        claims = [
            replace(a_claim(key, f"{which}|{n}", version=version), at=T0 + seconds(which))
            for n, (key, version) in enumerate(self.envelopes[which])
        ]
        answers = self.runner.run(self.claims.claim([a_receipt(f"n{which}", *claims, told=which)], []))
        assert answers == self.claims_model.claim(claims)

    @rule(news=st.lists(NEWS, min_size=1, max_size=5))
    def folds(self, news: list[Fact]) -> None:
        self.folded.append([replace(fact, at=self.now) for fact in news])
        self._fold(self.folded[-1])

    @rule(which=st.integers(0, 9))
    def folds_a_redelivery(self, which: int) -> None:
        if which < len(self.folded):
            self._fold(self.folded[which])

    def _fold(self, facts: Sequence[Fact]) -> None:
        news: dict[str, list[Fact]] = {}
        for fact in facts:
            news.setdefault(fact.call_id, []).append(fact)
        told = self.runner.run(self.sessions.fold(news, self._step(), self.now))
        self._same(told, self.sessions_model.fold(news, self._step(), self.now))

    @rule(limit=st.sampled_from([1, 10]))
    def sweeps(self, limit: int) -> None:
        told = self.runner.run(self.sessions.due(self.now, self._step(), limit))
        self._same(told, self.sessions_model.due(self.now, self._step(), told))
        assert len(told) <= 2 * limit
        if limit > len(self.sessions_model.sessions):
            assert not self.sessions_model.due_ids(self.now)

    @rule(limit=st.sampled_from([1, 100]))
    def finds_what_nobody_sent(self, limit: int) -> None:
        told = self.runner.run(self.sessions.unsent(self.now, limit))
        self._same(told, self.sessions_model.unsent(self.now, limit))

    @rule(data=st.data())
    def marks_some_sent(self, data: st.DataObject) -> None:
        known = sorted(self.sessions_model.returned)
        chosen = data.draw(st.lists(st.sampled_from(known), unique=True)) if known else []
        self.runner.run(self.sessions.sent([*chosen, "nobody"], self.now))
        self.sessions_model.sent(chosen)

    @rule(count=st.sampled_from([1, 3, 6, 30, 100]))
    def passes(self, count: int) -> None:
        self.now += seconds(count)

    @rule()
    def crashes(self) -> None:
        self.runner.run(self.stack.aclose())
        self._open()

    @rule()
    def waits_ten_days_and_forgets(self) -> None:
        self.now += seconds(10 * 86400)
        while self.runner.run(self.sessions.expire(self.now, 2)) or self.runner.run(self.claims.expire(self.now, 2)):
            pass
        self.claims_model.forget()
        self.sessions_model.forget()
        self.envelopes, self.folded = [], []

    @invariant()
    def no_id_has_two_bodies(self) -> None:
        if hasattr(self, "sessions_model"):
            assert self.sessions_model.bodies_agree

    def _step(self) -> StepFunction:
        return stepping((self.now - T0).total_seconds(), patience=PATIENCE)

    def _same(self, told: Sequence[Envelope], expected: Sequence[Envelope]) -> None:
        self.sessions_model.hear(told)
        assert list(told) == list(expected)


async def test_on_sqlite(tmp_path: Path) -> None:
    async def fresh() -> StoreRig:
        return SqliteRig(Path(TemporaryDirectory(dir=tmp_path, delete=False).name))

    await _run(fresh, examples=60)
