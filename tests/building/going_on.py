"""What a store of sessions holds in the middle of its work, and what it then says: the same in every version."""

from __future__ import annotations

from typing import Final

from schemas.facts import Announced
from schemas.recording import recording_key
from tests.building.facts import a_cdr, a_stored_recording, an_event
from tests.building.stores import a_whole_call, at, fold, stepping
from workers.correlate import SessionStore

AUDIO: Final = Announced(name="a.wav")


async def half_way(store: SessionStore) -> None:
    """Calls that were said and sent, said and not sent, said as incomplete, are open, and wait to be amended."""
    said = await fold(store, a_whole_call("sent"), a_whole_call("other", record="r2"), told=70)
    said += await fold(store, a_cdr("r3", session="recorded", told=70, implies=(), recordings=(AUDIO,)), told=70)
    await store.sent([one.id for one in said], at(71))
    await fold(store, an_event("ended", session="incomplete", told=60), told=72)
    said = list(await store.due(at(60 + 900), stepping(60 + 900), 10))
    await store.sent([one.id for one in said], at(961))
    await fold(store, an_event("incoming", session="open", told=962), told=962)
    await fold(store, a_cdr("r1", session="sent", told=963, implies=(), user_data="x"), told=963)
    await fold(store, a_whole_call("unsent", told=964, record="r4"), told=964)


async def going_on(store: SessionStore) -> list[str]:
    """The bodies of the events that leave from then on, sorted."""
    said = list(await store.due(at(970), stepping(970), 10))
    key = recording_key("huawei-bj:recorded", AUDIO)
    said += await fold(store, a_stored_recording(key, session="recorded", told=971), told=971)
    said += await fold(store, a_cdr("r5", session="incomplete", told=972, implies=()), told=972)
    said += await fold(store, a_whole_call("open", told=973, record="r6"), told=973)
    said += await fold(store, a_cdr("r2", session="other", told=974, implies=(), user_data="y"), told=974)
    for moment in (980, 1000):
        said += await store.due(at(moment), stepping(moment), 10)
    said += await store.unsent(at(1000), 50)
    return sorted({one.body.decode() for one in said if isinstance(one.body, bytes)})
