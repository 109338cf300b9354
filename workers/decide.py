"""decisions -> the door: answers from the config's rules. Any other service may consume the queue instead."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Self

import structlog
from pydantic import ValidationError, model_validator

from schemas.numbers import e164
from schemas.question import GOING, Answer, Decision, Question, decision_without_answer, fits, goes_somewhere
from schemas.settings import Name

log = structlog.get_logger()


class Rule(Decision):
    """An answer that `decide` gives: the first rule whose every given field is that of the question."""

    source: Name
    number: str | None = None
    caller: str | None = None
    extension: str | None = None

    @model_validator(mode="after")
    def _has_a_callee(self) -> Self:
        if self.action in GOING and not goes_somewhere(self):
            raise ValueError(f"{self.action} needs a callee")
        return self


def decide(rules: Sequence[Rule], defaults: Mapping[str, Decision | None]) -> Callable[[bytes], bytes | None]:
    """What answers a question, both as JSON; None for one that cannot be read, which the door's deadline ends.

    Where no rule fits, the default of its source is the answer at once, so that nobody waits for the deadline.
    """

    def answer(sent: bytes) -> bytes | None:
        try:
            question = Question.model_validate_json(sent)
        except ValidationError as error:
            log.warning("question.unreadable", faults=error.error_count())
            return None
        rule = next((rule for rule in rules if _matches(rule, question)), None)
        if rule is not None:
            return _encoded(rule, "rule")
        return _encoded(decision_without_answer(question.kind, defaults.get(question.source)), "default")

    return answer


def _matches(rule: Rule, question: Question) -> bool:
    """Numbers of a rule may stand in national form; those of a question are E.164."""
    if rule.source != question.source or not fits(question.kind, rule):
        return False
    wanted = (
        (rule.number and e164(rule.number), question.number),
        (rule.caller and e164(rule.caller), question.caller),
        (rule.extension, question.extension),
    )
    return all(wish is None or wish == found for wish, found in wanted)


def _encoded(decision: Decision, by: str) -> bytes:
    given = decision.model_dump(include=set(Decision.model_fields))
    return Answer.model_validate({**given, "by": by}).model_dump_json(exclude_none=True).encode()
