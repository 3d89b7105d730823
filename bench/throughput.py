"""The measuring part of throughput.sh, which explains it and calls it.

Every contender runs as both ends of the same tunnel. The contenders take turns
in every round, so that whatever else the machine does falls on all alike;
medians with minimum and maximum are kept, and ratios are what counts: both
ends, their kernels' work and the load generator share the machine's cores.
"""

import argparse
import json
import os
import re
import signal
import statistics
import subprocess
import sys
from pathlib import Path

from load import percentile, round_trips, tcp, udp, udp_clean
from tunnels import HOSTS, Lab, Ours, Stock, Veth, run

OUT = Path(__file__).parent / "out"


def measure(contender, lab, seconds, quick):
    """All measurements of one contender in one round."""
    result = {}
    contender.start()
    try:
        contender.wait_until_up()
        def attempt(name, measurement, *rest, **named):
            try:
                result[name] = measurement(contender, *rest, **named)
            except (RuntimeError, subprocess.TimeoutExpired, KeyError) as error:
                print(f"({name}: {error}) ", end="", flush=True)

        result["rss_idle"] = max(contender.rss(), default=0)
        times = round_trips(run("ping", "-i", "0.005", "-c", "200", contender.target, ns=HOSTS[0]))
        result["rtt_idle"] = statistics.fmean(times)
        result["rtt_idle_p99"] = percentile(times, 0.99)
        tcp(contender, 1, 1)
        attempt("tcp1", tcp, seconds, 1)
        attempt("tcp4", tcp, seconds, 4)
        attempt("loaded", tcp, max(seconds, 3), 1, ping=True)
        attempt("udp1372", udp, seconds, 1372)
        attempt("udp64", udp, seconds, 64)
        if not quick and "udp1372" in result:
            attempt("udp1372_clean", udp_clean, max(1, seconds // 2), 1372,
                    result["udp1372"]["kpps"])
        lab.offload(False)
        attempt("tcp1_no_offload", tcp, seconds, 1)
        attempt("udp1372_no_offload", udp, seconds, 1372)
        result["rss"] = max(contender.rss(), default=0)
    finally:
        lab.offload(True)
        contender.stop()
    return result


def flatten(result, prefix=""):
    for key, value in result.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


ROWS = [
    ("tcp1.gbps", "TCP 1 stream, Gb/s", 2),
    ("tcp1.cpu_send", "CPU-s per GB, sending end", 2),
    ("tcp1.cpu_receive", "CPU-s per GB, receiving end", 2),
    ("tcp4.gbps", "TCP 4 streams, Gb/s", 2),
    ("tcp1_no_offload.gbps", "TCP 1 stream, underlay without offload, Gb/s", 2),
    ("udp1372.kpps", "UDP 1,372 B flood, kpps received", 0),
    ("udp1372.cpu_send", "the same, CPU-s per million received, sending end", 1),
    ("udp1372.cpu_receive", "the same, receiving end", 1),
    ("udp1372_clean.kpps", "UDP 1,372 B with at most 0.1 % lost, kpps", 0),
    ("udp1372_no_offload.kpps", "UDP 1,372 B flood, underlay without offload, kpps", 0),
    ("udp64.kpps", "UDP 64 B flood, kpps received", 0),
    ("rtt_idle", "RTT idle, mean ms", 2),
    ("loaded.rtt_mean", "RTT under load, mean ms", 2),
    ("loaded.rtt_p99", "RTT under load, p99 ms", 2),
    ("rss", "resident MB of one end", 1),
]


def summarize(rounds):
    """Median, minimum and maximum of every number, by contender."""
    summary = {}
    for name, results in rounds.items():
        values = {}
        for result in results:
            for key, value in flatten(result):
                values.setdefault(key, []).append(value)
        summary[name] = {
            key: {"median": statistics.median(v), "min": min(v), "max": max(v), "rounds": len(v)}
            for key, v in values.items()}
    return summary


def markdown(summary, labels, facts):
    names = [name for name in labels if name in summary]
    lines = [
        f"| | {' | '.join(labels[name] for name in names)} |",
        f"|---|{'---|' * len(names)}",
    ]
    for key, title, digits in ROWS:
        cells = []
        for name in names:
            value = summary[name].get(key)
            if value is None or (name == "veth" and key == "rss"):
                cells.append("–")
                continue
            cells.append(f"**{value['median']:,.{digits}f}** "
                         f"({value['min']:,.{digits}f}–{value['max']:,.{digits}f})")
        if any(cell != "–" for cell in cells):
            lines.append(f"| {title} | {' | '.join(cells)} |")
    lines += ["", f"Medians of {facts['rounds']} interleaved rounds of {facts['seconds']} s "
              "(minimum–maximum). Both ends, the load generator and the kernel's own work share "
              f"{facts['cores']} cores ({facts['cpu']}, Linux {facts['kernel']}): compare columns, "
              "do not read capacity. TCP by iperf3, UDP by `bench/udp_load.py`.",
              "`bench/throughput.sh` makes this table.", ""]
    return "\n".join(lines)


def svg(summary, labels, facts):
    """Bars of one TCP stream, and of what it costs, with the spread as a line."""
    names = [name for name in labels if name in summary and name != "veth"]
    bar, gap, left, width = 22, 10, 190, 330
    height = 74 + len(names) * (bar + gap) + 40
    panels = [
        (left, "TCP, one stream: Gb/s (more is better)", [("tcp1.gbps", "#2563eb")]),
        (left + width + 60, "CPU-seconds per GB: sending, receiving (less is better)",
         [("tcp1.cpu_send", "#b45309"), ("tcp1.cpu_receive", "#d97706")]),
    ]
    total = left + 2 * width + 130
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total} {height}" '
        f'width="{total}" height="{height}" font-family="system-ui, sans-serif" font-size="13">',
        f'<rect width="{total}" height="{height}" fill="#ffffff"/>',
    ]
    for row, name in enumerate(names):
        y = 56 + row * (bar + gap)
        weight = ' font-weight="700"' if name.startswith("lockgate") else ""
        parts.append(f'<text x="{left - 10}" y="{y + bar * 0.7:.0f}" text-anchor="end" '
                     f'fill="#111827"{weight}>{labels[name]}</text>')
    for x, title, series in panels:
        parts.append(f'<text x="{x}" y="34" fill="#374151" font-size="14">{title}</text>')
        top = max((summary[name][key]["max"] for name in names for key, _ in series
                   if key in summary[name]), default=1)
        scale = (width - 40) / top
        for row, name in enumerate(names):
            each = bar / len(series)
            for index, (key, colour) in enumerate(series):
                value = summary[name].get(key)
                if value is None:
                    continue
                y = 56 + row * (bar + gap) + index * each
                length = value["median"] * scale
                middle = y + each / 2
                parts.append(f'<rect x="{x}" y="{y:.1f}" width="{length:.1f}" '
                             f'height="{each - 1:.1f}" fill="{colour}"/>')
                parts.append(f'<line x1="{x + value["min"] * scale:.1f}" y1="{middle:.1f}" '
                             f'x2="{x + value["max"] * scale:.1f}" y2="{middle:.1f}" '
                             'stroke="#111827" stroke-opacity="0.55"/>')
                size = 12 if len(series) == 1 else 10
                parts.append(f'<text x="{x + value["max"] * scale + 6:.1f}" '
                             f'y="{middle + 4:.1f}" fill="#374151" font-size="{size}">'
                             f'{value["median"]:.2f}</text>')
    parts.append(f'<text x="{left}" y="{height - 16}" fill="#6b7280" font-size="11">'
                 f'Medians of {facts["rounds"]} interleaved rounds; the line spans minimum to '
                 f'maximum. Both ends and the load share {facts["cores"]} cores.</text></svg>')
    return "\n".join(parts) + "\n"


def contenders(arguments):
    peers = Path(arguments.peers)
    boringtun = str(peers / "boringtun-cli")
    threads_1 = [boringtun, "--foreground", "--disable-drop-privileges", "--threads", "1"]
    quiet = {"LOG_LEVEL": "error", "WG_I_PREFER_BUGGY_USERSPACE_TO_POLISHED_KMOD": "1",
             "WG_PROCESS_FOREGROUND": "1"}
    everyone = [
        Veth(),
        Ours(arguments.binary),
        Stock("boringtun", "boringtun-cli", [boringtun, "--foreground", "--disable-drop-privileges"]),
        Stock("boringtun-1", "boringtun-cli --threads 1", threads_1),
        Stock("gotatun", "gotatun-cli",
              [str(peers / "gotatun"), "--foreground", "--disable-drop-privileges", "-v", "error"]),
        Stock("wireguard-go", "wireguard-go (newest)", [str(peers / "wireguard-go"), "-f"], quiet),
        Stock("wireguard-go-2022", "wireguard-go (Debian, 2022)", ["/usr/bin/wireguard-go", "-f"], quiet),
        Ours(arguments.binary, "lockgate-no-gso", "Lockgate, no UDP GSO", ("--without", "udp-segment")),
        Ours(arguments.binary, "lockgate-no-tun", "Lockgate, no TUN offload", ("--without", "tun-tcp")),
    ]
    extra = ("lockgate-no-gso", "lockgate-no-tun")
    wanted = arguments.only.split(",") if arguments.only else None
    chosen = []
    for contender in everyone:
        if wanted is not None and contender.name not in wanted:
            continue
        if wanted is None and contender.name in extra:
            continue
        if isinstance(contender, Stock) and not Path(contender.command[0]).exists():
            print(f"left out: {contender.label} is not installed", flush=True)
            continue
        chosen.append(contender)
    return chosen


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", required=True)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=6)
    parser.add_argument("--quick", action="store_true", help="2 s for each, no search for loss")
    parser.add_argument("--only", help="names, with commas: veth, lockgate, boringtun, …")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.seconds = 2
    chosen = contenders(arguments)
    labels = {contender.name: contender.label for contender in chosen}
    cpu = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    facts = {
        "rounds": arguments.rounds, "seconds": arguments.seconds, "cores": os.cpu_count(),
        "kernel": os.uname().release, "cpu": cpu[1] if cpu else os.uname().machine,
        "labels": labels,
    }
    rounds = {}
    Path("/var/run/wireguard").mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with Lab() as lab:
        server = subprocess.Popen(["ip", "netns", "exec", HOSTS[1], "iperf3", "-s"],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            for number in range(1, arguments.rounds + 1):
                for contender in chosen:
                    print(f"round {number}/{arguments.rounds}: {contender.label} … ", end="",
                          flush=True)
                    try:
                        result = measure(contender, lab, arguments.seconds, arguments.quick)
                    except (RuntimeError, subprocess.TimeoutExpired, KeyError) as error:
                        print(f"failed: {error}", flush=True)
                        continue
                    rounds.setdefault(contender.name, []).append(result)
                    print(f"{result.get('tcp1', {}).get('gbps', 0):.2f} Gb/s", flush=True)
        finally:
            server.terminate()
            server.wait()
    summary = summarize(rounds)
    OUT.mkdir(parents=True, exist_ok=True)
    table = markdown(summary, labels, facts)
    (OUT / "throughput.json").write_text(
        json.dumps({"facts": facts, "summary": summary, "rounds": rounds}, indent=1) + "\n")
    (OUT / "throughput.md").write_text(table)
    (OUT / "throughput.svg").write_text(svg(summary, labels, facts))
    print(f"\n{table}\nalso in {OUT}/throughput.{{md,json,svg}}")


if __name__ == "__main__":
    main()
