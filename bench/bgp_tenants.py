"""A thousand tenants with one BGP session each, for bgp.py: how soon what all of them
are told is in each one's own table, and one change beside that. Only lockgate has
them, so it is beside nobody."""

import random
import resource
import statistics
import time
from contextlib import contextmanager
from pathlib import Path

from bgp_parts import FIRST, LENGTH, PATIENCE, RTM_DELROUTE, networks, said
from bgp_receivers import ASN, OWN_ASN, Lockgate, Table
from bgp_sender import Sender, announcement, withdrawal
from scale_kernel import RTM_NEWROUTE, inside, links, route_listener, wait, wait_for_route
from scale_sites import sh


# The namespace that bgp.sh was called in.
HOME = "/proc/self/fd/9"

# How many neighbours the kernel has room for: for longer than some seconds, and at all.
NEIGHBOURS = [Path(f"/proc/sys/net/ipv4/neigh/default/gc_thresh{n}") for n in (2, 3)]


def ends(tenant):
    """Our address on the tenant's fabric link, and the router's: one network each, for
    the routers are all of one process."""
    first = (172 << 24) + (20 << 16) + 4 * tenant
    return [".".join(str(byte) for byte in (first + n).to_bytes(4, "big")) for n in (1, 2)]


def document(tenant):
    own, router = ends(tenant)
    return f"""apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {{name: gw, namespace: t{tenant}}}
spec:
  appPrefixes: [11.0.0.0/8]
  fabric:
    veth: {{peer: t{tenant}, addresses: [{own}/30]}}
    bgp:
      localASN: {OWN_ASN}
      routerID: {own}
      neighbors: [{{name: tor, address: {router}, remoteASN: {ASN}}}]
      import: {{prefixes: [{{cidr: 11.0.0.0/8, ge: 24, le: 32}}]}}
"""


@contextmanager
def room_for(neighbours):
    """Room for so many of them, of all namespaces together: those that the kernel has no
    room for fall silent by turns, and it has 1,024 by default. Then as it was before."""
    def have(room):
        # No other namespace has these settings.
        inside(HOME, lambda: [
            path.write_text(str(most)) for path, most in zip(NEIGHBOURS, room)])

    before = inside(HOME, lambda: [int(path.read_text()) for path in NEIGHBOURS])
    have([max(most, neighbours * times) for most, times in zip(before, (1, 2))])
    try:
        yield
    finally:
        have(before)


class Tenants(Lockgate):
    """Ours, with so many of them."""

    def build(self):
        # Two descriptors for each, and some.
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    def start(self, count):
        self.build()
        documents = self.home / "documents"
        documents.mkdir()
        for tenant in range(count):
            (documents / f"t{tenant}.yaml").write_text(document(tenant))
        self.spawn(self.binary, "--runtime-dir", "/run/lockgate", "--state-dir",
                   self.home / "state", "run", "-f", documents, "--no-status", space=False)
        wait("every tenant's fabric link is there", lambda: links() > count, 0.1, PATIENCE)
        lines = (f"address add {ends(tenant)[1]}/30 dev t{tenant}\nlink set t{tenant} up\n"
                 for tenant in range(count))
        sh("ip", "-batch", "-", stdin="".join(lines))
        self.tables = [Table(f"lockgate.t{tenant}.gw") for tenant in range(count)]

    def stop(self):
        for table in getattr(self, "tables", ()):
            table.close()
        count = len(getattr(self, "tables", ()))
        super().stop()
        for tenant in range(count):
            sh("ip", "netns", "delete", f"lockgate.t{tenant}.gw")


def tenants(binary, count, each, changes):
    """What they are told, all at once; then one change after another, each of another
    tenant."""
    receiver = Tenants(binary)
    # At each end of a tenant's link there is one.
    with room_for(4 * count), Sender(at_once=count) as sender:
        try:
            receiver.start(count)
            # Whoever dials at first is refused, for nobody listens yet.
            time.sleep(10)
            rss = receiver.memory("VmRSS") / 1024
            before = [table.size() for table in receiver.tables]
            cpu = receiver.cpu()
            sessions = []
            for tenant in range(count):
                own, router = ends(tenant)
                sessions.append((router, said(router, 0, each), own))
            opened = sender.ask("open", None, sessions)
            sender.pipe.send(("established",))
            until = time.monotonic() + PATIENCE
            left = list(range(count))
            while left:
                # One at a time, for to look at all of them takes what is to be measured.
                if receiver.tables[left[-1]].size() < before[left[-1]] + each:
                    if time.monotonic() > until:
                        raise RuntimeError(f"a tenant has not all after {PATIENCE} s")
                    time.sleep(0.02)
                else:
                    left.pop()
            there = time.monotonic()
            result = {"seconds": there - opened, "sessions_s": max(sender.hear()) - opened,
                      "cpu_s": receiver.cpu() - cpu}
            time.sleep(3)
            result["cpu_settled_s"] = receiver.cpu() - cpu
            result["rss_mb"] = receiver.memory("VmRSS") / 1024
            result["rss_before_mb"] = rss
            result["change_s"] = change_each(sender, count, each, changes)
            return result
        finally:
            receiver.stop()


def change_each(sender, count, each, changes):
    """Seconds from a tenant's UPDATE to the kernel's word of its route."""
    chance = random.Random(1)
    network = networks(each, 1)
    address = ".".join(str(byte) for byte in (FIRST + (each << (32 - LENGTH))).to_bytes(4, "big"))
    times = []
    for _ in range(changes // 2):
        tenant = chance.randrange(count)
        listener = inside(f"lockgate.t{tenant}.gw", route_listener)
        router = ends(tenant)[1]
        for what, kind in ((announcement(router, (ASN + 1,), network), RTM_NEWROUTE),
                           (withdrawal(network), RTM_DELROUTE)):
            time.sleep(chance.uniform(0.02, 0.2))
            begun = sender.ask("say", what, tenant)
            times.append(wait_for_route(listener, address, begun + PATIENCE, kind) - begun)
        listener.close()
    return times


def row(rounds, quantile):
    """What there is to say of it, a line."""
    if not rounds:
        return []
    def middle(name):
        return statistics.median(one[name] for one in rounds)

    late = [value for one in rounds for value in one["change_s"]]
    return ["", f"Tenants with a session each: all told → in every table {middle('seconds'):.2f} s, "
            f"{middle('cpu_s'):.2f} CPU-s; RSS {middle('rss_before_mb'):.0f} → "
            f"{middle('rss_mb'):.0f} MB. One change of one of them → kernel: p50 "
            f"{quantile(late, 0.5) * 1e3:.1f}, p99 {quantile(late, 0.99) * 1e3:.1f} ms."]
