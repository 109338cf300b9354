"""decisions -> the door: answers from the config's rules. Any other service may consume the queue instead."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import structlog
from pydantic import ValidationError

from schemas.config import Rule, Source
from schemas.numbers import e164
from schemas.question import Answer, Decision, Question, decision_without_answer, fits

log = structlog.get_logger()


def decide(rules: Sequence[Rule], sources: Mapping[str, Source]) -> Callable[[bytes], bytes | None]:
    """What answers a question, both as JSON; None for one that cannot be read, which the door's deadline ends.

    Where no rule fits, the source's default is the answer at once, so that nobody waits for the deadline.
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
        source = sources.get(question.source)
        return _encoded(decision_without_answer(question.kind, source.default if source else None), "default")

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
