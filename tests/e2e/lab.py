"""A gateway with two tenants of the same networks, and their customers' routers, in
namespaces of the namespace this runs in."""

import http.client
import json
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

HOST = "127.0.0.1"
STATUS = 9586
URL = f"http://{HOST}:{STATUS}"
TENANT = """\
apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {{name: gw, namespace: {tenant}}}
spec:
  listenPort: {port}
  backend: Userspace
  appPrefixes: [10.136.{place}.0/24]
  privateKeySecretRef: {{name: key, key: key}}
  fabric:
    veth: {{peer: apps-{tenant}, addresses: [10.136.{place}.1/24]}}
"""
SITE = """\
---
apiVersion: lockgate.dev/v1alpha1
kind: SiteAttachment
metadata: {{name: {name}, namespace: {tenant}}}
spec:
  gatewayRef: {{name: gw}}
  type: WireGuard
  wireGuard:
    publicKey: "{key}"
    tunnelAddresses: [{tunnel}]
  prefixes: [{{cidr: {prefix}}}]
"""
CUSTOMER = """\
apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {{name: gw, namespace: customer}}
spec:
  backend: Userspace
  appPrefixes: [192.168.1.0/24]
  privateKeySecretRef: {{name: key, key: key}}
---
apiVersion: lockgate.dev/v1alpha1
kind: SiteAttachment
metadata: {{name: noc, namespace: customer}}
spec:
  gatewayRef: {{name: gw}}
  type: WireGuard
  wireGuard:
    publicKey: "{key}"
    endpoint: {{host: {host}, port: {port}}}
    persistentKeepaliveSeconds: 5
    tunnelAddresses: [10.255.30.1/31]
  prefixes: [{{cidr: 10.136.{place}.0/24}}]
"""


def run(*command, ns=None, stdin=None):
    if ns is not None:
        command = ("ip", "netns", "exec", ns, *command)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, input=stdin)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def key_pair():
    private = run("wg", "genkey").strip()
    return private, run("wg", "pubkey", stdin=private).strip()


def status(token=None):
    connection = http.client.HTTPConnection(HOST, STATUS, timeout=10)
    fields = {} if token is None else {"Authorization": f"Bearer {token}"}
    connection.request("GET", "/api/v1/status", headers=fields)
    return json.loads(connection.getresponse().read())


class Process:
    """A `lockgate run`."""

    def __init__(self, binary, home, documents, *options, ns=None, secrets=None):
        for tenant, key in (secrets or {}).items():
            secret = home / "documents/secrets" / tenant / "key"
            secret.mkdir(parents=True)
            (secret / "key").write_text(key)
        (home / "documents").mkdir(parents=True, exist_ok=True)
        (home / "documents/all.yaml").write_text(documents)
        command = [binary, "--runtime-dir", str(home / "run"), "--state-dir", str(home / "state"),
                   "run", "-f", str(home / "documents"), *options]
        if ns is not None:
            command = ["ip", "netns", "exec", ns, *command]
        self.log = open(home / "log", "wb")
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def end(self):
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Lab:
    """Tenants acme and beta, each with a customer's router that has 192.168.1.0/24, and
    a site of acme's that never connects."""

    def __init__(self, binary):
        self.binary = binary

    def __enter__(self):
        self.home = tempfile.TemporaryDirectory(prefix="lockgate-e2e-")
        self.processes = []
        home = Path(self.home.name)
        documents, secrets = [], {}
        for place, tenant in enumerate(("acme", "beta"), 1):
            ours, theirs = key_pair(), key_pair()
            port, ns = 51820 + place, f"customer-{tenant}"
            secrets[tenant] = ours[0]
            text = TENANT.format(tenant=tenant, port=port, place=place)
            text += SITE.format(tenant=tenant, name="hq", key=theirs[1], tunnel="10.255.30.0/31",
                                prefix="192.168.1.0/24")
            text += "  probes: [{address: 10.255.30.1, intervalSeconds: 2}]\n"
            if tenant == "acme":
                text += SITE.format(tenant=tenant, name="branch", key=key_pair()[1],
                                    tunnel="10.255.31.0/31", prefix="192.168.2.0/24")
            documents.append(text)
            run("ip", "netns", "add", ns)
            run("ip", "link", "add", f"to-{tenant}", "type", "veth", "peer", "name", "uplink",
                "netns", ns)
            run("ip", "address", "add", f"198.18.{place}.1/24", "dev", f"to-{tenant}")
            run("ip", "link", "set", f"to-{tenant}", "up")
            run("ip", "address", "add", f"198.18.{place}.2/24", "dev", "uplink", ns=ns)
            run("ip", "link", "set", "uplink", "up", ns=ns)
            run("ip", "link", "set", "lo", "up", ns=ns)
            run("ip", "address", "add", "192.168.1.7/24", "dev", "lo", ns=ns)
            self.processes.append(Process(
                self.binary, home / ns,
                CUSTOMER.format(key=ours[1], host=f"198.18.{place}.1", port=port, place=place),
                "--netns", "current", "--no-status", ns=ns, secrets={"customer": theirs[0]}))
        self.gateway = Process(self.binary, home / "gateway", "---\n".join(documents),
                               secrets=secrets)
        self.processes.append(self.gateway)
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.end()
        self.home.cleanup()

    def wait_up(self, count):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                sites = [site for tenant in status()["tenants"] for site in tenant["sites"]]
                if sum(site["state"] == "Up" for site in sites) == count:
                    return
            except OSError:
                pass
            time.sleep(0.2)
        raise RuntimeError(f"not {count} sites are up: {self.logs()}")

    def logs(self):
        return "\n".join(path.read_text(errors="replace")[-2000:]
                         for path in Path(self.home.name).glob("*/log"))

    def pull(self, tenant):
        """Pulls the cable of a tenant's customer."""
        run("ip", "link", "set", "uplink", "down", ns=f"customer-{tenant}")

    def plug(self, tenant):
        run("ip", "link", "set", "uplink", "up", ns=f"customer-{tenant}")

    def talk(self, tenant):
        """Applications that keep asking the customer's device; the process of it."""
        ns = next(one["netns"] for one in status()["tenants"] if one["name"] == f"{tenant}/gw")
        process = subprocess.Popen(
            ["ip", "netns", "exec", ns, "ping", "-q", "-i", "0.5", "-w", "180", "192.168.1.7"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return process


class Crowd:
    """A gateway with so many tenants of ten sites each, none of which ever connects; one
    that asks for tokens has one of everything, and one of tenant t0."""

    def __init__(self, binary, tenants, asks=False):
        self.binary, self.tenants, self.asks = binary, tenants, asks
        self.token = self.tenants_token = None

    def __enter__(self):
        self.home = tempfile.TemporaryDirectory(prefix="lockgate-e2e-")
        documents = []
        for tenant in range(self.tenants):
            text = TENANT.format(tenant=f"t{tenant}", port=20000 + tenant, place=tenant % 250)
            text = text.replace("  privateKeySecretRef: {name: key, key: key}\n", "")
            for site in range(10):
                text += SITE.format(
                    tenant=f"t{tenant}", name=f"site{site}", key=key_pair()[1],
                    tunnel=f"10.255.{site}.0/31", prefix=f"192.168.{site}.0/24")
            documents.append(text)
        options = []
        if self.asks:
            file = f"{self.home.name}/tokens"
            make = (self.binary, "token", "new", "--add-to", file)
            self.token = run(*make, "noc").strip()
            self.tenants_token = run(*make, "customer", "--tenant", "t0/gw").strip()
            options = ["--status-tokens", file]
        self.gateway = Process(
            self.binary, Path(self.home.name), "---\n".join(documents), *options)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                tenants = status(self.token)["tenants"]
                if len(tenants) == self.tenants:
                    return self
            except OSError:
                pass
            time.sleep(0.5)
        raise RuntimeError("the crowd's gateway did not begin")

    def __exit__(self, *_):
        self.gateway.end()
        self.home.cleanup()
