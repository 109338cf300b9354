"""`callstitch sample`: the platforms' own published pushes, printed, or posted to a door as the platform would."""

from __future__ import annotations

import asyncio
import os
from itertools import groupby
from typing import Annotated, Final

import aiohttp
import typer

from console.app import EXIT_DIFFERENCE, exit_codes
from console.config_file import TOKENS_FILE, load_config
from console.door_url import checked_url, door_url
from console.screen import complain, out, say_bytes
from console.stories import STORIES, Push, Story
from schemas.errors import Unavailable

commands = typer.Typer()

UP: Final = "up"
ANSWER_SECONDS: Final = 10.0
OK: Final = 200
_REFUSALS: Final = {
    401: 'it takes signed pushes only (verify = "always"), and samples are not signed',
    404: "no source there has that name and token",
    503: "its broker is away; try again",
}


@commands.command()
def sample(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Which one; leave it out to see them all.")] = None,
    *,
    post: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Post it to this source instead: http://HOST:PORT/v1/SOURCE/TOKEN, or `up` for the"
            " `callstitch up` that runs in this directory.",
        ),
    ] = None,
) -> None:
    """Print a platform's own sample pushes, or post them in order; without a name, list them.

    Bodies go to stdout and what stands above each to stderr, so that a pipe gets the bodies alone.
    """
    if name is None:
        if post is not None:
            raise typer.BadParameter(f"which sample? {', '.join(STORIES)}", param_hint="NAME")
        _list()
    elif name not in STORIES:
        raise typer.BadParameter(f"one of {', '.join(STORIES)}", param_hint="NAME")
    elif post is None:
        _print(STORIES[name])
    else:
        url = checked_url(post, option="--post") if post != UP else _url_of_up(STORIES[name])
        with exit_codes():
            asyncio.run(_post(STORIES[name], url.rstrip("/")))


def _list() -> None:
    for platform, named in groupby(STORIES.items(), key=lambda item: item[1].platform):
        out.print(platform)
        for name, story in named:
            out.print(f"  {name:16}{story.words}")
    out.print("published with one call id, so at one source they are one call:")
    for calls in dict.fromkeys(story.calls for story in STORIES.values() if story.calls):
        alike = [name for name, story in STORIES.items() if story.calls == calls]
        if len(alike) > 1:
            out.print(f"  {', '.join(alike)}")


def _print(story: Story) -> None:
    for push in story.pushes:
        complain(f"POST {push.path or '(no path)'}  {push.content_type}  {push.file}")
        say_bytes(push.body.rstrip(b"\n"))


def _url_of_up(story: Story) -> str:
    """Of the default config's source, and of no other: a sample in somebody's own pipeline would be billed.

    Raises:
        typer.BadParameter: `callstitch up` has not made its tokens in this directory, or runs with another config.
    """
    if "CALLSTITCH_CONFIG" in os.environ or not TOKENS_FILE.exists():
        raise typer.BadParameter(
            "no `callstitch up` with the default config has run in this directory: give the URL of a source",
            param_hint="--post",
        )
    with exit_codes():
        config = load_config(None)
    return next(door_url(config, source) for source in config.source if source.platform == story.platform)


async def _post(story: Story, url: str) -> None:
    """Each push in its turn, until one is not answered 200.

    Raises:
        Unavailable: nobody answers there.
    """
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        for push in story.pushes:
            status = await _status(session, url, push)
            out.print(f"{status}  {push.path or '/':28}{push.file}")
            if status != OK:
                complain(f"callstitch: the door answered {status}: {_REFUSALS.get(status, 'not a door?')}")
                raise typer.Exit(EXIT_DIFFERENCE)
    if story.calls:
        out.print("what became of it, in two seconds:")
    for call in story.calls:
        out.print(f"  callstitch trace {call}")


async def _status(session: aiohttp.ClientSession, url: str, push: Push) -> int:
    headers = {"Content-Type": push.content_type}
    try:
        async with session.post(url + push.path, data=push.body, headers=headers, allow_redirects=False) as answer:
            return answer.status
    except (aiohttp.ClientError, TimeoutError, OSError):  # its text may hold the URL, and so the token
        raise Unavailable("nobody answers at that URL: does a door run there?") from None
