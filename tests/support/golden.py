"""Results that are kept in tests/golden/, to see that nothing changes unnoticed.

`WRITE_GOLDEN=1 pytest tests/test_golden.py` writes them anew; git shows what became different.
Nothing in them depends on the machine: paths, ports and what is made at random have names.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from difflib import unified_diff
from pathlib import Path

GOLDEN = Path(__file__).parents[1] / "golden"
WRITE = "WRITE_GOLDEN"

_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_RULES = (
    (re.compile(r"https?://127\.0\.0\.1:\d+"), "https://connect.example"),
    (re.compile(r"127\.0\.0\.1:\d+"), "connect.example"),
    (re.compile(r"(https?://)(?![^/\s]*\.example\b)[\w.-]+(?=/)"), r"\1files.example"),
    (re.compile(r"/[\w-]{27}\.json"), "/RECORD.json"),
    (re.compile(r"\b(sha256[:-]?)([0-9a-f]{6})[0-9a-f]{58}\b"), r"\1\2..."),
    (re.compile(r" in (?:\d+ min )?\d+ s(?=\n|$)"), ""),
    (re.compile(r"/([0-9a-f]{2})/[0-9a-f]{2}/[0-9a-f]{60}/"), r"/\1/"),
)


@dataclass
class Names:
    """Gives the same name to what is the same: GUID-1, GUID-2; `known` are paths and the like."""

    known: dict[str, str] = field(default_factory=dict)
    guids: dict[str, str] = field(default_factory=dict)

    def text(self, text: str) -> str:
        for old in sorted(self.known, key=len, reverse=True):
            text = text.replace(old, self.known[old])
        for pattern, new in _RULES:
            text = pattern.sub(new, text)
        return _GUID.sub(lambda found: self._guid(found[0]), text)

    def value(self, value: object) -> object:
        """Name what is in a JSON value."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list | tuple):
            return [self.value(each) for each in value]
        if isinstance(value, dict):
            return {self.text(key): self.value(each) for key, each in value.items()}
        return value

    def _guid(self, guid: str) -> str:
        return self.guids.setdefault(guid, f"GUID-{len(self.guids) + 1}")


def hold(kind: str, name: str, found: object) -> None:
    """Compare with what is kept for this name in tests/golden/KIND.json; the order counts too."""
    path = GOLDEN / f"{kind}.json"
    kept = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    if os.environ.get(WRITE):
        kept[name] = found
        text = json.dumps(dict(sorted(kept.items())), indent=1, ensure_ascii=False)
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{text}\n", encoding="utf-8")
        return
    assert name in kept, f"tests/golden/{path.name} has no {name!r}: set {WRITE}=1 to write it"
    changed = "\n".join(
        unified_diff(_lines(kept[name]), _lines(found), "kept", "found", lineterm="")
    )
    assert not changed, f"{name} of tests/golden/{path.name} changed:\n{changed}"


def _lines(value: object) -> list[str]:
    return json.dumps(value, indent=1, ensure_ascii=False).splitlines()
