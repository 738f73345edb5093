"""A strict reader of pages, for tests of what they say."""

from html.parser import HTMLParser

VOID = {"meta", "link", "img"}


class Page(HTMLParser):
    """Reads a page strictly: what is opened is closed, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.parents: list[tuple[str, ...]] = []
        self.words: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(attrs) == len(dict(attrs)), f"<{tag}> repeats an attribute"
        self.elements.append((tag, dict(attrs)))
        self.parents.append(tuple(self.open))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.words.setdefault(self.open[-1], []).append(data)

    def all(self, *tags: str) -> list[dict[str, str | None]]:
        """Return the attributes of all elements of these tags."""
        return [attributes for tag, attributes in self.elements if tag in tags]

    def text(self, *tags: str) -> str:
        """Return the words in elements of these tags, or all words, with single spaces."""
        chosen = tags or [tag for tag in self.words if tag != "style"]
        return " ".join(" ".join(word for tag in chosen for word in self.words[tag]).split())
