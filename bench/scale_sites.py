"""The two kinds of sites that scale.py measures: what their box has beside the
gateway, and their documents. Every tenant has the same prefixes."""

import base64
import hashlib
import os
import subprocess
from ipaddress import ip_address


def sh(*command, stdin=None):
    subprocess.run(command, check=True, capture_output=True, text=True, input=stdin)


def enter_box():
    """An empty /run, so that every namespace there is is the gateway's."""
    sh("mount", "-t", "tmpfs", "tmpfs", "/run")
    os.mkdir("/run/netns")
    sh("ip", "link", "set", "lo", "up")


def gateway(tenant):
    return f"""apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {{name: gw, namespace: t{tenant}}}
spec:
  appPrefixes: [10.136.40.0/24]
  fabric:
    veth: {{peer: t{tenant}, addresses: [172.16.0.1/24]}}
"""


def site(tenant, number, prefix, attachment):
    return f"""---
apiVersion: lockgate.dev/v1alpha1
kind: SiteAttachment
metadata: {{name: s{number}, namespace: t{tenant}}}
spec:
  gatewayRef: {{name: gw}}
{attachment}
  prefixes:
    - {{cidr: {prefix}}}
  allow:
    - {{direction: ToSite, protocol: TCP, ports: [22, 830]}}
    - {{direction: FromSite, protocol: UDP, ports: [162, 514]}}
"""


class Sites:
    """A kind of sites, so many of them for each tenant."""

    # Links and namespaces of the box that are not the gateway's.
    links, names = 1, frozenset()

    def __init__(self, each):
        self.each = each

    def document(self, tenant, first="192.168.0.0/24"):
        """A tenant's file; `first` is the prefix of its first site."""
        prefixes = [first, *(f"192.168.{number}.0/24" for number in range(1, self.each))]
        return gateway(tenant) + "".join(
            site(tenant, number, prefix, self.attachment(tenant, number))
            for number, prefix in enumerate(prefixes))


class WireGuard(Sites):
    """Each second peer is dialled, and none answers."""

    name, label, answered = "scale", "WireGuard peers", False
    links = 3

    def enter_box(self, _tenants):
        """The rest of the box: an underlay that swallows all."""
        sh("ip", "link", "add", "underlay", "address", "02:00:00:00:00:01", "type", "veth", "peer",
           "name", "nowhere", "address", "02:00:00:00:00:02")
        for link in ("underlay", "nowhere"):
            sh("ip", "link", "set", link, "up")
        sh("ip", "address", "add", "198.18.0.1/24", "dev", "underlay")
        sh("ip", "neighbour", "add", "198.18.0.2", "lladdr", "02:00:00:00:00:02",
           "dev", "underlay")
        sh("ip", "route", "add", "default", "via", "198.18.0.2")

    def attachment(self, tenant, peer):
        endpoint = ""
        if peer % 2:
            address = f"203.{tenant // 250}.{tenant % 250}.{peer % 250}"
            endpoint = f"\n    endpoint: {{host: {address}, port: 51820}}"
        key = bytearray(hashlib.sha256(repr((tenant, peer)).encode()).digest())
        # What looks like a private key is refused, unless it is a point of the curve.
        key[0] |= 1
        key = base64.b64encode(key).decode()
        return f"""  type: WireGuard
  wireGuard:
    publicKey: {key}{endpoint}
    persistentKeepaliveSeconds: 25
    tunnelAddresses: [10.{100 + peer // 128}.{peer % 128}.0/31]"""


class Vlan(Sites):
    """Tenants' sites take turns on the trunks; the next hop of each answers."""

    name, label, answered = "scale_vlan", "VLAN sites", True
    trunks = 4
    links, names = 1 + trunks, frozenset({"customers"})

    def place(self, tenant, number):
        """A site's trunk and tag, our address and its router's."""
        index = tenant * self.each + number
        first = ip_address("10.128.0.0") + 4 * index
        return index % self.trunks, 1 + index // self.trunks, first + 1, first + 2

    def enter_box(self, tenants):
        """The rest of the box: the trunks, and every customer's router."""
        sh("ip", "netns", "add", "customers")
        sh("ip", "netns", "exec", "customers", "sysctl", "-qw",
           "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
        for trunk in range(self.trunks):
            sh("ip", "link", "add", f"trunk{trunk}", "type", "veth", "peer", "name",
               f"trunk{trunk}", "netns", "customers")
            sh("ip", "link", "set", f"trunk{trunk}", "up")
            sh("ip", "-n", "customers", "link", "set", f"trunk{trunk}", "up")
        lines = []
        for tenant in range(tenants):
            for number in range(self.each):
                trunk, tag, _, router = self.place(tenant, number)
                name = f"v{trunk}.{tag}"
                lines.append(f"link add link trunk{trunk} name {name} up type vlan id {tag}\n"
                             f"address add {router}/30 dev {name}\n")
        sh("ip", "-n", "customers", "-batch", "-", stdin="".join(lines))

    def attachment(self, tenant, number):
        trunk, tag, own, router = self.place(tenant, number)
        return f"""  type: VLAN
  vlan: {{parent: trunk{trunk}, id: {tag}, addresses: [{own}/30], nextHop: {router}}}"""
