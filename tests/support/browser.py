"""A headless Chromium, spoken to over two pipes in the DevTools protocol; needs nothing but the browser itself."""

import base64
import fcntl
import json
import os
import shutil
import subprocess
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PROGRAM = next((found for name in NAMES if (found := shutil.which(name))), None)


class Browser:
    """One page of a browser that has no network; what it complains of is gathered in `complaints`."""

    def __init__(self, profile: Path) -> None:
        # The browser reads commands from its descriptor 3 and answers on 4.
        (reads, self._send), (self._receive, writes) = os.pipe(), os.pipe()
        theirs = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, 100) for each in (reads, writes)]
        os.close(reads)
        os.close(writes)

        def give() -> None:
            os.dup2(theirs[0], 3)
            os.dup2(theirs[1], 4)

        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        flags += ["--remote-debugging-pipe", f"--user-data-dir={profile}", "--host-resolver-rules=MAP * ~NOTFOUND"]
        self.process = subprocess.Popen(
            [PROGRAM, *flags, "about:blank"], preexec_fn=give, close_fds=False,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        for each in theirs:
            os.close(each)
        self.complaints, self.requests = [], []
        self._number, self._rest, self._session, self._seen = 0, b"", None, set()
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._ask(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        os.close(self._send)
        os.close(self._receive)
        self.process.terminate()
        self.process.wait(timeout=30)

    def open(self, file: Path, width: int, height: int = 900, *, dark: bool = False) -> None:
        """Load a file at a width in CSS pixels, and wait until it is there."""
        self._ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._ask("Emulation.setEmulatedMedia", features=[scheme])
        self._seen.discard("Page.loadEventFired")
        self._ask("Page.navigate", url=file.as_uri())
        while "Page.loadEventFired" not in self._seen:
            self._read()

    def run(self, script: str):
        """Value of an expression in the page."""
        done = self._ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def press(self, key: str) -> None:
        """Press and let go a key where the focus is: "Enter", "ArrowLeft"."""
        codes = {"Enter": 13, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
        about = {"key": key, "code": key, "windowsVirtualKeyCode": codes[key]}
        self._ask("Input.dispatchKeyEvent", type="keyDown", **about, **({"text": "\r"} if key == "Enter" else {}))
        self._ask("Input.dispatchKeyEvent", type="keyUp", **about)

    def screenshot(self, file: Path, *, whole: bool = False) -> None:
        """Write a PNG of what is seen, or of the whole page."""
        file.write_bytes(base64.b64decode(self._ask("Page.captureScreenshot", captureBeyondViewport=whole)["data"]))

    def print(self, file: Path) -> None:
        """Write a PDF on A4, as the page's own rules say."""
        file.write_bytes(base64.b64decode(self._ask("Page.printToPDF", preferCSSPageSize=True)["data"]))

    def downloads_to(self, folder: Path) -> None:
        """Keep what the page lets somebody download."""
        self._ask("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))

    def _ask(self, method: str, **given):
        self._number += 1
        number = self._number
        order = {"id": number, "method": method, "params": given}
        if self._session and not method.startswith(("Target.", "Browser.")):
            order["sessionId"] = self._session
        os.write(self._send, json.dumps(order).encode() + b"\0")
        while True:
            said = self._read()
            if said.get("id") == number:
                assert "error" not in said, (method, said["error"])
                return said["result"]

    def _read(self):
        """The next message; what is no answer is noted."""
        while b"\0" not in self._rest:
            more = os.read(self._receive, 1 << 16)
            assert more, "the browser has ended"
            self._rest += more
        message, _, self._rest = self._rest.partition(b"\0")
        said = json.loads(message)
        method, about = said.get("method", ""), said.get("params", {})
        self._seen.add(method)
        if method == "Runtime.exceptionThrown":
            self.complaints.append(about["exceptionDetails"].get("text", "") + str(about["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and about["type"] in ("error", "warning", "assert"):
            self.complaints.append(str(about["args"]))
        elif method == "Log.entryAdded" and about["entry"]["level"] in ("error", "warning"):
            self.complaints.append(about["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(about["request"]["url"])
        return said
