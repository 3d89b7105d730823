"""What probes cost a gateway; see probes.sh."""

import argparse
import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from scale_gateway import Gateway

CLASS = """\
apiVersion: lockgate.dev/v1alpha1
kind: ConnectivityClass
metadata: {name: default}
spec: {backend: Userspace}
"""
TENANT = """\
---
apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {{name: gw, namespace: t{n}}}
spec:
  appPrefixes: [10.136.40.0/24]
  fabric: {{veth: {{peer: a{n}, addresses: [10.136.40.1/24]}}}}
---
apiVersion: lockgate.dev/v1alpha1
kind: SiteAttachment
metadata: {{name: hq, namespace: t{n}}}
spec:
  gatewayRef: {{name: gw}}
  type: VLAN
  vlan: {{interface: l{n}, addresses: [{net}.1/30], nextHop: {net}.2}}
  prefixes: [{{cidr: 192.168.1.0/24}}]
"""


def run(line):
    subprocess.run(line.split(), check=True, capture_output=True)


def network(tenant):
    return f"10.{100 + tenant // 256}.{tenant % 256}"


def build():
    """The customers: a namespace with a link to each tenant, and 64 devices."""
    run("ip link set lo up")
    run("ip netns add customers")
    run("ip -n customers link set lo up")
    for device in range(1, 65):
        run(f"ip -n customers address add 192.168.1.{device}/32 dev lo")


def links(tenants):
    for n in range(tenants):
        run(f"ip link add l{n} type veth peer name c{n} netns customers")
        run(f"ip -n customers address add {network(n)}.2/30 dev c{n}")
        run(f"ip link set l{n} up")
        run(f"ip -n customers link set c{n} up")


def documents(tenants, probes, interval):
    text = CLASS
    for n in range(tenants):
        text += TENANT.format(n=n, net=network(n))
        if probes:
            asked = ", ".join(
                f"{{address: 192.168.1.{1 + p}, intervalSeconds: {interval}"
                + (", tcpPort: 22}" if p % 2 else "}") for p in range(probes))
            text += f"  probes: [{asked}]\n"
    return text


def sent(status):
    return sum(int(probe["sent"]) for tenant in status["tenants"]
               for site in tenant["sites"] for probe in site.get("probes", []))


def measure(binary, tenants, probes, interval, seconds):
    """Cores used while nothing changes, and what else there is to tell."""
    home = Path(tempfile.mkdtemp(prefix="lockgate-probes-"))
    (home / "documents.yaml").write_text(documents(tenants, probes, interval))
    links(tenants)
    gateway = Gateway(binary, str(home / "documents.yaml"), str(home / "state"), home / "log")
    try:
        gateway.wait_programmed(tenants)
        gateway.wait_up()
        # Once all have had their first turn.
        time.sleep(10)
        before, asked, begun = gateway.cpu(), sent(gateway.status()), time.monotonic()
        time.sleep(seconds)
        cpu = gateway.cpu() - before
        passed = time.monotonic() - begun
        status = gateway.status()
        worst = [probe["recent"]["p99Micros"] for tenant in status["tenants"]
                 for site in tenant["sites"] for probe in site.get("probes", [])
                 if probe["recent"].get("p99Micros") is not None]
        lost = sum(int(probe["lost"]) for tenant in status["tenants"]
                   for site in tenant["sites"] for probe in site.get("probes", []))
        return {
            "probes": tenants * probes, "interval": interval,
            "asked_per_second": (sent(status) - asked) / passed, "lost": lost,
            "cores": cpu / passed, "rss_mb": gateway.memory("VmRSS") / 1024,
            "descriptors": gateway.count("fd"),
            "median_p99_micros": sorted(worst)[len(worst) // 2] if worst else None,
        }
    finally:
        gateway.process.terminate()
        gateway.process.wait(120)
        gateway.log.close()
        for n in range(tenants):
            subprocess.run(f"ip -n customers link delete c{n}".split(), capture_output=True)
        shutil.rmtree(home)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--tenants", type=int, default=100)
    parser.add_argument("--probes", type=int, default=10)
    parser.add_argument("--interval", type=int, default=30)
    parser.add_argument("--seconds", type=int, default=60)
    asked = parser.parse_args()
    run("mount -t tmpfs tmpfs /run")
    Path("/run/netns").mkdir()
    build()
    rows = []
    for probes, interval in ((0, asked.interval), (asked.probes, asked.interval), (asked.probes, 1)):
        rows.append(measure(asked.binary, asked.tenants, probes, interval, asked.seconds))
    text = f"{asked.tenants} tenants, measured for {asked.seconds} s each\n\n"
    text += "| probes | every | asked a second | lost | cores | RSS, MB | descriptors | median of p99, µs |\n"
    text += "|---|---|---|---|---|---|---|---|\n"
    for row in rows:
        text += (f"| {row['probes']} | {row['interval']} s | {row['asked_per_second']:.1f} | {row['lost']} "
                 f"| {row['cores']:.3f} | {row['rss_mb']:.1f} | {row['descriptors']} "
                 f"| {row['median_p99_micros'] or '–'} |\n")
    out = Path("bench/out")
    out.mkdir(exist_ok=True)
    (out / "probes.md").write_text(text)
    (out / "probes.json").write_text(json.dumps(rows, indent=1) + "\n")
    print(text)


main()
