"""A broker of several hosts in the config: one password for all of them, shown nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.config_file import load_config, shown

VALUE = "s3cret"


@pytest.mark.parametrize("hosts", ["h1,h2,h3", "h1:1,h2:2"])
def test_the_password_of_a_cluster_is_put_in_for_all_its_hosts_and_never_shown(tmp_path: Path, hosts: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f'broker = "amqps://user@{hosts}/calls?cafile=ca.pem"')

    config = load_config(path, {"CALLSTITCH_BROKER_PASSWORD": f"{VALUE}/@,"})

    assert config.broker.text == f"amqps://user:{VALUE}%2F%40,@{hosts}/calls?cafile=ca.pem"
    assert shown(config)["broker"] == f"amqps://user:***@{hosts}/calls?cafile=ca.pem"
