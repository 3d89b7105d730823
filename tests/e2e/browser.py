"""Chromium by WebDriver (W3C), as little of it as the tests need."""

import json
import subprocess
import time
import urllib.error
import urllib.request

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
PORT = 9515


class Driver:
    """A chromedriver of our own; it ends with the block."""

    def __enter__(self):
        self.process = subprocess.Popen(
            ["chromedriver", f"--port={PORT}", "--log-level=OFF"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                if call("GET", "/status")["ready"]:
                    return self
            except OSError:
                time.sleep(0.1)
        raise RuntimeError("chromedriver does not answer")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)


def call(method, path, body=None, timeout=120):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{PORT}{path}", data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as error:
        said = json.load(error)["value"]
        raise RuntimeError(f"{method} {path}: {said['error']}: {said['message'].splitlines()[0]}")


class Browser:
    """One window; it closes with the block."""

    def __init__(self, javascript=True):
        self.javascript = javascript

    def __enter__(self):
        options = {
            # Root may not use the sandbox of user namespaces here, and /dev/shm is small.
            "args": ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage",
                     "--window-size=1280,900", "--disable-gpu", "--no-proxy-server"],
            "binary": "/usr/bin/chromium",
        }
        if not self.javascript:
            options["prefs"] = {"profile.managed_default_content_settings.javascript": 2}
        made = call("POST", "/session", {"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL"}}}})
        self.path = f"/session/{made['sessionId']}"
        return self

    def __exit__(self, *_):
        call("DELETE", self.path)

    def _do(self, what, body):
        return call("POST", f"{self.path}/{what}", body)

    def open(self, url):
        self._do("url", {"url": url})

    def run(self, script, *arguments):
        return self._do("execute/sync", {"script": script, "args": list(arguments)})

    def run_async(self, script, *arguments):
        self._do("timeouts", {"script": 110_000})
        return self._do("execute/async", {"script": script, "args": list(arguments)})

    def text(self, selector):
        return self.run("return document.querySelector(arguments[0])?.innerText", selector)

    def type(self, selector, keys):
        # A page that follows what happens puts another in its place, also between the two.
        for last in (False, False, False, True):
            found = self._do("element", {"using": "css selector", "value": selector})
            try:
                return self._do(f"element/{found[ELEMENT]}/value", {"text": keys})
            except RuntimeError as error:
                if last or "stale element" not in str(error):
                    raise

    def press(self, *keys):
        """Presses keys wherever the focus is."""
        strokes = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._do("actions", {"actions": [{"type": "key", "id": "keys", "actions": strokes}]})

    def click(self, selector):
        found = self._do("element", {"using": "css selector", "value": selector})
        self._do(f"element/{found[ELEMENT]}/click", {})

    def scheme(self, name):
        """Light or dark."""
        self._do("goog/cdp/execute", {"cmd": "Emulation.setEmulatedMedia", "params": {
            "features": [{"name": "prefers-color-scheme", "value": name}]}})

    def picture(self):
        return call("GET", f"{self.path}/screenshot")

    def complaints(self):
        """What the console says of errors and warnings since it was asked last."""
        log = self._do("se/log", {"type": "browser"})
        return [entry["message"] for entry in log if entry["level"] in ("SEVERE", "WARNING")]

    def wait(self, script, seconds, *arguments):
        """Seconds until the script gives something true."""
        begun = time.monotonic()
        while time.monotonic() - begun < seconds:
            if self.run(script, *arguments):
                return time.monotonic() - begun
            time.sleep(0.2)
        raise AssertionError(f"not within {seconds} s: {script} {arguments}\n{self.text('body')}")
