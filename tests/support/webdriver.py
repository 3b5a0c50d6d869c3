"""Headless Chromium through chromedriver's HTTP protocol, and a web server of a folder."""

from __future__ import annotations

import base64
import contextlib
import functools
import http.server
import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

OPTIONS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--window-size=430,1100",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]


class Browser:
    """One browser window."""

    def __init__(self, address: str, session: str) -> None:
        self.address, self.session = address, session

    def call(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """POST with a body, GET without; returns the protocol's value."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.address}/session/{self.session}{path}",
            data,
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()[:2000]) from error

    def open(self, url: str) -> None:
        self.call("/url", {"url": url})

    def run(self, script: str, *arguments: object) -> Any:
        """Evaluates the body of an async function; returns what it returns."""
        wrapped = (
            "const done = arguments[arguments.length - 1], given = Array.from(arguments).slice(0, -1);"
            f"(async (...args) => {{{script}}})(...given).then((v) => done({{v}}), (e) => done({{e: String(e)}}));"
        )
        answer = self.call("/execute/async", {"script": wrapped, "args": list(arguments)})
        assert "e" not in answer, answer
        return answer.get("v")

    def wait(self, condition: str, seconds: float = 30) -> None:
        """Until a JavaScript expression is true."""
        end = time.monotonic() + seconds
        while not self.run(f"return Boolean({condition})"):
            if time.monotonic() > end:
                text = self.run("return document.body.innerText")
                raise AssertionError(f"never became true: {condition}\n{text}")
            time.sleep(0.05)

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.call("/screenshot")))


def free_port() -> int:
    """A TCP port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """A fresh headless browser; skips when Chromium or its driver is not installed."""
    driver, binary = shutil.which("chromedriver"), shutil.which("chromium")
    if driver is None or binary is None:
        pytest.skip("needs Chromium (Debian: apt-get install chromium chromium-driver)")
    port = free_port()
    process = subprocess.Popen(
        [driver, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    address = f"http://127.0.0.1:{port}"
    options = {"binary": binary, "args": [*OPTIONS, f"--user-data-dir={profile}"]}
    wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}
    browser = None
    try:
        for attempt in range(100):
            try:
                with urllib.request.urlopen(f"{address}/status", timeout=5):
                    break
            except OSError:
                assert attempt < 99, "chromedriver does not answer"
                time.sleep(0.1)
        request = urllib.request.Request(f"{address}/session", json.dumps(wanted).encode())
        with urllib.request.urlopen(request, timeout=60) as answer:
            browser = Browser(address, json.load(answer)["value"]["sessionId"])
        browser.call("/timeouts", {"script": 60000})
        yield browser
    finally:
        if browser is not None:
            delete = urllib.request.Request(f"{address}/session/{browser.session}", method="DELETE")
            with contextlib.suppress(OSError), urllib.request.urlopen(delete, timeout=20):
                pass
        process.terminate()
        process.wait()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files, counts bytes, logs nothing."""

    sent: dict[str, int]

    def log_message(self, *arguments: object) -> None:
        del arguments

    def copyfile(self, source: Any, outputfile: Any) -> None:
        data = source.read()
        self.sent[self.path] = self.sent.get(self.path, 0) + len(data)
        outputfile.write(data)


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[tuple[str, dict[str, int]]]:
    """The address of a server of this folder, and bytes sent by path."""
    sent: dict[str, int] = {}
    handler = type("Handler", (Quiet,), {"sent": sent})
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(handler, directory=str(folder))
    ) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", sent
        finally:
            server.shutdown()
            thread.join()
