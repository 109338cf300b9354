"""The token of the admin port's commands: whole or not there, and never empty."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from console.admin_access import TOKEN_FILE, admin_token, read_token
from schemas.errors import Unavailable
from workers.config import Config


def a_config(directory: Path) -> Config:
    return Config.model_validate({"store": f"sqlite:{directory}"})


def test_a_token_is_made_once_and_for_our_user_only(tmp_path: Path) -> None:
    made = admin_token(a_config(tmp_path))
    assert made
    assert admin_token(a_config(tmp_path)) == made == read_token(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [TOKEN_FILE]
    assert stat.S_IMODE((tmp_path / TOKEN_FILE).stat().st_mode) == 0o600


@pytest.mark.parametrize("left", ["", "\n"])
def test_an_empty_token_that_a_crash_left_is_refused_and_replaced(tmp_path: Path, left: str) -> None:
    """`compare_digest("", "")` is true: whoever sent no Authorization could give commands."""
    (tmp_path / TOKEN_FILE).write_text(left)
    with pytest.raises(Unavailable, match="empty"):
        read_token(tmp_path)
    assert len(admin_token(a_config(tmp_path)) or "") > 30
    assert [path.name for path in tmp_path.iterdir()] == [TOKEN_FILE]


def test_a_crash_before_the_rename_leaves_no_token(tmp_path: Path) -> None:
    (tmp_path / f"{TOKEN_FILE}.17").write_text("")
    with pytest.raises(Unavailable, match="missing"):
        read_token(tmp_path)
    assert admin_token(a_config(tmp_path))
