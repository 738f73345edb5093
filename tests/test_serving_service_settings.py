"""Settings that exist are possible."""

from pathlib import Path
from typing import Any

import pytest

from digitnet.errors import UsageError
from digitnet.machine import usable_cores
from digitnet.serving.service_settings import LOOPBACK_NAMES, ServiceSettings


def test_by_default_this_machine_alone_is_served_with_all_its_cores() -> None:
    settings = ServiceSettings()
    assert settings.allowed_hosts == LOOPBACK_NAMES
    assert settings.threads == usable_cores()
    assert settings.page is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"threads": -1},
        {"threads": 257},
        {"max_body": 1},
        {"max_inputs": 0},
        {"max_waiting": 0},
        {"max_connections": 0},
        {"timeout": 0},
        {"timeout": float("nan")},
        {"body_timeout": float("inf")},
        {"drain_timeout": -1},
        {"max_inputs": 9, "max_waiting": 8},
        {"allowed_hosts": ("",)},
        {"allowed_hosts": ("a b",)},
        {"allowed_hosts": ("a:80",)},
        {"allowed_hosts": ("http://a",)},
        {"page": Path("nowhere")},
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as refused:
        ServiceSettings(**wrong)
    assert str(refused.value).endswith((".", "fit."))


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("a.example", True),
        ("A.Example:8000", True),
        ("a.example:", True),
        ("b.example", False),
        ("a.example.evil", False),
        ("xa.example", False),
        ("a.example:80:80", False),
        ("[2001:DB8::1]:80", True),
        ("[2001:db8::2]", False),
        ("", False),
    ],
)
def test_a_name_is_allowed_as_a_whole_with_any_port(host: str, allowed: bool) -> None:
    settings = ServiceSettings(allowed_hosts=("a.example", "[2001:db8::1]"))
    assert settings.is_allowed(host) is allowed
    assert ServiceSettings(allowed_hosts=("*",)).is_allowed(host)
