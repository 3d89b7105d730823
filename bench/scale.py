"""The measuring part of scale.sh, which explains it and calls it in namespaces
of its own.

What counts as programmed is told by the kernel: a socket in the tenant's
namespace hears of the new route, the name of a namespace goes, the far end of
a veth pair goes with it. Only the cold start is read from the gateway's status,
and then compared with what the kernel holds.
"""

import argparse
import base64
import ctypes
import hashlib
import http.client
import json
import os
import random
import resource
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import tempfile
import time
from pathlib import Path

OUT = Path(__file__).parent / "out"
CLK_TCK = os.sysconf("SC_CLK_TCK")
PATIENCE = 300
RTMGRP_IPV4_ROUTE = 0x40
RTM_NEWROUTE = 24
RTA_DST = 1
CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def sh(*command):
    subprocess.run(command, check=True, capture_output=True)


def enter_box():
    """The rest of the box: an empty /run, and an underlay that swallows all."""
    sh("mount", "-t", "tmpfs", "tmpfs", "/run")
    os.mkdir("/run/netns")
    sh("ip", "link", "set", "lo", "up")
    sh("ip", "link", "add", "underlay", "address", "02:00:00:00:00:01", "type", "veth", "peer",
       "name", "nowhere", "address", "02:00:00:00:00:02")
    for link in ("underlay", "nowhere"):
        sh("ip", "link", "set", link, "up")
    sh("ip", "address", "add", "198.18.0.1/24", "dev", "underlay")
    sh("ip", "neighbour", "add", "198.18.0.2", "lladdr", "02:00:00:00:00:02", "dev", "underlay")
    sh("ip", "route", "add", "default", "via", "198.18.0.2")


def key(*what):
    return base64.b64encode(hashlib.sha256(repr(what).encode()).digest()).decode()


def document(tenant, peers, first="192.168.0.0/24"):
    """A tenant's file. Every tenant has the same prefixes; each second peer is
    dialled, and none answers."""
    text = f"""apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {{name: gw, namespace: t{tenant}}}
spec:
  appPrefixes: [10.136.40.0/24]
  fabric:
    veth: {{peer: t{tenant}, addresses: [172.16.0.1/24]}}
"""
    for peer in range(peers):
        prefix = first if peer == 0 else f"192.168.{peer}.0/24"
        endpoint = ""
        if peer % 2:
            address = f"203.{tenant // 250}.{tenant % 250}.{peer % 250}"
            endpoint = f"\n    endpoint: {{host: {address}, port: 51820}}"
        text += f"""---
apiVersion: lockgate.dev/v1alpha1
kind: SiteAttachment
metadata: {{name: s{peer}, namespace: t{tenant}}}
spec:
  gatewayRef: {{name: gw}}
  type: WireGuard
  wireGuard:
    publicKey: {key(tenant, peer)}{endpoint}
    persistentKeepaliveSeconds: 25
    tunnelAddresses: [10.{100 + peer // 128}.{peer % 128}.0/31]
  prefixes:
    - {{cidr: {prefix}}}
  allow:
    - {{direction: ToSite, protocol: TCP, ports: [22, 830]}}
    - {{direction: FromSite, protocol: UDP, ports: [162, 514]}}
"""
    return text


def inside(tenant, work):
    """Does `work` in the tenant's namespace; what it opens stays there."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{netns(tenant)}", os.O_RDONLY)
    try:
        if libc.setns(there, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        try:
            return work()
        finally:
            if libc.setns(home, CLONE_NEWNET) != 0:
                os._exit(1)
    finally:
        os.close(there)
        os.close(home)


NAMES = {}


def netns(tenant):
    return NAMES[f"t{tenant}"]


def route_listener():
    listener = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    listener.bind((0, RTMGRP_IPV4_ROUTE))
    return listener


def wait_for_route(listener, network, until):
    """When the kernel told of a new route to `network`."""
    wanted = socket.inet_aton(network)
    while True:
        listener.settimeout(max(until - time.monotonic(), 0.001))
        datagram = listener.recv(1 << 16)
        heard = time.monotonic()
        at = 0
        while at + 16 <= len(datagram):
            length, kind = struct.unpack_from("=IH", datagram, at)
            attribute = at + 16 + 12
            while kind == RTM_NEWROUTE and attribute + 4 <= at + length:
                size, name = struct.unpack_from("=HH", datagram, attribute)
                if name == RTA_DST and datagram[attribute + 4 : attribute + size] == wanted:
                    return heard
                attribute += (max(size, 4) + 3) & ~3
            at += (max(length, 16) + 3) & ~3


def wait(what, holds, pause=0.002, patience=PATIENCE):
    begun = time.monotonic()
    while not holds():
        if time.monotonic() - begun > patience:
            raise RuntimeError(f"waited {patience} s in vain: {what}")
        time.sleep(pause)
    return time.monotonic()


def kernel_memory():
    """Bytes of the kinds that namespaces are made of. Of the whole machine, so
    a difference is only as good as the machine was quiet."""
    kinds = ("Slab", "Percpu", "KernelStack", "VmallocUsed")
    with open("/proc/meminfo") as lines:
        fields = dict(line.split(":") for line in lines)
    return sum(int(fields[kind].split()[0]) << 10 for kind in kinds)


class Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Gateway:
    """A running process."""

    def __init__(self, binary, documents, state, log):
        self.log = open(log, "ab")
        self.begun = time.monotonic()
        self.process = subprocess.Popen(
            (binary, "--runtime-dir", "/run/lockgate", "--state-dir", state, "run", "-f", documents,
             "--no-status"),
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            # Half of what is usual: it is the gateway's to ask for more.
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1024, HARD)))

    def status(self):
        connection = Unix("/run/lockgate/lockgate.sock")
        try:
            connection.request("GET", "/api/v1/status")
            answer = connection.getresponse()
            return json.loads(answer.read()) if answer.status == 200 else None
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def wait_programmed(self, tenants):
        """Seconds from the start until every tenant was Programmed."""
        while True:
            asked = time.monotonic()
            if self.process.poll() is not None:
                raise RuntimeError(f"lockgate ended with {self.process.returncode}")
            status = self.status()
            answered = time.monotonic()
            if status is not None and is_programmed(status, tenants):
                for tenant in status["tenants"]:
                    NAMES[tenant["name"].split("/")[0]] = tenant["netns"]
                return asked - self.begun
            if answered - self.begun > PATIENCE:
                raise RuntimeError("not all tenants were programmed in time")
            # Asking costs the gateway time, too.
            time.sleep(max(0.1, 5 * (answered - asked)))

    def cpu(self):
        """Seconds of all cores so far, ended children (nft) included."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return sum(int(field) for field in fields[11:15]) / CLK_TCK

    def memory(self, field):
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1])
        return 0

    def count(self, what):
        return len(os.listdir(f"/proc/{self.process.pid}/{what}"))

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.log.close()


def is_programmed(status, tenants):
    config = status["config"]
    return (
        config["loadedGeneration"] == config["appliedGeneration"] != 0
        and len(status["tenants"]) == tenants
        and all(
            any(one["type"] == "Programmed" and one["status"] == "True"
                for one in tenant["conditions"])
            for tenant in status["tenants"]))


def check_kernel(arguments):
    """Fails unless some tenants are in the kernel as the documents ask."""
    for tenant in random.sample(range(arguments.tenants), min(20, arguments.tenants)):
        name = netns(tenant)
        routes = subprocess.run(("ip", "-n", name, "-4", "route"), capture_output=True, text=True)
        rules = subprocess.run(("ip", "netns", "exec", name, "nft", "list", "ruleset"),
                               capture_output=True, text=True)
        there = routes.stdout.count("192.168.")
        if there != arguments.peers or "policy drop" not in rules.stdout:
            raise RuntimeError(f"{name} is not as asked for: {there} routes")


def replace(path, text, beside):
    beside.write_text(text)
    os.replace(beside, path)


def one_round(arguments, number):
    result = {}
    work = Path(tempfile.mkdtemp(prefix="lockgate-scale-", dir="/var/tmp"))
    documents = work / "documents"
    documents.mkdir()
    state = work / "state"
    log = OUT / "scale.log"
    log.unlink(missing_ok=True)
    for tenant in range(arguments.tenants):
        (documents / f"t{tenant}.yaml").write_text(document(tenant, arguments.peers))
    kernel_before = kernel_memory()
    gateway = Gateway(arguments.binary, documents, state, log)
    try:
        say("cold start")
        result["cold_start_s"] = gateway.wait_programmed(arguments.tenants)
        result["cold_start_cpu_s"] = gateway.cpu()
        check_kernel(arguments)
        say(f"  {result['cold_start_s']:.1f} s")
        time.sleep(3)
        result["kernel_bytes_per_tenant"] = (kernel_memory() - kernel_before) / arguments.tenants
        result["rss_kb"] = gateway.memory("VmRSS")
        result["rss_peak_kb"] = gateway.memory("VmHWM")
        result["threads"] = gateway.count("task")
        result["descriptors"] = gateway.count("fd")
        cpu, begun = gateway.cpu(), time.monotonic()
        time.sleep(10)
        result["idle_cores"] = (gateway.cpu() - cpu) / (time.monotonic() - begun)

        say(f"{arguments.changes} changes")
        cpu, begun = gateway.cpu(), time.monotonic()
        times = []
        for change in range(arguments.changes):
            tenant = random.randrange(arguments.tenants)
            network = f"192.{169 + change // 200}.{change % 200}.0"
            listener = inside(tenant, route_listener)
            changed = time.monotonic()
            replace(documents / f"t{tenant}.yaml",
                    document(tenant, arguments.peers, f"{network}/24"), work / "beside")
            times.append(wait_for_route(listener, network, changed + 30) - changed)
            listener.close()
            time.sleep(random.uniform(0.1, 0.3))
        result["change_s"] = times
        idle = result["idle_cores"] * (time.monotonic() - begun)
        result["change_cpu_s"] = max(gateway.cpu() - cpu - idle, 0) / arguments.changes
        result["rss_after_changes_kb"] = gateway.memory("VmRSS")

        say("deletion of one")
        time.sleep(1)
        tenant = arguments.tenants - 1
        begun = time.monotonic()
        (documents / f"t{tenant}.yaml").unlink()
        name = f"/run/netns/{netns(tenant)}"
        unnamed = wait("its name goes", lambda: not os.path.exists(name))
        result["delete_one_unnamed_s"] = unnamed - begun
        gone = wait("its veth goes", lambda: not has_link(f"t{tenant}"))
        result["delete_one_gone_s"] = gone - begun

        say("kill −9 and start again")
        gateway.kill()
        gateway = Gateway(arguments.binary, documents, state, log)
        result["warm_start_s"] = gateway.wait_programmed(arguments.tenants - 1)
        result["warm_start_cpu_s"] = gateway.cpu()

        say("deletion of all")
        time.sleep(3)
        begun = time.monotonic()
        gateway.process.terminate()
        gateway.process.wait(timeout=PATIENCE)
        result["delete_all_exit_s"] = time.monotonic() - begun
        left = [entry for entry in os.listdir("/run/netns")]
        if left:
            raise RuntimeError(f"{len(left)} namespaces were left behind")
        gone = wait("the veth pairs go", lambda: links() == 3, pause=0.02)
        result["delete_all_gone_s"] = gone - begun
    finally:
        gateway.kill()
        shutil.rmtree(work, ignore_errors=True)
        for name in os.listdir("/run/netns"):
            subprocess.run(("ip", "netns", "delete", name), capture_output=True)
        wait("the kernel cleans up", lambda: links() <= 3, pause=0.05)
    return result


def has_link(name):
    try:
        return socket.if_nametoindex(name) != 0
    except OSError:
        return False


def links():
    with open("/proc/self/net/dev") as lines:
        return sum(1 for _ in lines) - 2


def quantile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(q * len(values)))]


def say(text):
    print(f"   {text}", flush=True)


def table(arguments, rounds):
    n = arguments.tenants

    def row(label, field, form, scale=1):
        values = [one[field] * scale for one in rounds]
        spread = ""
        if len(values) > 1:
            spread = f"{form.format(min(values))} – {form.format(max(values))}"
        return f"| {label} | {form.format(statistics.median(values))} | {spread} |"

    changes = [value for one in rounds for value in one["change_s"]]
    lines = [
        f"{n} tenants × {arguments.peers} peers, {len(rounds)} rounds, {os.cpu_count()} cores, "
        f"Linux {os.uname().release}.",
        "",
        "| | median | range |",
        "|---|---|---|",
        row("cold start, s", "cold_start_s", "{:.1f}"),
        row("— CPU-seconds of it, `nft` included", "cold_start_cpu_s", "{:.1f}"),
        row("start after kill −9, s", "warm_start_s", "{:.1f}"),
        row("— CPU-seconds of it", "warm_start_cpu_s", "{:.1f}"),
        row("RSS, MB", "rss_kb", "{:.1f}", 1 / 1024),
        row("RSS for each tenant, MB", "rss_kb", "{:.3f}", 1 / 1024 / n),
        row("highest RSS, MB", "rss_peak_kb", "{:.1f}", 1 / 1024),
        row("RSS after the changes, MB", "rss_after_changes_kb", "{:.1f}", 1 / 1024),
        row("kernel memory for each tenant, MB, about", "kernel_bytes_per_tenant", "{:.2f}",
            1 / (1 << 20)),
        row("threads", "threads", "{:.0f}"),
        row("descriptors", "descriptors", "{:.0f}"),
        row("cores used while nothing changes", "idle_cores", "{:.3f}"),
        f"| changed document → route in the kernel, p50, ms | {quantile(changes, 0.5) * 1e3:.1f} "
        f"| of {len(changes)}: {min(changes) * 1e3:.1f} – {max(changes) * 1e3:.1f} |",
        f"| changed document → route in the kernel, p99, ms | {quantile(changes, 0.99) * 1e3:.1f} "
        "| |",
        row("CPU-seconds for each change", "change_cpu_s", "{:.3f}"),
        row("one tenant removed, ms", "delete_one_unnamed_s", "{:.0f}", 1e3),
        row("— and dismantled by the kernel, ms", "delete_one_gone_s", "{:.0f}", 1e3),
        row("all removed and the process gone (SIGTERM), s", "delete_all_exit_s", "{:.1f}"),
        row("— and dismantled by the kernel, s", "delete_all_gone_s", "{:.1f}"),
    ]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(prog="bench/scale.sh")
    parser.add_argument("--binary", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--tenants", type=int)
    parser.add_argument("--peers", type=int, default=10)
    parser.add_argument("--changes", type=int, default=100)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--full", action="store_true")
    arguments = parser.parse_args()
    arguments.tenants = arguments.tenants or (1000 if arguments.full else 100)
    arguments.rounds = arguments.rounds or (3 if arguments.full else 1)
    if not (1 <= arguments.tenants <= 2000 and 1 <= arguments.peers <= 128
            and 1 <= arguments.changes <= 2000 and 1 <= arguments.rounds <= 20):
        parser.error("at most 2000 tenants, 128 peers, 2000 changes and 20 rounds")
    # To end in an orderly way is to clean up.
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    OUT.mkdir(exist_ok=True)
    random.seed(1)
    enter_box()
    rounds = []
    for number in range(arguments.rounds):
        print(f"== round {number + 1} of {arguments.rounds}", flush=True)
        rounds.append(one_round(arguments, number))
    text = table(arguments, rounds)
    (OUT / "scale.md").write_text(text)
    fields = {"tenants": arguments.tenants, "peers": arguments.peers, "rounds": rounds}
    (OUT / "scale.json").write_text(json.dumps(fields, indent=1) + "\n")
    print(text)


HARD = resource.getrlimit(resource.RLIMIT_NOFILE)[1]

if __name__ == "__main__":
    main()
