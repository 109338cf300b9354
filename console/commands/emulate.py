"""`callstitch emulate`: plays the platforms against the door of anybody's `callstitch ingest`."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.progress import Progress

from console.app import EXIT_DIFFERENCE, ConfigOption, exit_codes, quietly
from console.config_file import load_config
from console.demo.elsewhere import play_and_compare, show
from console.demo.settling import Evidence, refuse_leftovers
from console.door_url import checked_url
from console.emulator.acts import PLAYABLE
from console.emulator.play import play_all
from console.emulator.settings import EmulatorSettings, Played
from console.screen import complain, out, wrapped
from runtime.port.address import split_address
from schemas.errors import Misconfigured

DEFAULT_PLATFORM: Final = "huawei_privatenumber"
START: Final = datetime(2026, 1, 5, 8, tzinfo=UTC)
_NAMED: Final = re.compile(r"(?P<platform>[a-z_]+)=(?P<url>.+)")


commands = typer.Typer()


def _listen(address: str) -> str:
    try:
        split_address(address)
    except ValueError:
        raise typer.BadParameter("an address is host:port, for example 127.0.0.1:0") from None
    return address


ToOption = Annotated[
    list[str], typer.Option(help="URL of a source at the door, token included; PLATFORM=URL, once for each platform.")
]
RepushOption = Annotated[
    float, typer.Option(help="How many times faster than the platform to push again; 600 turns a minute into 0.1 s.")
]
MessagesOption = Annotated[
    int, typer.Option(min=0, help="How many SMS and number states to add, where a platform has them.")
]
LingerOption = Annotated[
    float, typer.Option(help="Seconds to keep serving recordings at the end; negative: until stopped.")
]
CheckOption = Annotated[
    Path | None,
    typer.Option(help="A jsonl sink's file: wait until all is in it and in the store of --config, and compare."),
]


@commands.command()
def emulate(
    *,
    to: ToOption,
    platform: Annotated[str, typer.Option(help="The platform of a --to URL that names none.")] = DEFAULT_PLATFORM,
    seed: Annotated[int, typer.Option(help="Same seed, same traffic.")] = 1,
    calls: Annotated[int, typer.Option(help="How many calls to play, shared by the platforms.")] = 200,
    rate: Annotated[float | None, typer.Option(help="Notifications a second; by default all it can.")] = None,
    truth: Annotated[Path | None, typer.Option(help="Where to write what was sent, as JSON lines.")] = None,
    recordings: Annotated[str, typer.Option(help="Where the recording API listens.", callback=_listen)] = "127.0.0.1:0",
    app_key: Annotated[str, typer.Option(help="Key that signs the pushes and opens the recordings.")] = "EMULATORKEY",
    app_secret: Annotated[
        str, typer.Option(envvar="CALLSTITCH_EMULATOR_SECRET", help="Secret of that key.")
    ] = "emulator-secret",  # noqa: S107
    concurrency: Annotated[int, typer.Option(min=1, help="At most this many requests at a time.")] = 16,
    repush_factor: RepushOption = 600,
    ask: Annotated[bool, typer.Option("--ask", help="Ask questions too; the source needs control = true.")] = False,
    messages: MessagesOption = 0,
    linger: LingerOption = 0,
    check: CheckOption = None,
    config: ConfigOption = None,
) -> None:
    """Play platforms over real HTTP: their products and modes, re-pushes, merged CDRs, recordings and questions.

    Huawei PrivateNumber unless --platform or PLATFORM=URL says otherwise.
    """
    common: dict[str, Any] = {
        "seed": seed,
        "truth": truth,
        "recordings_listen": recordings,
        "app_key": app_key,
        "app_secret": app_secret,
        "repush_factor": repush_factor,
        "linger_seconds": None if linger < 0 or check else linger,
        "ask": ask,
        "messages": messages,
        "start": START,
        "signed_at": datetime.now(UTC),
    }
    if check and not truth:
        raise typer.BadParameter("it needs --truth", param_hint="--check")
    parts = _parts(_places(to, platform), calls, rate=rate, concurrency=concurrency, common=common)
    with exit_codes():
        if check is None:
            _tell(_play(parts, calls))
            return
    with quietly():
        _play_and_compare(parts, calls, check, config)


def _parts(
    places: Sequence[tuple[str, str]], calls: int, *, rate: float | None, concurrency: int, common: dict[str, Any]
) -> list[EmulatorSettings]:
    """One for each platform; calls, rate and concurrency are shared."""
    at_once = max(concurrency // len(places), 1)
    try:
        return [
            EmulatorSettings(
                to=url,
                platform=name,
                calls=share,
                rate=rate * share / calls if rate else None,
                concurrency=at_once,
                **common,
            )
            for (name, url), share in zip(places, _shares([name for name, _ in places], calls), strict=True)
        ]
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _play(parts: Sequence[EmulatorSettings], calls: int) -> Played:
    with Progress(disable=not out.is_terminal) as progress:
        try:
            return asyncio.run(play_all(parts, on_progress=bar(progress, calls)))
        except OSError as error:  # what the door does is counted; this is the truth's file, or the recordings' port
            raise Misconfigured(f"cannot play: {error}") from None


def _play_and_compare(parts: Sequence[EmulatorSettings], calls: int, events: Path, path: Path | None) -> None:
    """As `make demo`, but for a Callstitch that somebody else started, and that has known no call yet."""
    config = load_config(path)
    assert parts[0].truth is not None
    evidence = Evidence(config=config, truth=parts[0].truth, events=events)
    asyncio.run(refuse_leftovers(config))
    with Progress(disable=not out.is_terminal) as progress:
        played, ledger = play_and_compare(parts, evidence, on_progress=bar(progress, calls))
    show(evidence, ledger)
    _tell(played)
    if not ledger["balanced"]:
        raise typer.Exit(EXIT_DIFFERENCE)


def bar(progress: Progress, calls: int) -> Callable[[int, int], None]:
    """Moves the bar, and ends its line with the last call: recordings are served on, with nothing more to show."""
    task = progress.add_task("playing calls", total=calls)

    def show(done: int, _: int) -> None:
        progress.update(task, completed=done)
        if done == calls:
            progress.stop()

    return show


def _places(to: Sequence[str], platform: str) -> list[tuple[str, str]]:
    """Platform and URL of each source; one of each platform, since ids follow from seed and platform alone."""
    found: list[tuple[str, str]] = []
    for place in to:
        named = _NAMED.fullmatch(place)
        wanted, url = (named["platform"], named["url"]) if named else (platform, place)
        if wanted not in PLAYABLE:
            raise typer.BadParameter(f"a platform is one of {', '.join(PLAYABLE)}", param_hint="--to")
        if wanted in [name for name, _ in found]:
            raise typer.BadParameter(f"{wanted} is named twice", param_hint="--to")
        found.append((wanted, checked_url(url, option="--to")))
    return found


def _shares(platforms: Sequence[str], calls: int) -> list[int]:
    """So many calls for each; the first takes what does not divide."""
    if calls < len(platforms):
        raise typer.BadParameter("there are fewer calls than platforms", param_hint="--calls")
    whole = sum(PLAYABLE[platform].share for platform in platforms)
    rest = [max(calls * PLAYABLE[platform].share // whole, 1) for platform in platforms[1:]]
    return [calls - sum(rest), *rest]


def _tell(played: Played) -> None:
    out.print(
        wrapped(
            f"{played.calls} calls, {played.posts_200} posts answered 200, {played.items_accepted} items"
            f" ({played.distinct_items_accepted} distinct), {played.posts_given_up} given up,"
            f" {played.questions} questions, {played.answers_wrong} wrong answers, {played.attempts_late} late"
        )
    )
    if not played.posts_200:
        complain(
            f"callstitch: no post was answered 200 ({played.attempts_unanswered} attempts had no answer,"
            f" {played.attempts_refused} another status): is the door running there, with that source and token?"
        )
    for fault in played.faults:
        complain(f"fault: {fault}")
    if played.faults or played.posts_given_up:
        raise typer.Exit(EXIT_DIFFERENCE)
