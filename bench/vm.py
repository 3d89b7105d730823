"""The measuring part of vm.sh, which explains it and runs it in the virtual
machine.

One end of the tunnel is what is compared, the other always the kernel's
WireGuard as `wg` sets it up. Time in an emulated machine is no time: each round
is divided by what the userspace engine did in it, and only that is shown. CPU
time is the whole machine's, for the kernel's work is in no process.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
from pathlib import Path

from load import iperf, percentile, round_trips, udp
from tunnels import HOSTS, NS, Contender, Lab, Ours, key_pairs, run, set_up

OUT = Path(__file__).parent / "out"
TICK = os.sysconf("SC_CLK_TCK")
AGAINST = "userspace"
ROWS = [
    ("tcp.rate", "TCP, one stream, to the peer: throughput"),
    ("tcp.cpu", "CPU-seconds per GB, whole machine"),
    ("tcp_back.rate", "TCP, one stream, from the peer: throughput"),
    ("tcp_back.cpu", "CPU-seconds per GB, whole machine"),
    ("udp.kpps", "UDP 64 B flood, to the peer: received"),
    ("udp_back.kpps", "UDP 64 B flood, from the peer: received"),
    ("rtt", "RTT idle, mean"),
    ("rtt_p99", "RTT idle, p99"),
]


def kernel_end(end, key, other_public):
    link = f"bench{end}"
    run("ip", "link", "add", link, "type", "wireguard", ns=NS[end])
    set_up(end, link, key, other_public)


class Alone(Contender):
    """The kernel's WireGuard at both ends, with no gateway around it."""

    def start(self):
        keys, publics = key_pairs()
        for end in (0, 1):
            kernel_end(end, keys[end], publics[1 - end])


class Gateway(Ours):
    """A gateway at the first end."""

    def start(self):
        keys, publics = key_pairs()
        kernel_end(1, keys[1], publics[0])
        self.start_end(0, keys[0], publics[1])

    def cpu(self):
        """Not by process: see above."""
        return []

    def wait_until_up(self):
        super().wait_until_up()
        kind = run("ip", "-d", "link", "show", "lg-wg", ns=NS[0])
        if ("wireguard" in kind) != (self.backend == "Kernel"):
            raise RuntimeError(f"asked for {self.backend}, but there is {kind}")


def busy_seconds():
    """What all processors of the machine have worked so far."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
    idle = fields[3] + fields[4]
    return (sum(fields) - idle) / TICK


def stream(contender, seconds, *options):
    before = busy_seconds()
    end = iperf(contender.target, seconds, *options)
    busy = busy_seconds() - before
    received = end["sum_received"]
    return {"rate": received["bits_per_second"] / 1e9, "cpu": busy / (received["bytes"] / 1e9)}


def measure(contender, seconds):
    """One contender in one round, as a flat table."""
    contender.start()
    try:
        contender.wait_until_up()
        times = round_trips(run("ping", "-i", "0.02", "-c", "100", contender.target, ns=HOSTS[0]))
        result = {"rtt": statistics.fmean(times), "rtt_p99": percentile(times, 0.99)}
        for name, part in (
            ("tcp", stream(contender, seconds)),
            ("tcp_back", stream(contender, seconds, "-R")),
            ("udp", udp(contender, seconds, 64)),
            ("udp_back", udp(contender, seconds, 64, back=True)),
        ):
            result.update({f"{name}.{key}": value for key, value in part.items()})
        return result
    finally:
        contender.stop()


def ratios(rounds):
    """Of each contender and number: the median, lowest and highest of what it is
    in a round divided by what the userspace engine's is in the same round."""
    table = {}
    for name in rounds[0]:
        for key, _ in ROWS:
            values = [one[name][key] / one[AGAINST][key] for one in rounds]
            table.setdefault(name, {})[key] = {
                "median": statistics.median(values), "min": min(values), "max": max(values)}
    return table


def markdown(table, labels, facts):
    lines = [f"| as a multiple of backend `Userspace` | {' | '.join(labels.values())} |",
             f"|---|{'---|' * len(labels)}"]
    for key, title in ROWS:
        cells = []
        for name in labels:
            value = table[name][key]
            cells.append("1" if name == AGAINST else
                         f"**{value['median']:.2f}** ({value['min']:.2f}–{value['max']:.2f})")
        lines.append(f"| {title} | {' | '.join(cells)} |")
    lines += ["", f"Medians of {facts['rounds']} interleaved rounds of {facts['seconds']} s "
              f"(minimum–maximum), each divided by backend `Userspace` in the same round; "
              f"{facts['cores']} emulated cores, Linux {facts['kernel']}. The peer is the kernel's "
              "WireGuard for all; both ends and the load share the cores.",
              "`bench/vm.sh` makes this table.", ""]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(prog="bench/vm.sh")
    parser.add_argument("--binary", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    arguments = parser.parse_args()
    if not (1 <= arguments.rounds <= 20 and 1 <= arguments.seconds <= 30):
        parser.error("at most 20 rounds of 30 s")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    contenders = [
        Gateway(arguments.binary, AGAINST, "backend `Userspace`"),
        Gateway(arguments.binary, "kernel", "backend `Kernel`", backend="Kernel"),
        Alone("alone", "the kernel's WireGuard without Lockgate"),
    ]
    labels = {contender.name: contender.label for contender in contenders}
    rounds = []
    with Lab():
        servers = [subprocess.Popen(["ip", "netns", "exec", HOSTS[1], "iperf3", "-s"],
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)]
        try:
            for number in range(1, arguments.rounds + 1):
                rounds.append({})
                for contender in contenders:
                    result = measure(contender, arguments.seconds)
                    rounds[-1][contender.name] = result
                    shown = " ".join(f"{key} {value:.3g}" for key, value in result.items())
                    print(f"round {number}/{arguments.rounds}: {contender.label}: {shown}",
                          flush=True)
        finally:
            for server in servers:
                server.terminate()
                server.wait()
    facts = {"rounds": arguments.rounds, "seconds": arguments.seconds, "cores": os.cpu_count(),
             "kernel": os.uname().release, "labels": labels}
    table = ratios(rounds)
    text = markdown(table, labels, facts)
    (OUT / "vm.json").write_text(
        json.dumps({"facts": facts, "ratios": table, "rounds": rounds}, indent=1) + "\n")
    (OUT / "vm.md").write_text(text)
    print(f"\n{text}")


if __name__ == "__main__":
    main()
