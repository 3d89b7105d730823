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
import tempfile
import time
from pathlib import Path

OUT = Path(__file__).parent / "out"
# host-a ── a ══ tunnel ══ b ── host-b; the hosts send, the two between them forward.
NS = ("lgbench-a", "lgbench-b")
HOSTS = ("lgbench-host-a", "lgbench-host-b")
OUTER = ("198.18.0.1", "198.18.0.2")
TUNNEL = ("10.255.0.0", "10.255.0.1")
LAN = ("10.99.0.0/24", "10.99.1.0/24")
ROUTER = ("10.99.0.1", "10.99.1.1")
HOST = ("10.99.0.2", "10.99.1.2")
PORT = 51820
UDP_PORT = 7000
MTU = 1420
OFFLOADS = ("tx-udp-segmentation", "gro")
DOCUMENTS = """\
apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {{name: gw, namespace: bench}}
spec:
  listenPort: {port}
  tunnelMTU: {mtu}
  appPrefixes: ["{app}"]
  privateKeySecretRef: {{name: key, key: key}}
---
apiVersion: lockgate.dev/v1alpha1
kind: SiteAttachment
metadata: {{name: site, namespace: bench}}
spec:
  gatewayRef: {{name: gw}}
  type: WireGuard
  wireGuard:
    publicKey: "{public}"
    endpoint: {{host: {host}, port: {port}}}
    tunnelAddresses: ["{tunnel}/31"]
  prefixes: [{{cidr: "{site}"}}]
"""


def run(*command, ns=None, check=True, timeout=60, stdin=None):
    """Runs a command, in a namespace if one is given, and returns its output."""
    if ns is not None:
        command = ("ip", "netns", "exec", ns, *command)
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, input=stdin)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


class Lab:
    """Two namespaces and the veth pair between them."""

    def __enter__(self):
        self.__exit__()
        for ns in (*NS, *HOSTS):
            run("ip", "netns", "add", ns)
            run("ip", "link", "set", "lo", "up", ns=ns)
        self.join(NS[0], "outer", f"{OUTER[0]}/24", NS[1], "outer", f"{OUTER[1]}/24")
        for end in (0, 1):
            self.join(NS[end], "eth0", f"{ROUTER[end]}/24", HOSTS[end], "eth0", f"{HOST[end]}/24")
            run("ip", "route", "add", "default", "via", ROUTER[end], ns=HOSTS[end])
            run("sysctl", "-qw", "net.ipv4.ip_forward=1", ns=NS[end])
        self.offload(True)
        return self

    def join(self, one, link, address, other, other_link, other_address):
        run("ip", "link", "add", link, "netns", one, "type", "veth", "peer", "name", other_link,
            "netns", other)
        for ns, name, own in ((one, link, address), (other, other_link, other_address)):
            run("ip", "address", "add", own, "dev", name, ns=ns)
            run("ip", "link", "set", name, "up", ns=ns)

    def __exit__(self, *_):
        for ns in (*NS, *HOSTS):
            pids = run("ip", "netns", "pids", ns, check=False).split()
            for pid in pids:
                try:
                    os.kill(int(pid), signal.SIGKILL)
                except ProcessLookupError:
                    pass
            run("ip", "netns", "delete", ns, check=False)

    def offload(self, on):
        """Turns segmentation offload and GRO of the underlay on or off."""
        for ns in NS:
            for feature in OFFLOADS:
                run("ethtool", "-K", "outer", feature, "on" if on else "off", ns=ns, check=False)


class Contender:
    """Something that makes a tunnel out of two processes."""

    def __init__(self, name, label, note=""):
        self.name, self.label, self.note = name, label, note
        self.processes = []
        self.target = HOST[1]

    def start(self):
        raise NotImplementedError

    def spawn(self, ns, command, env=None):
        process = subprocess.Popen(
            ["ip", "netns", "exec", ns, *command],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
            env={**os.environ, **(env or {})}, start_new_session=True)
        self.processes.append(process)
        return process

    def stop(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes = []
        for end, ns in enumerate(NS):
            for link in (f"bench{end}", "lg-wg"):
                run("ip", "link", "delete", link, ns=ns, check=False)

    def cpu(self):
        """CPU seconds used by each end so far."""
        return [cpu_seconds(process.pid) for process in self.processes]

    def rss(self):
        """Resident megabytes of each end."""
        return [resident_mb(process.pid) for process in self.processes]

    def wait_until_up(self):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if any(process.poll() is not None for process in self.processes):
                break
            done = run("ping", "-c", "1", "-W", "1", self.target, ns=HOSTS[0], check=False)
            if " 0% packet loss" in done:
                return
        tail = b""
        for process in self.processes:
            process.terminate()
            tail += process.communicate()[1] or b""
        raise RuntimeError(f"{self.label}: no packet passes\n{tail.decode(errors='replace')}")


class Veth(Contender):
    """No tunnel: what the machine can do at all."""

    def __init__(self):
        super().__init__("veth", "plain veth", "no tunnel, MTU 1500")

    def start(self):
        for end, ns in enumerate(NS):
            run("ip", "route", "add", LAN[1 - end], "via", OUTER[1 - end], ns=ns)

    def stop(self):
        for end, ns in enumerate(NS):
            run("ip", "route", "delete", LAN[1 - end], ns=ns, check=False)


class Stock(Contender):
    """A userspace WireGuard with the usual configuration socket."""

    def __init__(self, name, label, command, env=None, note=""):
        super().__init__(name, label, note)
        self.command, self.env = command, env

    def start(self):
        keys = [run("wg", "genkey").strip() for _ in NS]
        publics = [run("wg", "pubkey", stdin=key).strip() for key in keys]
        for end, ns in enumerate(NS):
            link = f"bench{end}"
            Path(f"/var/run/wireguard/{link}.sock").unlink(missing_ok=True)
            self.spawn(ns, [*self.command, link], self.env)
            wait_for(lambda: Path(f"/var/run/wireguard/{link}.sock").exists(), f"{link}.sock")
            with tempfile.NamedTemporaryFile("w") as file:
                file.write(keys[end])
                file.flush()
                other = 1 - end
                run("wg", "set", link, "listen-port", str(PORT), "private-key", file.name,
                    "peer", publics[other], "allowed-ips", f"{LAN[other]},{TUNNEL[other]}/32",
                    "endpoint", f"{OUTER[other]}:{PORT}", ns=ns)
            set_up(end, link)


class Ours(Contender):
    """The whole gateway: `lockgate run` at both ends, with its rules, source
    checks and counters."""

    def __init__(self, binary, name="lockgate", label="Lockgate", options=(), note=""):
        super().__init__(name, label, note)
        self.binary, self.options = binary, options
        self.home = None

    def start(self):
        self.home = tempfile.TemporaryDirectory(prefix="lgbench-")
        keys = [run("wg", "genkey").strip() for _ in NS]
        publics = [run("wg", "pubkey", stdin=key).strip() for key in keys]
        for end, ns in enumerate(NS):
            other = 1 - end
            home = Path(self.home.name) / str(end)
            secret = home / "config/secrets/bench/key"
            secret.mkdir(parents=True)
            (secret / "key").write_text(keys[end])
            (home / "config/bench.yaml").write_text(DOCUMENTS.format(
                port=PORT, mtu=MTU, app=LAN[end], site=LAN[other], public=publics[other],
                host=OUTER[other], tunnel=TUNNEL[end]))
            self.spawn(ns, [
                self.binary, "--runtime-dir", str(home / "run"), "--state-dir", str(home / "state"),
                "run", "-f", str(home / "config"), "--netns", "current", "--no-status",
                *self.options])

    def stop(self):
        super().stop()
        if self.home:
            self.home.cleanup()


def set_up(end, link):
    ns = NS[end]
    run("ip", "address", "add", f"{TUNNEL[end]}/31", "dev", link, ns=ns)
    run("ip", "link", "set", link, "mtu", str(MTU), "up", ns=ns)
    run("ip", "route", "add", LAN[1 - end], "dev", link, ns=ns)


def wait_for(condition, what):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.02)
    raise RuntimeError(f"{what} did not appear")


def cpu_seconds(pid):
    """Seconds on a core of every thread. `ip netns exec` became the process itself."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except FileNotFoundError:
            pass
    return total / 1e9


def resident_mb(pid):
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024


def iperf(target, seconds, *options):
    """What iperf3 says at the end; its control connection may drown in a flood."""
    said = None
    for _ in range(3):
        output = run("iperf3", "-c", target, "-t", str(seconds), "-J", *options, ns=HOSTS[0],
                     check=False, timeout=seconds + 30)
        said = json.loads(output or "{}")
        if said.get("end") and "error" not in said:
            return said["end"]
        time.sleep(1)
    raise RuntimeError(f"iperf3 {' '.join(options)}: {(said or {}).get('error', 'no answer')}")


def tcp(contender, seconds, streams, ping=False):
    """TCP from one end to the other: Gb/s, CPU seconds per GB, RTT meanwhile."""
    before = contender.cpu()
    pinger = None
    if ping:
        count = int((seconds - 0.5) / 0.01)
        pinger = subprocess.Popen(
            ["ip", "netns", "exec", HOSTS[0], "ping", "-i", "0.01", "-c", str(count),
             contender.target], stdout=subprocess.PIPE, text=True)
    end = iperf(contender.target, seconds, "-P", str(streams))
    after = contender.cpu()
    gigabytes = end["sum_received"]["bytes"] / 1e9
    result = {
        "gbps": end["sum_received"]["bits_per_second"] / 1e9,
        "retransmits": end["sum_sent"].get("retransmits", 0),
    }
    if after:
        result["cpu_send"] = (after[0] - before[0]) / max(gigabytes, 1e-9)
        result["cpu_receive"] = (after[1] - before[1]) / max(gigabytes, 1e-9)
    if pinger:
        times = round_trips(pinger.communicate(timeout=30)[0])
        if times:
            result["rtt_mean"] = statistics.fmean(times)
            result["rtt_p99"] = percentile(times, 0.99)
    return result


def udp(contender, seconds, size, kpps=0):
    """UDP at a rate, 0 for a flood: datagrams that arrive, and their cost."""
    load = str(Path(__file__).with_name("udp_load.py"))
    receiver = subprocess.Popen(
        ["ip", "netns", "exec", HOSTS[1], sys.executable, load, "receive", contender.target,
         str(UDP_PORT)], stdout=subprocess.PIPE, text=True)
    try:
        receiver.stdout.readline()
        before = contender.cpu()
        sent = json.loads(run(sys.executable, load, "send", contender.target, str(UDP_PORT),
                              str(size), str(kpps * 1e3), str(seconds), ns=HOSTS[0],
                              timeout=seconds + 30))
        received = json.loads(receiver.communicate(timeout=30)[0])["received"]
        after = contender.cpu()
    finally:
        receiver.kill()
        receiver.wait()
    result = {
        "kpps": received / sent["seconds"] / 1e3,
        "sent_kpps": sent["sent"] / sent["seconds"] / 1e3,
        "loss": 1 - received / max(sent["sent"], 1),
    }
    if after:
        millions = max(received, 1) / 1e6
        result["cpu_send"] = (after[0] - before[0]) / millions
        result["cpu_receive"] = (after[1] - before[1]) / millions
    return result


def udp_clean(contender, seconds, size, flood_kpps):
    """The most datagrams a second of which at most 0.1 % are lost."""
    kpps = flood_kpps
    for _ in range(6):
        kpps *= 0.85
        result = udp(contender, seconds, size, kpps)
        if result["loss"] <= 0.001:
            return {"kpps": result["kpps"], "loss": result["loss"]}
    return {"kpps": 0.0, "loss": 1.0}


def round_trips(output):
    return [float(text) for text in re.findall(r"time=([\d.]+)", output)]


def percentile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(part * len(values)))]


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
