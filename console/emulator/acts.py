"""Which platforms can be played: one line each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from console.emulator.act import Act
from console.emulator.aliyun.act import aliyun
from console.emulator.aliyun.recordings import API as ALIYUN_API
from console.emulator.huawei.privatenumber.act import private_number
from console.emulator.huawei.recordings import API as HUAWEI_API
from console.emulator.huawei.voicecall.act import voice_call
from console.emulator.jiuyun.act import jiuyun
from console.emulator.recordings import Api, Recordings
from console.emulator.settings import EmulatorSettings


class Playable(NamedTuple):
    """A platform's act, its recording API where it has one, and its share of ten calls where several play."""

    act: Callable[[EmulatorSettings, Recordings], Act]
    api: Api | None
    share: int


PLAYABLE: Final[Mapping[str, Playable]] = {
    "huawei_privatenumber": Playable(private_number, HUAWEI_API, share=4),
    "huawei_voicecall": Playable(voice_call, HUAWEI_API, share=2),
    "aliyun_pnp": Playable(aliyun, ALIYUN_API, share=2),
    "jiuyun_axb": Playable(jiuyun, None, share=2),
}
APIS: Final = tuple(dict.fromkeys(one.api for one in PLAYABLE.values() if one.api))


def build_act(settings: EmulatorSettings, recordings: Recordings) -> Act:
    """The part that the settings ask for; its recordings are served by `recordings`.

    Raises:
        KeyError: there is no such platform.
    """
    return PLAYABLE[settings.platform].act(settings, recordings)
