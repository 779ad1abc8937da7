"""``[record.anchors]`` and ``[[record.witnesses]]``: what names a place that checkpoints may go to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from guard.config.anchors import AnchorsConfig, WitnessConfig

VKEY = "witness.example/w1+36fc9b58+BALrGArPinKMoDqaiYxX5jboDdnTU0zoqRvdfnu+V0Uw"


def test_places_as_they_are_written() -> None:
    """Addresses lose a final slash and keep the rest; each kind of syslog has its scheme."""
    anchors = AnchorsConfig(
        directory=Path("/mnt/anchors"),
        syslog="udp://[::1]:514",
        http_url="https://siem.example/in/?from=guard",  # type: ignore[arg-type] # validated
        timestamp_url="http://tsa.example:8080",
        timestamp_roots_file=Path("roots.pem"),
    )
    assert anchors.http_url == "https://siem.example/in/?from=guard"
    for syslog in ("tcp://logs.example:601", "unix:///dev/log"):
        assert AnchorsConfig(syslog=syslog).syslog == syslog
    assert WitnessConfig(url="https://w.example/log/", vkey=VKEY).url == "https://w.example/log"
    assert (AnchorsConfig().every_seconds, AnchorsConfig().timeout_seconds) == (60.0, 5.0)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"http_url": "ftp://host"}, "http_url"),
        ({"http_url": "https://user:secret@host/"}, "without a user name"),
        ({"http_url": "https://host:port/"}, "must be an address"),
        ({"http_url": "https://host/#part"}, "fragment"),
        ({"http_url": "https:///path"}, "must be an address"),
        ({"http_url": "https://host/a b"}, "http_url"),
        ({"http_url": "http://siem.example/", "http_token_file": "t"}, "https address"),
        ({"http_token_file": "t"}, "needs http_url"),
        ({"timestamp_url": "http://tsa.example"}, "need each other"),
        ({"timestamp_roots_file": "r.pem"}, "need each other"),
        ({"syslog": "logs.example:514"}, "syslog"),
        ({"syslog": "udp://logs.example"}, "syslog"),
        ({"syslog": "unix://dev/log"}, "syslog"),
        ({"every_seconds": 0}, "every_seconds"),
        ({"timeout_seconds": 61}, "timeout_seconds"),
        ({"anchor": True}, "anchor"),
    ],
)
def test_what_names_no_place(wrong: dict[str, Any], told: str) -> None:
    """Each mistake is told by its key or its rule; a token goes only where nobody on the way can read it."""
    with pytest.raises(ValidationError, match=told):
        AnchorsConfig(**wrong)


def test_a_token_may_go_to_this_machine() -> None:
    """A collector beside the guard needs no TLS."""
    assert AnchorsConfig(http_url="http://127.0.0.1:9880/anchors", http_token_file=Path("t")).http_token_file


@pytest.mark.parametrize("vkey", ["", "name", "name+hash+key", VKEY + " ", VKEY.replace("36fc", "36FC")])
def test_a_witness_has_a_verifier_key(vkey: str) -> None:
    """What is no vkey at all is told when the file is read, a false one when the log opens."""
    with pytest.raises(ValidationError, match="vkey"):
        WitnessConfig(url="https://w.example", vkey=vkey)
