"""Two hosts, each behind a gateway, and what can make the tunnel between the
gateways: a `Lab` of four namespaces, and the contenders.
"""

import os
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path

# host-a ── a ══ tunnel ══ b ── host-b; the hosts send, the two between them forward.
NS = ("lgbench-a", "lgbench-b")
HOSTS = ("lgbench-host-a", "lgbench-host-b")
OUTER = ("198.18.0.1", "198.18.0.2")
TUNNEL = ("10.255.0.0", "10.255.0.1")
LAN = ("10.99.0.0/24", "10.99.1.0/24")
ROUTER = ("10.99.0.1", "10.99.1.1")
HOST = ("10.99.0.2", "10.99.1.2")
PORT = 51820
MTU = 1420
OFFLOADS = ("tx-udp-segmentation", "gro")
DOCUMENTS = """\
apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {{name: gw, namespace: bench}}
spec:
  listenPort: {port}
  backend: {backend}
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
        keys, publics = key_pairs()
        for end, ns in enumerate(NS):
            link = f"bench{end}"
            Path(f"/var/run/wireguard/{link}.sock").unlink(missing_ok=True)
            self.spawn(ns, [*self.command, link], self.env)
            wait_for(lambda: Path(f"/var/run/wireguard/{link}.sock").exists(), f"{link}.sock")
            set_up(end, link, keys[end], publics[1 - end])


class Ours(Contender):
    """The whole gateway: `lockgate run` at both ends, with its rules, source
    checks and counters."""

    def __init__(self, binary, name="lockgate", label="Lockgate", options=(), note="",
                 backend="Userspace"):
        super().__init__(name, label, note)
        self.binary, self.options, self.backend = binary, options, backend
        self.home = None

    def start(self):
        keys, publics = key_pairs()
        for end in (0, 1):
            self.start_end(end, keys[end], publics[1 - end])

    def start_end(self, end, key, other_public):
        if self.home is None:
            self.home = tempfile.TemporaryDirectory(prefix="lgbench-")
        other = 1 - end
        home = Path(self.home.name) / str(end)
        secret = home / "config/secrets/bench/key"
        secret.mkdir(parents=True)
        (secret / "key").write_text(key)
        (home / "config/bench.yaml").write_text(DOCUMENTS.format(
            port=PORT, backend=self.backend, mtu=MTU, app=LAN[end], site=LAN[other],
            public=other_public, host=OUTER[other], tunnel=TUNNEL[end]))
        self.spawn(NS[end], [
            self.binary, "--runtime-dir", str(home / "run"), "--state-dir", str(home / "state"),
            "run", "-f", str(home / "config"), "--netns", "current", "--no-status",
            *self.options])

    def stop(self):
        super().stop()
        if self.home:
            self.home.cleanup()
            self.home = None


def key_pairs():
    """A private key for each end, and the public ones."""
    keys = [run("wg", "genkey").strip() for _ in NS]
    return keys, [run("wg", "pubkey", stdin=key).strip() for key in keys]


def set_up(end, link, key, other_public):
    """Makes a stock WireGuard's link an end of the tunnel."""
    ns, other = NS[end], 1 - end
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(key)
        file.flush()
        run("wg", "set", link, "listen-port", str(PORT), "private-key", file.name,
            "peer", other_public, "allowed-ips", f"{LAN[other]},{TUNNEL[other]}/32",
            "endpoint", f"{OUTER[other]}:{PORT}", ns=ns)
    run("ip", "address", "add", f"{TUNNEL[end]}/31", "dev", link, ns=ns)
    run("ip", "link", "set", link, "mtu", str(MTU), "up", ns=ns)
    run("ip", "route", "add", LAN[other], "dev", link, ns=ns)


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
