"""The page of a running gateway, in a real browser.

    page.py BINARY AXE PICTURES

BINARY is `lockgate`, AXE the file axe.min.js, PICTURES where screenshots go. To be run
in network and mount namespaces of its own; tests/e2e/run does that.
"""

import base64
import os
import signal
import sys
import time
import traceback
from pathlib import Path

from browser import Browser, Driver
from lab import URL, Crowd, Lab

BINARY, AXE, PICTURES = sys.argv[1], Path(sys.argv[2]).read_text(), Path(sys.argv[3])
TAB, ENTER = "\ue004", "\ue007"
ROWS = "[...document.querySelectorAll('#sites tbody tr')].filter((row) => !row.hidden)"
STATE = ("return [...document.querySelectorAll('#sites tbody tr')].some((row) =>"
         " row.innerText.includes(arguments[0]) && row.innerText.includes('hq')"
         " && arguments[1].includes(row.querySelector('.state').innerText.trim().slice(2)))")


def keep(browser, name):
    PICTURES.mkdir(parents=True, exist_ok=True)
    (PICTURES / f"{name}.png").write_bytes(base64.b64decode(browser.picture()))


def check_accessible(browser, what):
    """axe finds nothing amiss, of WCAG 2.2 A and AA and of good practice."""
    found = browser.run_async(
        AXE + "; const done = arguments[arguments.length - 1];"
        "axe.run(document, {resultTypes: ['violations']}).then((found) => done(found.violations.map("
        "(one) => one.id + ': ' + one.help + ' at ' + one.nodes[0].target)), (e) => done([String(e)]))")
    assert not found, f"{what}: {found}"


def every_page_is_accessible_in_light_and_dark(lab, browser):
    for scheme in ("light", "dark"):
        browser.scheme(scheme)
        for name, path in (("all", "/"), ("wall", "/?wall=1"), ("tenant", "/tenants/acme/gw"),
                           ("site", "/tenants/acme/gw/sites/hq"), ("missing", "/tenants/no/one"),
                           ("none", "/?q=nothing")):
            browser.open(URL + path)
            check_accessible(browser, f"{path} in {scheme}")
            keep(browser, f"{name}-{scheme}")
            if name == "missing":
                browser.complaints()  # Chromium notes the 404.
    browser.scheme("light")


def a_pulled_cable_is_seen_without_loading_the_page_again(lab, browser):
    browser.open(URL)
    browser.run("window.mark = 1; document.getElementById('q').focus()")
    talk = lab.talk("acme")
    try:
        lab.pull("acme")
        gone = browser.wait(STATE, 90, "acme/gw", ["Blackholed", "Down"])
        keep(browser, "pulled")
        why = browser.text("#sites tbody tr")
        assert "hq" in why, f"the worst is not first: {why}"
        assert "Up" in browser.run(
            "return [...document.querySelectorAll('#sites tbody tr')].find((row) =>"
            " row.innerText.includes('beta/gw')).querySelector('.state').innerText")
        assert "hq:" in browser.text("#said"), "the change was not announced"
        lab.plug("acme")
        back = browser.wait(STATE, 60, "acme/gw", ["Up"])
    finally:
        talk.terminate()
        talk.wait()
    assert browser.run("return window.mark") == 1, "the page was loaded again"
    assert browser.run("return document.activeElement.id") == "q", "the focus was lost"
    print(f"   seen down after {gone:.1f} s, up again after {back:.1f} s")


def a_page_is_used_by_keyboard_alone(lab, browser):
    browser.open(URL)
    browser.press(TAB)
    assert browser.run("return document.activeElement.className") == "skip"
    browser.press(ENTER)
    assert browser.run("return document.activeElement.id") == "content"
    browser.press("/")
    assert browser.run("return document.activeElement.id") == "q"
    browser.type("#q", "branch")
    assert browser.run(f"return {ROWS}.length") == 1
    browser.run("document.querySelector('#sites tbody tr:not([hidden]) th a').focus()")
    browser.press(ENTER)
    browser.wait("return document.title.includes('branch: NeverConnected')", 10)


def what_is_typed_outlives_what_happens(lab, browser):
    browser.open(URL)
    browser.type("#q", "branch")
    browser.run("document.querySelector('#sites').dataset.old = 1")
    browser.wait("return !document.querySelector('#sites').dataset.old", 20)
    assert browser.run("return document.getElementById('q').value") == "branch"
    assert browser.run(f"return {ROWS}.length") == 1


def a_site_is_copied_for_a_ticket(lab, browser):
    browser.open(f"{URL}/tenants/acme/gw/sites/hq")
    text = browser.run("return document.getElementById('ticket').value")
    assert text.startswith("Site:           acme/gw/hq (WireGuard)\n"), text
    browser.click("button[data-copy]")
    browser.wait("return document.querySelector('button[data-copy]').innerText != 'Copy'", 5)


def a_sites_probes_are_plotted_and_said_in_words(lab, browser):
    browser.open(f"{URL}/tenants/acme/gw/sites/hq")
    browser.wait("return document.querySelectorAll('svg.plot circle').length > 2", 30)
    label = browser.run("return document.querySelector('svg.plot').getAttribute('aria-label')")
    assert label.startswith("Of the last ") and "lost; answers took " in label, label
    seen = browser.run("const box = document.querySelector('svg.plot').getBoundingClientRect();"
                       "return box.width > 50 && box.height > 20")
    assert seen, "the plot has no size"
    keep(browser, "probes")


def a_gateway_that_says_nothing_is_told_loudly(lab, browser):
    browser.open(URL)
    assert not browser.run("return document.getElementById('stale').checkVisibility()")
    os.kill(lab.gateway.process.pid, signal.SIGSTOP)
    try:
        browser.wait("return document.getElementById('stale').checkVisibility()", 40)
        keep(browser, "stale")
    finally:
        os.kill(lab.gateway.process.pid, signal.SIGCONT)
    browser.wait("return !document.getElementById('stale').checkVisibility()", 40)
    browser.complaints()  # Of the silence the console has heard too.


def without_javascript_everything_is_there(lab, _):
    with Browser(javascript=False) as browser:
        browser.open(URL)
        # What a driver runs is no script of the page's.
        assert len(browser.run("return [...document.querySelectorAll('#sites tbody tr')]")) == 3
        browser.open(f"{URL}/?q=acme+branch&state=NeverConnected")
        assert len(browser.run("return [...document.querySelectorAll('#sites tbody tr')]")) == 1
        browser.open(f"{URL}/tenants/acme/gw/sites/hq")
        assert browser.run("return document.querySelector('button[data-copy]').hidden")


def a_page_of_a_thousand_sites_is_usable(crowd, browser):
    begun = time.monotonic()
    browser.open(URL)
    opened = time.monotonic() - begun
    size, ready = browser.run(
        "const [one] = performance.getEntriesByType('navigation');"
        "return [one.transferSize, one.domContentLoadedEventEnd]")
    assert browser.run(f"return {ROWS}.length") == 1000
    assert size < 1_000_000, f"{size} bytes"
    begun = time.monotonic()
    browser.type("#q", "t42/gw site7")
    assert browser.run(f"return {ROWS}.length") == 1
    typed = time.monotonic() - begun
    keep(browser, "thousand")
    check_accessible(browser, "a thousand sites")
    print(f"   {size / 1000:.0f} kB, ready after {ready:.0f} ms, opened in {opened * 1000:.0f} ms, "
          f"12 letters typed and found in {typed * 1000:.0f} ms")


def a_page_behind_a_token_is_asked_for_and_followed(crowd, _):
    for token, tenants in ((crowd.token, 3), (crowd.tenants_token, 1)):
        # Another window knows no password of the one before.
        with Browser() as browser:
            # As what is typed into the browser's own dialog.
            browser.open(URL.replace("://", f"://noc:{token}@"))
            browser.open(URL)
            rows = browser.run("return document.querySelectorAll('#tenants tbody tr').length")
            assert rows == tenants, f"{rows} tenants"
            browser.run("document.querySelector('#sites').dataset.old = 1")
            browser.wait("return !document.querySelector('#sites').dataset.old", 30)
            assert not browser.run("return document.getElementById('stale').checkVisibility()")
            said = browser.complaints()
            assert not said, f"the console says {said}"
    with Browser() as browser:
        browser.open(URL)
        assert "t0" not in (browser.text("body") or "")


def attempt(test, lab, browser):
    name = test.__name__.replace("_", " ")
    try:
        test(lab, browser)
        said = browser.complaints()
        assert not said, f"the console says {said}"
        print(f"ok {name}", flush=True)
        return True
    except Exception:
        print(f"FAILED {name}\n{traceback.format_exc()}", flush=True)
        return False


def main():
    wanted = sys.argv[4:]
    results = []
    with Driver():
        for around, tests in (
            (Lab(BINARY), (
                every_page_is_accessible_in_light_and_dark,
                a_page_is_used_by_keyboard_alone,
                what_is_typed_outlives_what_happens,
                a_site_is_copied_for_a_ticket,
                a_sites_probes_are_plotted_and_said_in_words,
                without_javascript_everything_is_there,
                a_gateway_that_says_nothing_is_told_loudly,
                a_pulled_cable_is_seen_without_loading_the_page_again)),
            (Crowd(BINARY, 100), (a_page_of_a_thousand_sites_is_usable,)),
            (Crowd(BINARY, 3, asks=True), (a_page_behind_a_token_is_asked_for_and_followed,)),
        ):
            tests = [t for t in tests if not wanted or any(w in t.__name__ for w in wanted)]
            if not tests:
                continue
            with around as lab, Browser() as browser:
                if isinstance(lab, Lab):
                    lab.wait_up(2)
                results += [attempt(test, lab, browser) for test in tests]
    if not results or not all(results):
        sys.exit(f"{results.count(False)} of {len(results)} failed")
    print(f"{len(results)} passed")


main()
