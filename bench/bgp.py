"""The measuring part of bgp.sh, which explains it and calls it in namespaces of
its own."""

import argparse
import json
import os
import signal
import statistics
import subprocess
from pathlib import Path

import bgp_parts
import bgp_tenants
from bgp_receivers import Bird, Frr, GoBgp, Lockgate
from scale_sites import enter_box

OUT = Path(__file__).parent / "out"
PARTS = ("table", "sessions", "withdraw", "tenants")


def receivers(arguments):
    all_of_them = {
        "lockgate": lambda: Lockgate(arguments.binary), "bird": Bird, "frr": Frr, "gobgp": GoBgp}
    return {name: make for name, make in all_of_them.items() if name in arguments.only}


def attempt(name, measure, *words):
    """Figures, or `None` and why not: one receiver's failure is no reason to stop."""
    try:
        figures = measure(*words)
    except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
        print(f"   {name}: left out: {error}", flush=True)
        return None
    print(f"   {name}: {summary(figures)}", flush=True)
    return figures


def summary(figures):
    figures = figures.get("fill", figures)
    return f"{figures['seconds']:.2f} s, {figures['cpu_s']:.2f} CPU-s, {figures['rss_mb']:.0f} MB"


def quantile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(q * len(values)))]


def spread(values, form):
    """Median, minimum and maximum."""
    if not values:
        return "–"
    text = f"**{form.format(statistics.median(values))}**"
    if len(values) > 1:
        text += f" ({form.format(min(values))}–{form.format(max(values))})"
    return text


def rows(arguments, rounds):
    names = list(receivers(arguments))
    titles = {name: make().name for name, make in receivers(arguments).items()}
    lines = ["| | " + " | ".join(titles[name] for name in names) + " |",
             "|---|" + "---|" * len(names)]

    def row(label, part, of, form):
        cells = []
        for name in names:
            found = [one[part][name] for one in rounds if one.get(part, {}).get(name)]
            values = [value for value in map(of, found) if value is not None]
            cells.append(spread(values, form))
        lines.append(f"| {label} | " + " | ".join(cells) + " |")

    def late(q):
        return lambda one: quantile(one["change_s"], q) * 1e3 if "change_s" in one else None

    if "table" in arguments.parts:
        label = f"{arguments.routes:,} routes: session up → kernel table"
        row(f"{label}, s", "table", lambda one: one["fill"]["seconds"], "{:.2f}")
        row("— CPU-seconds until then", "table", lambda one: one["fill"]["cpu_s"], "{:.2f}")
        row("— and 3 s after", "table", lambda one: one["fill"]["cpu_settled_s"], "{:.2f}")
        row("— RSS, MB", "table", lambda one: one["fill"]["rss_mb"], "{:.0f}")
        row("— highest RSS, MB", "table", lambda one: one["fill"]["rss_peak_mb"], "{:.0f}")
        row("— RSS before the first route, MB", "table",
            lambda one: one["fill"]["rss_empty_mb"], "{:.0f}")
        row("one change → kernel beside them, p50, ms", "table", late(0.5), "{:.1f}")
        row("— p99, ms", "table", late(0.99), "{:.1f}")
    if "sessions" in arguments.parts:
        label = (f"{arguments.sessions:,} sessions × {arguments.each} routes, "
                 f"{arguments.dials} dialed at once: dial → kernel table")
        row(f"{label}, s", "sessions", lambda one: one["seconds"], "{:.2f}")
        row("— until the last session is up, s", "sessions",
            lambda one: one["sessions_s"], "{:.2f}")
        row("— CPU-seconds until all routes are there", "sessions",
            lambda one: one["cpu_s"], "{:.2f}")
        row("— RSS, MB", "sessions", lambda one: one["rss_mb"], "{:.0f}")
    return lines


def report(arguments, rounds):
    lines = [f"{len(rounds)} rounds, the receivers by turns in each; medians "
             f"(minimum–maximum). {os.cpu_count()} cores, Linux {os.uname().release}.", ""]
    lines += rows(arguments, rounds)
    downs = [value * 1e3 for one in rounds for value in one.get("withdraw", {}).get("down_s", ())]
    if downs:
        cut = [value for one in rounds for value in one["withdraw"]["carrier_s"]]
        lines += ["", f"A site's Down → WITHDRAW at the neighbor, of {len(downs)}: median "
                  f"{statistics.median(downs):.1f} ms, most {max(downs):.1f} ms. From the loss of "
                  f"its carrier, which is looked for each 4 s: {statistics.median(cut):.1f} s, "
                  f"most {max(cut):.1f} s."]
    lines += bgp_tenants.row([one["tenants"] for one in rounds if one.get("tenants")], quantile)
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(prog="bench/bgp.sh")
    parser.add_argument("--binary", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--routes", type=int, default=100_000)
    parser.add_argument("--sessions", type=int, default=1_000)
    parser.add_argument("--tenants", type=int, default=1_000)
    parser.add_argument("--each", type=int, default=100)
    # As many as BIRD has room for that wait to be accepted: it listens with a backlog of 8.
    # What the kernel finds no room for it forgets, and whoever dialed tries again after 1,
    # 3, 7, 15 s and so on: with a thousand at once that, and nothing of BIRD, is measured.
    parser.add_argument("--dials", type=int, default=8)
    parser.add_argument("--changes", type=int, default=200)
    parser.add_argument("--downs", type=int, default=5)
    parser.add_argument("--only", default="lockgate,bird,frr,gobgp")
    parser.add_argument("--parts", default=",".join(PARTS))
    arguments = parser.parse_args()
    arguments.only, arguments.parts = arguments.only.split(","), arguments.parts.split(",")
    within = (1 <= arguments.rounds <= 20 and 1 <= arguments.routes <= 200_000
              and 1 <= arguments.sessions <= 1_000 and 1 <= arguments.each <= 200
              and 1 <= arguments.dials <= 1_000 and 1 <= arguments.tenants <= 2_000
              and 1 <= arguments.changes <= 2_000 and 1 <= arguments.downs <= 50)
    if not within:
        parser.error("at most 20 rounds, 200000 routes, 1000 sessions of 200 routes, 2000 changes")
    # To end in an orderly way is to clean up.
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    OUT.mkdir(exist_ok=True)
    enter_box()
    rounds = []
    for number in range(arguments.rounds):
        print(f"== round {number + 1} of {arguments.rounds}", flush=True)
        one = {}
        for part, measure, words in (
                ("table", bgp_parts.table, (arguments.routes, arguments.changes)),
                ("sessions", bgp_parts.sessions, (arguments.sessions, arguments.each, arguments.dials))):
            if part in arguments.parts:
                print(f"-- {part}", flush=True)
                one[part] = {name: attempt(name, measure, make(), *words)
                             for name, make in receivers(arguments).items()}
        if "withdraw" in arguments.parts and "lockgate" in arguments.only:
            one["withdraw"] = bgp_parts.withdrawals(arguments.binary, arguments.downs)
        if "tenants" in arguments.parts and "lockgate" in arguments.only:
            print("-- tenants", flush=True)
            one["tenants"] = attempt("lockgate", bgp_tenants.tenants, arguments.binary,
                                     arguments.tenants, arguments.each, arguments.changes)
        rounds.append(one)
    text = report(arguments, rounds)
    (OUT / "bgp.md").write_text(text)
    fields = {key: value for key, value in vars(arguments).items() if key != "binary"}
    (OUT / "bgp.json").write_text(json.dumps({**fields, "results": rounds}, indent=1) + "\n")
    print(text)


if __name__ == "__main__":
    main()
