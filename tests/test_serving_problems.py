"""What errors become for whoever called."""

import json
import re
from pathlib import Path

import pytest

from digitnet import errors
from digitnet.errors import DigitnetError, InputError, IntegrityError, ServiceError, UsageError
from digitnet.serving.problems import (
    TITLES,
    RefusedError,
    encoded,
    overloaded,
    problem_of,
)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (UsageError("No."), 400, "UsageError"),
        (InputError("No."), 422, "InputError"),
        (ServiceError("No."), 503, "ServiceError"),
        (RefusedError(413, InputError("No.")), 413, "InputError"),
        (IntegrityError("No."), 500, "DigitnetError"),
        (DigitnetError("No."), 500, "DigitnetError"),
        (ValueError("No."), 500, "DigitnetError"),
        (MemoryError(), 500, "DigitnetError"),
    ],
)
def test_an_error_has_a_status_and_the_code_of_the_command_line(
    error: Exception, status: int, code: str
) -> None:
    found, values, _ = problem_of(error)
    assert (found, values["status"], values["code"]) == (status, status, code)
    assert values["exit_code"] == getattr(errors, code).exit_code
    assert values["title"] == TITLES[code]
    assert values["type"] == f"/docs#{code}"
    assert values["detail"] == "No." or status == 500


def test_what_is_about_the_machine_is_not_told() -> None:
    for error in (OSError(2, "no", "/srv/secret"), IntegrityError("/srv/secret is damaged.")):
        assert "secret" not in str(problem_of(error)[1])


def test_control_codes_of_a_client_come_back_escaped() -> None:
    _, values, _ = problem_of(InputError("\x1b[2J\r\nSet-Cookie: x"))
    assert values["detail"] == r"\x1b[2J\r\nSet-Cookie: x"
    assert encoded(values).isascii()
    assert json.loads(encoded(values)) == values


def test_overload_says_when_to_come_again() -> None:
    status, values, headers = problem_of(overloaded())
    assert (status, dict(headers)) == (503, {b"retry-after": b"1"})
    assert values["exit_code"] == 1


def test_the_documents_list_every_status_that_is_sent() -> None:
    source = Path(__file__).parent.parent / "src" / "digitnet" / "serving"
    sent = {400, 422, 500, 503, 404, 405}
    for path in source.glob("*.py"):
        sent |= {int(each) for each in re.findall(r"RefusedError\(\s*(\d+)", path.read_text())}
    text = (source.parents[2] / "docs" / "service.md").read_text(encoding="utf-8")
    assert {int(each) for each in re.findall(r"^\| (\d{3}) \|", text, re.MULTILINE)} == sent
