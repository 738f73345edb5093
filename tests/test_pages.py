"""Pages: what a template is given stays text, what it lacks is an error, and nothing is loaded."""

import re

import pytest
from jinja2 import DictLoader, UndefinedError

from digitnet.showing import pages
from digitnet.showing.pages import render


@pytest.fixture
def template(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return templates by name, to which a test adds its own."""
    templates: dict[str, str] = {}
    environment = pages._environment().overlay(loader=DictLoader(templates), cache_size=0)
    monkeypatch.setattr(pages, "_environment", lambda: environment)
    return templates


def test_text_is_escaped_in_elements_and_attributes(template: dict[str, str]) -> None:
    template["x"] = '<p title="{{ name }}">{{ name }}</p>\n'
    assert render("x", name='"><b>&') == (
        '<p title="&#34;&gt;&lt;b&gt;&amp;">&#34;&gt;&lt;b&gt;&amp;</p>\n'
    )


def test_a_name_that_is_not_given_is_an_error(template: dict[str, str]) -> None:
    template["x"] = "{{ name }}"
    with pytest.raises(UndefinedError, match="name"):
        render("x")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("{{ 0.98765 | share }}", "98.77 %"),
        ("{{ 1.0 | percent }}", "&gt;99.9 %"),
        ("{{ 1234 | count_of('miss', 'misses') }}", "1,234 misses"),
        ("{{ 1 | count_of('epoch') }}", "1 epoch"),
        ("{{ 252 | duration }}", "4 min 12 s"),
        ("{{ ['a', 'b', 'c'] | listing }}", "a, b and c"),
        ("{{ 12345 | grouped }}", "12,345"),
        ("{{ '95 % interval' | word_anchor }}", "word-95---interval"),
    ],
)
def test_numbers_are_written_for_people(
    template: dict[str, str], written: str, expected: str
) -> None:
    template["x"] = written
    assert render("x").replace("\N{NO-BREAK SPACE}", " ") == expected


def test_a_number_stays_with_its_unit(template: dict[str, str]) -> None:
    template["x"] = "{{ 0.5 | share }} {{ 3 | count_of('epoch') }}"
    assert render("x") == "50.00\N{NO-BREAK SPACE}% 3\N{NO-BREAK SPACE}epochs"


def test_every_template_can_be_read_and_loads_nothing() -> None:
    environment = pages._environment()
    names = environment.list_templates(extensions=["html", "css"])
    assert {"base.html", "report.html", "study.html", "transfer.html", "style.css"} <= set(names)
    for name in names:
        environment.get_template(name)
        source, *_ = environment.loader.get_source(environment, name)  # type: ignore[union-attr]
        assert not re.search(r"<script|https?:|@import|url\(|\| *safe", source), name
