"""Reading pages: their elements, with what they say."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

_EMPTY = frozenset(("img", "input", "link", "meta", "br", "hr"))
_CLOSED_BY = {"li": {"li"}, "p": {"p"}, "dt": {"dt", "dd"}, "dd": {"dt", "dd"}}


@dataclass
class Element:
    """One element, with its attributes and all text in it."""

    tag: str
    attributes: dict[str, str]
    parent: Element | None = None
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def __getitem__(self, name: str) -> str:
        return self.attributes[name]

    def get(self, name: str) -> str:
        """Return an attribute; empty if it is missing."""
        return self.attributes.get(name, "")

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """Return the elements in this one that have this tag and these attributes, in order."""
        found = []
        for child in self.children:
            if child.tag == tag and all(child.get(n) == v for n, v in attributes.items()):
                found.append(child)
            found += child.all(tag, **attributes)
        return found

    def one(self, tag: str, **attributes: str) -> Element:
        """Return the only such element."""
        (found,) = self.all(tag, **attributes)
        return found

    def inside(self, tag: str) -> bool:
        """Return whether it is in an element of that tag."""
        return self.parent is not None and (self.parent.tag == tag or self.parent.inside(tag))


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = Element("", {})
        self._open = self.root

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._open.tag in _CLOSED_BY.get(tag, ()):
            self._close()
        attributes = {name: value or "" for name, value in attrs}
        made = Element(tag, attributes, self._open)
        self._open.children.append(made)
        if tag not in _EMPTY:
            self._open = made

    def handle_endtag(self, tag: str) -> None:
        assert tag == self._open.tag, f"</{tag}> closes <{self._open.tag}>"
        self._close()

    def handle_data(self, data: str) -> None:
        element: Element | None = self._open
        while element:
            element.text += data
            element = element.parent

    def _close(self) -> None:
        assert self._open.parent is not None
        self._open = self._open.parent


def read_html(text: str) -> Element:
    """Return the root of a page, all of whose elements must be closed in order."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    assert reader.root.children, text
    return reader.root
