"""Reading the config: the TOML file, then CALLSTITCH_... variables over its scalars (docs/contract.md section 5)."""

from __future__ import annotations

import json
import os
import re
import secrets
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr, ValidationError
from pydantic_core import ErrorDetails
from yarl import URL

from runtime.files import make_private
from schemas.errors import Misconfigured
from schemas.platforms import DIALECTS
from schemas.settings.addresses import BrokerAddress, broker_address, each_host, with_login_of
from workers.config import Config

SCALARS: Final[Mapping[str, tuple[str, ...]]] = {
    "CALLSTITCH_BROKER": ("broker",),
    "CALLSTITCH_STORE": ("store",),
    "CALLSTITCH_OBJECTS": ("objects",),
    "CALLSTITCH_INGEST_LISTEN": ("ingest", "listen"),
    "CALLSTITCH_INGEST_ADMIN": ("ingest", "admin"),
}
# What pydantic says of a model is no help to whoever wrote a file.
SAID: Final[Mapping[str, str]] = {
    "extra_forbidden": "unknown key (docs/config.md lists them all)",
    "missing": "is missing",
    "too_short": "must not be empty",
    "string_type": "must be a string in quotes",
    "is_instance_of": "must be a string in quotes",
    "bool_parsing": "must be true or false",
    "tuple_type": "must be a list",
    "dict_type": "must be a table",
    "mapping_type": "must be a table",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
}
_SECRET_PARAMETER: Final = re.compile(r"(?i)password|secret|token|access_?key|credential")
TOKENS_FILE: Final = Path("var/tokens.json")


def load_config(path: Path | None, environ: Mapping[str, str] = os.environ) -> Config:
    """The config of `path`, or the default one that needs nothing installed.

    Raises:
        Misconfigured: with every fault named by its key, and no value shown.
    """
    raw = read_toml(path) if path is not None else default_config(TOKENS_FILE)
    for variable, keys in SCALARS.items():
        if variable in environ:
            _override(raw, keys, environ[variable])
    config = checked(raw, named=str(path or "the default config"))
    password = environ.get("CALLSTITCH_BROKER_PASSWORD")
    if password is None or config.broker.embedded:
        return config
    return config.model_copy(update={"broker": _with_password(config.broker, password)})


def checked(raw: Mapping[str, Any], *, named: str) -> Config:
    """The tables of a file as a config.

    Raises:
        Misconfigured: with every fault named by its key, and no value shown.
    """
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        faults = "; ".join(_fault(details) for details in _own_faults(error.errors(include_input=False)))
        raise Misconfigured(f"{named}: {faults}") from None


def _own_faults(found: Sequence[ErrorDetails]) -> Iterator[ErrorDetails]:
    """All but a list's being too short because of the items in it that are wrong themselves."""
    within = {details["loc"][:-1] for details in found}
    return (details for details in found if details["type"] != "too_short" or details["loc"] not in within)


def _fault(details: ErrorDetails) -> str:
    """One fault, by the key as it is written; pydantic's place of a source's key holds its platform too."""
    match details["loc"]:
        case ("source", number, str(platform), *keys):
            return _fault_of_source(details, f"source.{number}", platform, keys)
        case place:
            return _said(details, ".".join(map(str, place)) or "the file as a whole")


def _fault_of_source(details: ErrorDetails, row: str, platform: str, keys: Sequence[str | int]) -> str:
    key = ".".join(map(str, (row, *keys)))
    if details["type"] == "extra_forbidden" and len(keys) == 1:
        return f"{key}: {platform} has no such key; it has {', '.join(DIALECTS[platform].settings.model_fields)}"
    return _said(details, key)


def _said(details: ErrorDetails, key: str) -> str:
    """What is wrong, without the value."""
    match details["type"]:
        case "union_tag_invalid":  # its message repeats what stands in the file
            return f"{key}.{_tag(details)}: must be one of {details['ctx']['expected_tags']}"
        case "union_tag_not_found":
            return f"{key}: its {_tag(details)} is missing"
        case "value_error":
            return f"{key}: {details['ctx']['error']}"
        case "tuple_type" if len(details["loc"]) == 1:
            return f"{key}: write [[{key}]], one table for each"
        case kind:
            return f"{key}: {SAID.get(kind, details['msg'])}"


def _tag(details: ErrorDetails) -> str:
    return str(details["ctx"]["discriminator"]).strip("'")


def _override(table: Any, keys: tuple[str, ...], value: str) -> None:
    for key in keys[:-1]:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):  # the model says what is wrong with it
            return
    table[keys[-1]] = value


def read_toml(path: Path) -> dict[str, Any]:
    """The file's tables.

    Raises:
        Misconfigured: it cannot be read, or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise Misconfigured(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Misconfigured(f"{path} is not TOML: it is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise Misconfigured(f"{path} is not TOML: {error}") from None


def _with_password(broker: BrokerAddress, password: str) -> BrokerAddress:
    first, *others = each_host(broker.text)
    try:
        alone = str(URL(first).with_password(password))
        return broker_address(with_login_of(alone, broker.text) if others else alone)
    except ValueError:
        raise Misconfigured("broker: this address cannot take a password") from None


def default_config(tokens_file: Path) -> dict[str, Any]:
    """One source per platform with tokens of its own, made once and kept in a file that only we can read."""
    tokens = _tokens(tokens_file)
    return {
        "source": [
            {"name": platform.replace("_", "-"), "platform": platform, "tokens": [tokens[platform]]}
            for platform in DIALECTS
        ],
        "sink": [{"name": "file", "kind": "jsonl", "path": "var/calls.jsonl"}],
    }


def _tokens(path: Path) -> dict[str, str]:
    try:
        return _kept_tokens(path)
    except OSError as error:
        raise Misconfigured(
            f"cannot store the tokens in {path}: {error.strerror}; with a --config none are needed"
        ) from None
    except (ValueError, TypeError):
        raise Misconfigured(f"{path} is damaged: repair it, or move it away to get new tokens (and URLs)") from None


def _kept_tokens(path: Path) -> dict[str, str]:
    known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    missing = [platform for platform in DIALECTS if platform not in known]
    if missing:
        known |= {platform: secrets.token_urlsafe(24) for platform in missing}
        make_private(path.parent)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(known, file, indent=1)
    return known


def shown(config: Config) -> dict[str, Any]:
    """The config as an operator may see it: every secret redacted, the broker URL's password too."""
    row: dict[str, Any] = _redacted(config.model_dump())
    row["broker"] = redacted_url(config.broker.text)
    row["store"] = redacted_url(config.store.text)
    row["objects"] = redacted_url(config.objects.text)
    for sink in row["sink"]:
        if "url" in sink:
            sink["url"] = _host_of(sink["url"])
    return row


def _host_of(url: str) -> str:
    """Where a webhook is: chat services keep their secret in its path, others in its query."""
    parsed = URL(redacted_url(url))
    rest = parsed.path.strip("/") or parsed.query_string
    return f"{parsed.origin()}/***" if rest else str(parsed)


def redacted_url(url: str) -> str:
    """The URL without its password, and a bucket's without any key; one that cannot be read is not shown."""
    if "@" not in url and not _SECRET_PARAMETER.search(url):
        return url
    try:
        parsed = URL(url)
    except ValueError:
        return _several_hosts(url)
    if "@" in parsed.path:  # a password that was to be quoted
        return "***"
    hidden = {name: "***" for name in parsed.query if _SECRET_PARAMETER.search(name)}
    changed = bool(hidden or parsed.password)
    if parsed.user and parsed.scheme == "s3":
        parsed, changed = parsed.with_user("***"), True
    if parsed.password:
        parsed = parsed.with_password("***")
    return str(parsed.update_query(hidden)) if changed else url


def _several_hosts(url: str) -> str:
    """The same for a list of hosts with ports, which is no URL to others."""
    scheme, _, rest = url.partition("://")
    place, _, query = rest.partition("?")
    login, _, hosts = place.rpartition("@")
    user, colon, _ = login.partition(":")
    if "," not in hosts or "@" in query or _SECRET_PARAMETER.search(query):
        return "***"
    return f"{scheme}://{user}{':***' if colon else ''}{'@' if login else ''}{hosts}{'?' if query else ''}{query}"


def _redacted(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return "***"
    if isinstance(value, dict):
        return {name: _redacted(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_redacted(item) for item in value]
    return value
