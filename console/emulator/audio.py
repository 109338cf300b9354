"""Makes recordings, the same for the same name: WAV, A-law, 8 kHz, mono, and MP3.

The WAV is that of docs/protocols/huawei-privatenumber.md section 6; MP3 is what Aliyun's sample link and Jiuyun's
recordUrl name (docs/protocols/jiuyun-axb.md section 4).
"""

from __future__ import annotations

import hashlib
import math
import re
import struct
from random import Random

SAMPLES_PER_SECOND = 8000
MAX_BYTES = 30 * 1024
WAVE_FORMAT_ALAW = 6
TONE_PERIOD = 800  # samples: every multiple of 10 Hz fits in whole
QUIET = bytes((step & 0x9F) ^ 0x55 for step in range(256))  # the two lowest segments of A-law, both signs
NAME = re.compile(r"\d{12}\d{7}(?P<seconds>\d{4})\.wav")
HEADER_BYTES = 58
MP3_NAME = re.compile(r"[0-9a-f]{16,40}\.mp3")
MP3_FRAME = bytes.fromhex("fffb9064") + bytes(413)  # MPEG-1 layer III, 128 kbit/s, 44.1 kHz: silence


def is_object_name(name: str) -> bool:
    """Tell if the emulator can have announced a file of this name."""
    return NAME.fullmatch(name) is not None


def is_link_name(name: str) -> bool:
    """Tell if the emulator can have given out a link to a file of this name."""
    return MP3_NAME.fullmatch(name) is not None


def make_audio(seed: int, name: str) -> bytes:
    """A WAV or an MP3, by the name's ending."""
    return make_mp3(seed, name) if is_link_name(name) else make_wav(seed, name)


def digest_of(audio: bytes) -> dict[str, str | int]:
    """By which a stored copy is compared with what was served."""
    return {"sha256": hashlib.sha256(audio).hexdigest(), "bytes": len(audio)}


def make_mp3(seed: int, name: str) -> bytes:
    """A few frames of silence behind an ID3 tag whose title makes the file its own."""
    rng = Random(f"{seed}:audio:{name}")
    title = f"{name}:{rng.getrandbits(64):016x}".encode()
    frame = b"TIT2" + struct.pack(">IH", len(title) + 1, 0) + b"\x03" + title
    size = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\x00\x00" + size + frame + MP3_FRAME * rng.randint(4, 24)


def make_wav(seed: int, name: str) -> bytes:
    """A tone and then noise, as long as the talk time in the name but at most 30 KiB."""
    found = NAME.fullmatch(name)
    if not found:
        raise ValueError("not an object name of the emulator")
    samples = min(int(found["seconds"]) * SAMPLES_PER_SECOND, MAX_BYTES - HEADER_BYTES)
    rng = Random(f"{seed}:audio:{name}")
    period = _tone(10 * rng.randint(30, 90))
    noise = rng.randbytes(samples // 2).translate(QUIET)
    tone = (period * (samples // TONE_PERIOD + 1))[: samples - len(noise)]
    return _header(samples) + tone + noise


def _header(samples: int) -> bytes:
    """RIFF with `fmt ` of 18 bytes and `fact`, which a format other than PCM needs."""
    fmt = struct.pack("<HHIIHHH", WAVE_FORMAT_ALAW, 1, SAMPLES_PER_SECOND, SAMPLES_PER_SECOND, 1, 8, 0)
    chunks = (
        b"fmt " + struct.pack("<I", len(fmt)) + fmt,
        b"fact" + struct.pack("<II", 4, samples),
        b"data" + struct.pack("<I", samples),
    )
    head = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(head) + samples) + head


def _tone(hertz: int) -> bytes:
    angle = 2 * math.pi * hertz / SAMPLES_PER_SECOND
    return bytes(alaw(round(8000 * math.sin(angle * step))) for step in range(TONE_PERIOD))


def alaw(sample: int) -> int:
    """One 16-bit sample in G.711 A-law."""
    sign = 0x80 if sample >= 0 else 0
    magnitude = (sample if sample >= 0 else ~sample) >> 3
    segment = max(magnitude.bit_length() - 5, 0)
    step = (magnitude >> max(segment, 1)) & 0x0F
    return (sign | (segment << 4) | step) ^ 0x55
