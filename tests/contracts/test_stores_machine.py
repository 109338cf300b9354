"""Any sequence of claims, folds, sweeps, marks, redeliveries and crashes, against a plain model, on both stores."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import count
from pathlib import Path

import asyncpg
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from schemas.dialect.items import latest_number_state
from schemas.envelope import Envelope
from schemas.facts import Announced, Fact
from tests.building.facts import T0, a_cdr, an_event, kept, seconds
from tests.building.stores import PostgresqlRig, SqliteRig, StoreRig, a_claim, a_receipt, forget_everything, stepping
from tests.contracts.stores_model import ClaimsModel, SessionsModel
from workers.calls.kept import KeptFact
from workers.calls.step import Patience
from workers.correlate import SessionStore, StepFunction
from workers.dedupe import ClaimStore

PATIENCE = Patience(cdr_wait=seconds(20), open_max=seconds(60))
TABLES = "claim, amendment, latest, receipt, tally, session, outbox, tombstone"
AUDIO = Announced(name="a.wav", domain="ostor.example.com")
CALLS = st.sampled_from(["s1", "s2", "s3"])
NEWS = st.one_of(
    st.builds(an_event, st.sampled_from(["incoming", "answered", "ended"]), session=CALLS),
    st.builds(a_cdr, st.sampled_from(["r1", "r2"]), session=CALLS, user_data=st.sampled_from(["", "x"])),
    st.builds(a_cdr, st.just("r1"), session=CALLS, implies=st.just(()), recordings=st.sampled_from([(), (AUDIO,)])),
)
NUMBERS = [latest_number_state({}, number=number).key for number in ("17000000001", "17000000002")]
ITEMS = st.lists(st.tuples(st.sampled_from(["a", "b", *NUMBERS]), st.sampled_from("xyz")), min_size=1, max_size=4)


class Stores(RuleBasedStateMachine):
    """Whatever happens, each answer is the model's; so no key is new to two owners and nothing unsent is lost."""

    def __init__(self, rig: StoreRig) -> None:
        super().__init__()
        self.rig = rig
        self.runner = asyncio.Runner()
        self.now = T0
        self.claims_model, self.sessions_model = ClaimsModel(), SessionsModel()
        self.notifications: list[list[tuple[str, str]]] = []
        self.folded: list[list[Fact]] = []
        self.in_hand: set[str] = set()  # what this life of the store gave out: only that is published and marked
        self._open()

    def _open(self) -> None:
        self.stack = AsyncExitStack()
        self.claims: ClaimStore = self.runner.run(self.stack.enter_async_context(self.rig.open_claims()))
        self.sessions: SessionStore = self.runner.run(self.stack.enter_async_context(self.rig.open_sessions()))

    def teardown(self) -> None:
        try:
            self.passes(6)
            unsent = self.sessions_model.unsent_ids()
            assert {envelope.id for envelope in self._finds_unsent(100)} == unsent
        finally:
            self.runner.run(self.stack.aclose())
            self.runner.close()

    @rule(items=ITEMS)
    def claims_a_notification(self, items: list[tuple[str, str]]) -> None:
        self.notifications.append(items)
        self._claim(len(self.notifications) - 1)

    @rule(which=st.integers(0, 9))
    def claims_a_redelivery(self, which: int) -> None:
        if which < len(self.notifications):
            self._claim(which)

    def _claim(self, which: int) -> None:
        claims = [
            a_claim(key, f"{which}|{n}", version=version, told=which)
            for n, (key, version) in enumerate(self.notifications[which])
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
        news: dict[str, list[KeptFact]] = {}
        for fact in facts:
            news.setdefault(fact.call_id, []).append(kept(fact))
        told = self.runner.run(self.sessions.fold(news, self._step(), self.now))
        self._same(told, self.sessions_model.fold(news, self._step(), self.now))

    @rule()
    def sweeps(self) -> None:
        told = self.runner.run(self.sessions.due(self.now, self._step(), 10))
        self._same(told, self.sessions_model.due(self._step(), self.now, told))

    @rule(limit=st.sampled_from([1, 100]))
    def finds_what_nobody_sent(self, limit: int) -> None:
        self._finds_unsent(limit)

    def _finds_unsent(self, limit: int) -> Sequence[Envelope]:
        told = self.runner.run(self.sessions.unsent(self.now, limit))
        self._same(told, self.sessions_model.unsent(self.now, limit))
        return told

    @rule(data=st.data())
    def marks_some_sent(self, data: st.DataObject) -> None:
        known = sorted(self.sessions_model.unsent_ids() & self.in_hand)
        self._mark(data.draw(st.lists(st.sampled_from(known), unique=True)) if known else [])

    def _mark(self, ids: Sequence[str]) -> None:
        self.runner.run(self.sessions.sent([*ids, "nobody"], self.now))
        self.sessions_model.sent(ids)

    @rule(count=st.sampled_from([1, 3, 6, 30, 100]))
    def passes(self, count: int) -> None:
        self.now += seconds(count)

    @rule()
    def crashes(self) -> None:
        self.runner.run(self.stack.aclose())
        self.in_hand.clear()
        self._open()

    @rule()
    def rests_for_ten_days_and_forgets(self) -> None:
        while self.sessions_model.due_ids(self.now + seconds(1000)):
            self.passes(100)
            self.sweeps()
        self.passes(6)
        self._finds_unsent(1000)
        self._mark(sorted(self.sessions_model.unsent_ids()))
        self.now += seconds(10 * 86400)
        while self.runner.run(self.sessions.expire(self.now, 2)) or self.runner.run(self.claims.expire(self.now, 2)):
            pass
        self.claims_model.forget()
        self.sessions_model.forget()

    def _step(self) -> StepFunction:
        return stepping((self.now - T0).total_seconds(), patience=PATIENCE)

    def _same(self, told: Sequence[Envelope], expected: Sequence[Envelope]) -> None:
        self.sessions_model.hear(told)
        self.in_hand.update([envelope.id for envelope in told])
        assert list(told) == list(expected)


def examine(rigs: Iterator[StoreRig], *, examples: int) -> None:
    class OverRigs(Stores):
        def __init__(self) -> None:
            super().__init__(next(rigs))

    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    run_state_machine_as_test(
        OverRigs,
        settings=settings(
            max_examples=examples,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=checks,
            database=None,
            phases=[Phase.generate, Phase.shrink],
        ),
    )


def test_sqlite_does_what_the_model_does(tmp_path: Path) -> None:
    examine((SqliteRig(tmp_path / f"{n}") for n in count()), examples=60)


def test_postgresql_does_what_the_model_does(postgres_dsn: str) -> None:
    asyncio.run(forget_everything(postgres_dsn))

    def emptied() -> Iterator[StoreRig]:
        yield PostgresqlRig(postgres_dsn)
        while True:
            asyncio.run(_empty(postgres_dsn))
            yield PostgresqlRig(postgres_dsn)

    examine(emptied(), examples=20)


async def _empty(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(f"SET search_path = callstitch; TRUNCATE {TABLES}")
    await connection.close()
