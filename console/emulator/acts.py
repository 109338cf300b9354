"""Which platforms can be played."""

from __future__ import annotations

from console.emulator.act import Act
from console.emulator.aliyun.act import aliyun
from console.emulator.huawei.privatenumber.act import private_number
from console.emulator.huawei.voicecall.act import voice_call
from console.emulator.jiuyun.act import jiuyun
from console.emulator.recordings import Recordings
from console.emulator.settings import EmulatorSettings


def build_act(settings: EmulatorSettings, recordings: Recordings) -> Act:
    """The part that the settings ask for; its recordings are served by `recordings`."""
    match settings.platform:
        case "huawei_privatenumber":
            return private_number(settings)
        case "huawei_voicecall":
            return voice_call(settings, recordings)
        case "aliyun_pnp":
            return aliyun(settings, recordings)
        case "jiuyun_axb":
            return jiuyun(settings, recordings)
