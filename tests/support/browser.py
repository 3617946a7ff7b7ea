"""A real browser, if there is one: Chromium without a window, asked by its DevTools protocol."""

# ruff: noqa: ANN401 - JSON

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from websockets.sync.client import ClientConnection, connect

from support.waiting import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next(filter(None, map(shutil.which, _PROGRAMS)), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")

_OPTIONS = (
    *("--headless=new", "--no-first-run", "--no-default-browser-check", "--disable-extensions"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server", "--hide-scrollbars"),
    *(
        "--no-sandbox",
        "--disable-site-isolation-trials",
        "--remote-debugging-port=0",
        "--window-size=1280,800",
        "about:blank",
    ),
)
_KEYS = {
    "Tab": ("Tab", 9, ""),
    "Enter": ("Enter", 13, "\r"),
    "Space": (" ", 32, " "),
    "Escape": ("Escape", 27, ""),
    "ArrowDown": ("ArrowDown", 40, ""),
}


@dataclass
class Page:
    """One tab. What is asked of it waits for what it needs, and fails after a long time only."""

    socket: ClientConnection
    _number: int = 0
    events: list[dict[str, Any]] = field(default_factory=list)

    def ask(self, method: str, /, **parameters: Any) -> dict[str, Any]:
        """Send a command of the protocol and return its result."""
        self._number += 1
        self.socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message: dict[str, Any] = json.loads(self.socket.recv(timeout=PATIENCE))
            if message.get("id") == self._number:
                # A page that is just being left has no values.
                left = "navigated or closed" in message.get("error", {}).get("message", "")
                assert left or "error" not in message, (method, message["error"])
                result: dict[str, Any] = message.get("result", {})
                return result
            self.events.append(message)

    def open(self, url: str) -> None:
        """Go to a URL, and wait until its document is loaded."""
        self.run("window.hatchConnectLeft = true")
        failed = self.ask("Page.navigate", url=url).get("errorText")
        assert failed is None, failed
        # A URL that differs in its fragment only loads nothing.
        bare = url.partition("#")[0]
        self.until(f"!window.hatchConnectLeft || location.href.startsWith({json.dumps(bare)})")
        self.until("document.readyState === 'complete'")

    def run(self, script: str) -> Any:
        """Return the value of a JavaScript expression, awaited if it is a promise."""
        done = self.ask(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def until(self, condition: str) -> Any:
        """Wait until a JavaScript expression is true, across loads of pages; return its value."""
        end = time.monotonic() + PATIENCE
        while True:
            done = self.ask(
                "Runtime.evaluate", expression=condition, returnByValue=True, awaitPromise=True
            )
            if value := done.get("result", {}).get("value"):
                return value
            assert time.monotonic() < end, (condition, self.url, self.text)
            time.sleep(0.05)

    @property
    def url(self) -> str:
        """Where it is."""
        return str(self.run("location.href"))

    @property
    def text(self) -> str:
        """What can be read."""
        return str(self.run("document.body ? document.body.innerText : ''"))

    @property
    def title(self) -> str:
        """The title of the document."""
        return str(self.run("document.title"))

    def see(self, text: str) -> None:
        """Wait until a text can be read."""
        self.until(f"document.body && document.body.innerText.includes({json.dumps(text)})")

    def frame_see(self, text: str) -> None:
        """Wait until a text can be read in a frame, of whatever origin."""
        end = time.monotonic() + PATIENCE
        while text not in "\n".join(self.frame_texts()):
            assert time.monotonic() < end, (text, self.frame_texts())
            time.sleep(0.1)

    def frame_texts(self) -> list[str]:
        """Return the texts of frames, as the accessibility trees have them."""
        tree = self.ask("Page.getFrameTree")["frameTree"]
        found = []
        for child in tree.get("childFrames", ()):
            nodes = self.ask("Accessibility.getFullAXTree", frameId=child["frame"]["id"])["nodes"]
            found.append("\n".join(str(node.get("name", {}).get("value", "")) for node in nodes))
        return found

    def press(self, *keys: str) -> None:
        """Press keys of the keyboard, one after the other."""
        for key in keys:
            name, code, text = _KEYS[key]
            pressed = {"key": name, "code": key, "windowsVirtualKeyCode": code}
            down = "keyDown" if text else "rawKeyDown"
            self.ask("Input.dispatchKeyEvent", type=down, text=text, **pressed)
            self.ask("Input.dispatchKeyEvent", type="keyUp", **pressed)

    def tab_to(self, name: str, most: int = 60) -> None:
        """Press Tab until what has that accessible name has the focus."""
        seen = []
        for _ in range(most):
            self.press("Tab")
            seen.append(self.focused())
            if seen[-1] == name:
                return
        raise AssertionError(f"Tab does not reach {name!r}, but {seen}")

    def focused(self) -> str:
        """Return the accessible name of what has the focus."""
        for node in self.tree():
            has_focus = {"name": "focused", "value": {"type": "booleanOrUndefined", "value": True}}
            if has_focus in node["properties"] and node["role"]["value"] != "RootWebArea":
                return str(node["name"]["value"])
        return ""

    def tree(self) -> list[dict[str, Any]]:
        """Return the nodes that a screen reader gets to know, in their order."""
        nodes = self.ask("Accessibility.getFullAXTree")["nodes"]
        empty = {"properties": [], "name": {"value": ""}}
        return [empty | node for node in nodes if not node.get("ignored")]

    def click(self, name: str) -> None:
        """Click the link or button with that text."""
        found = (
            "[...document.querySelectorAll('a, button, summary, input[type=submit]')]"
            f".find(e => (e.innerText || e.value).trim() === {json.dumps(name)})"
        )
        self.until(f"!!{found}")
        self.run(f"{found}.click()")

    def resize(self, width: int, height: int = 800) -> None:
        """Give the page a size in CSS pixels."""
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def prefer(self, **features: str) -> None:
        """Set what a person prefers, such as `prefers_color_scheme="dark"`."""
        wanted = [{"name": n.replace("_", "-"), "value": v} for n, v in features.items()]
        self.ask("Emulation.setEmulatedMedia", features=wanted)

    def screenshot(self, path: Path) -> None:
        """Save the page as a PNG."""
        shot = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=False)
        path.write_bytes(base64.b64decode(shot["data"]))


@contextmanager
def browser(profile: Path) -> Iterator[Page]:
    """Yield a tab of a fresh browser, whose profile is a folder that does not exist yet."""
    assert CHROMIUM is not None
    profile.mkdir(parents=True)
    log = profile / "browser.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [CHROMIUM, f"--user-data-dir={profile}", *_OPTIONS],
            env={**os.environ, "HOME": str(profile)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        port = _port(profile / "DevToolsActivePort", process, log)
        with httpx2.Client(trust_env=False) as client:
            targets = client.get(f"http://127.0.0.1:{port}/json/list").json()
        url = next(one["webSocketDebuggerUrl"] for one in targets if one["type"] == "page")
        with connect(url, proxy=None, max_size=None, open_timeout=PATIENCE) as socket:
            page = Page(socket)
            for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
                page.ask(f"{domain}.enable")
            yield page
            page.ask("Browser.close")
    finally:
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _port(file: Path, process: subprocess.Popen[bytes], log: Path) -> str:
    end = time.monotonic() + PATIENCE
    while not file.exists() or "\n" not in file.read_text(encoding="ascii"):
        assert process.poll() is None, log.read_text(encoding="utf-8", errors="replace")
        assert time.monotonic() < end
        time.sleep(0.05)
    return file.read_text(encoding="ascii").partition("\n")[0]
