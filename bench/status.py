"""The measuring part of status.sh, which explains it and calls it in namespaces of its
own.

An answer is timed from before the connection is opened until its last byte is there, as
a scraper would. Each kind is asked in turn, so that all are asked of the same gateway at
the same age; between two the gateway makes another snapshot.
"""

import argparse
import http.client
import json
import os
import shutil
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from scale_gateway import Gateway
from scale_sites import WireGuard, enter_box

OUT = Path(__file__).parent / "out"
PLAIN, SECURE = 9586, 9587
OPEN_METRICS = {"Accept": "application/openmetrics-text;version=1.0.0"}


def fetch(port, path, fields):
    """Seconds, status, bytes and tag of an answer."""
    begun = time.monotonic()
    if port == SECURE:
        # What is measured is the work, not who it is.
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=60, context=context)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path, headers=fields)
    answer = connection.getresponse()
    body = answer.read()
    took = time.monotonic() - begun
    connection.close()
    return took, answer.status, len(body), answer.headers.get("ETag")


def make_certificate(work):
    pair = ("cert.pem", "key.pem")
    subprocess.run(
        ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", work / pair[1],
         "-out", work / pair[0]), check=True, capture_output=True)
    os.chmod(work / pair[1], 0o600)
    return "--status-tls-cert", str(work / pair[0]), "--status-tls-key", str(work / pair[1])


def measure(gateway, port, path, fields, asks, expected=200, tagged=False):
    seconds, sizes, cpu = [], [], gateway.cpu()
    for _ in range(asks):
        asked = dict(fields)
        if tagged:
            # The tag of the moment; another snapshot may come in between.
            asked["If-None-Match"] = fetch(port, path, fields)[3]
        took, status, size, _ = fetch(port, path, asked)
        if status not in (expected, 200) or (not tagged and status != expected):
            raise RuntimeError(f"{path} was answered {status}")
        if status == expected:
            seconds.append(took)
            sizes.append(size)
        time.sleep(0.2)
    if not seconds:
        raise RuntimeError(f"{path} was never answered {expected}")
    # With a tag everything is asked twice, and half of it is not what is measured.
    spent = None if tagged else (gateway.cpu() - cpu) / asks
    return {"seconds": seconds, "bytes": statistics.median(sizes), "cpu_s": spent}


KINDS = (
    ("`/metrics`, text", PLAIN, "/metrics", {}),
    ("`/metrics`, OpenMetrics", PLAIN, "/metrics", OPEN_METRICS),
    ("`/metrics` by TLS 1.3", SECURE, "/metrics", {}),
    ("`/api/v1/status`", PLAIN, "/api/v1/status", {}),
    ("`/`, the 1,000 most urgent", PLAIN, "/", {}),
    ("`/api/v1/tenants/t7/gw`", PLAIN, "/api/v1/tenants/t7/gw", {}),
)


def measure_answers(arguments):
    """What a gateway of so many tenants of ten peers answers."""
    work = Path(tempfile.mkdtemp(prefix="lockgate-status-", dir="/var/tmp"))
    sites = WireGuard(10)
    documents = work / "documents"
    documents.mkdir()
    for tenant in range(arguments.tenants):
        (documents / f"t{tenant}.yaml").write_text(sites.document(tenant))
    results = {}
    log = OUT / "status.log"
    log.unlink(missing_ok=True)
    try:
        # TLS is for all addresses or for none, so there are two runs.
        for port, options in ((PLAIN, ()), (SECURE, make_certificate(work))):
            gateway = Gateway(arguments.binary, documents, work / "state", log,
                              ("--status", f"127.0.0.1:{port}", *options))
            try:
                seconds = gateway.wait_programmed(arguments.tenants)
                print(f"   {arguments.tenants} tenants after {seconds:.1f} s", flush=True)
                time.sleep(3)
                for name, of, path, fields in KINDS:
                    if of == port:
                        results[name] = measure(gateway, port, path, fields, arguments.asks)
                        say(name, results[name])
                if port == PLAIN:
                    name = "`/api/v1/tenants/t7/gw`, nothing new (304)"
                    results[name] = measure(gateway, port, "/api/v1/tenants/t7/gw", {},
                                            arguments.asks, expected=304, tagged=True)
                    say(name, results[name])
            finally:
                gateway.kill()
    finally:
        shutil.rmtree(work, ignore_errors=True)
        for name in os.listdir("/run/netns"):
            subprocess.run(("ip", "netns", "delete", name), capture_output=True)
    return results


def measure_page(arguments):
    """What a browser makes of a page of a thousand sites."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests/e2e"))
    from browser import Browser, Driver
    from lab import URL, Crowd

    opens = []
    with Driver(), Crowd(arguments.binary, 100):
        for _ in range(arguments.opens):
            # Another window knows nothing of what the one before loaded.
            with Browser() as browser:
                begun = time.monotonic()
                browser.open(URL)
                opened = time.monotonic() - begun
                size, first, ready, loaded = browser.run(
                    "const [one] = performance.getEntriesByType('navigation');"
                    "return [one.transferSize, one.responseEnd, one.domContentLoadedEventEnd,"
                    " one.loadEventEnd]")
                rows = browser.run("return document.querySelectorAll('#sites tbody tr').length")
                if rows != 1000:
                    raise RuntimeError(f"{rows} rows")
                opens.append({"bytes": size, "received_ms": first, "ready_ms": ready,
                              "loaded_ms": loaded, "opened_ms": opened * 1e3})
    return opens


def spread(values, form):
    return (f"**{form.format(statistics.median(values))}** "
            f"({form.format(min(values))}–{form.format(max(values))})")


def say(name, result):
    print(f"   {name}: {statistics.median(result['seconds']) * 1e3:.0f} ms, "
          f"{result['bytes'] / 1e6:.3f} MB", flush=True)


def table(arguments, answers, opens):
    lines = [
        f"{arguments.tenants} tenants × 10 WireGuard peers, each asked {arguments.asks} times, "
        f"{os.cpu_count()} cores, Linux {os.uname().release}: medians (minimum–maximum).",
        "",
        "| | ms | MB | CPU-ms of the gateway |",
        "|---|---|---|---|",
    ]
    for name, one in answers.items():
        milliseconds = [value * 1e3 for value in one["seconds"]]
        spent = "–" if one["cpu_s"] is None else f"{one['cpu_s'] * 1e3:.0f}"
        lines.append(f"| {name} | {spread(milliseconds, '{:.0f}')} | {one['bytes'] / 1e6:.3f} "
                     f"| {spent} |")
    if opens:
        lines += [
            "",
            f"A page of 1,000 sites in headless Chromium, opened {len(opens)} times, nothing cached:",
            "",
            "| | |",
            "|---|---|",
            f"| transferred, kB | {spread([one['bytes'] / 1e3 for one in opens], '{:.0f}')} |",
            f"| received, ms | {spread([one['received_ms'] for one in opens], '{:.0f}')} |",
            f"| ready (DOMContentLoaded), ms | {spread([one['ready_ms'] for one in opens], '{:.0f}')} |",
            f"| loaded, ms | {spread([one['loaded_ms'] for one in opens], '{:.0f}')} |",
        ]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(prog="bench/status.sh")
    parser.add_argument("--binary", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--tenants", type=int, default=1000)
    parser.add_argument("--asks", type=int, default=20)
    parser.add_argument("--opens", type=int, default=10)
    parser.add_argument("--no-page", action="store_true")
    arguments = parser.parse_args()
    if not (8 <= arguments.tenants <= 2000 and 1 <= arguments.asks <= 1000
            and 1 <= arguments.opens <= 100):
        parser.error("8 to 2000 tenants, at most 1000 asks and 100 opens")
    OUT.mkdir(exist_ok=True)
    enter_box()
    opens = []
    if not arguments.no_page:
        print("== a page of 1,000 sites", flush=True)
        opens = measure_page(arguments)
    WireGuard(10).enter_box(arguments.tenants)
    print("== answers", flush=True)
    answers = measure_answers(arguments)
    text = table(arguments, answers, opens)
    (OUT / "status.md").write_text(text)
    fields = {"tenants": arguments.tenants, "answers": answers, "page": opens}
    (OUT / "status.json").write_text(json.dumps(fields, indent=1) + "\n")
    print(text)


if __name__ == "__main__":
    main()
