"""Pages as a browser reads them."""

from html.parser import HTMLParser

VOID = {"meta", "img", "br", "source", "link", "hr", "input"}


class Page(HTMLParser):
    """Text, references, and whether every tag is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.references: list[str] = []
        self.rows: list[list[str]] = []
        self.frames: list[dict[str, str | None]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.references += [
            value or "" for name, value in attrs if name in ("src", "srcset", "href", "action")
        ]
        if tag == "iframe":
            self.frames.append(dict(attrs))
        if tag == "tr":
            self.rows.append([])
        if tag == "td":
            self.rows[-1].append("")
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if "td" in self._open:
            self.rows[-1][-1] += data.strip()
