"""What is measured in bgp.py, one function each: a receiver that is not running
in, figures out."""

import random
import re
import subprocess
import time
from datetime import datetime, timezone

from bgp_receivers import ASN, NEAR, OWN, Lockgate, addresses
from bgp_sender import END_OF_RIB, Sender, announcement, prefix, withdrawal
from scale_kernel import RTM_NEWROUTE, inside, route_listener, wait, wait_for_route
from scale_sites import sh

# The first of the networks: all of them are within 11.0.0.0/8, where a document
# that says so lets them in.
FIRST = 11 << 24
LENGTH = 26
EACH_MESSAGE = 100
RTM_DELROUTE = 25
PATIENCE = 300


def networks(first, count):
    return [prefix(FIRST + ((first + n) << (32 - LENGTH)), LENGTH) for n in range(count)]


def said(local, first, count):
    """UPDATEs of so many networks, each message with a path of its own."""
    messages = [
        announcement(local, (ASN + 1 + at // EACH_MESSAGE,),
                     networks(first + at, min(EACH_MESSAGE, count - at)))
        for at in range(0, count, EACH_MESSAGE)]
    return b"".join(messages) + END_OF_RIB


def fill(receiver, sender, sessions, each):
    """Has every session say its networks; what that took, once all are there."""
    before = receiver.size()
    cpu = receiver.cpu()
    opened = sender.ask("open", OWN, [
        (local, said(local, at * each, each)) for at, local in enumerate(addresses(sessions))])
    sender.pipe.send(("established",))
    established = None
    pause = 0.02 if receiver.has_table else 0.1
    full = before + sessions * each
    until = time.monotonic() + PATIENCE
    while receiver.size() < full:
        if time.monotonic() > until:
            raise RuntimeError(f"{receiver.name}: {receiver.size() - before} networks of "
                               f"{sessions * each} in {PATIENCE} s")
        time.sleep(pause)
        if established is None and sender.pipe.poll():
            established = sender.hear()
    there = time.monotonic()
    established = established or sender.hear()
    begun = min(established) if sessions == 1 else opened
    result = {"seconds": there - begun, "sessions_s": max(established) - opened,
              "cpu_s": receiver.cpu() - cpu}
    # Whatever it does once all is there is part of the price.
    time.sleep(3)
    result["cpu_settled_s"] = receiver.cpu() - cpu
    result["rss_mb"] = receiver.memory("VmRSS") / 1024
    result["rss_peak_mb"] = receiver.memory("VmHWM") / 1024
    return result


def table(receiver, routes, changes):
    """So many routes of one session, and then one change after another."""
    with Sender() as sender:
        try:
            receiver.start(1)
            time.sleep(1)
            rss = receiver.memory("VmRSS") / 1024
            result = {"fill": fill(receiver, sender, 1, routes)}
            result["fill"]["rss_empty_mb"] = rss
            if receiver.has_table:
                result["change_s"] = change_one(receiver, sender, routes, changes)
                result["rss_after_changes_mb"] = receiver.memory("VmRSS") / 1024
            return result
        finally:
            receiver.stop()


def change_one(receiver, sender, routes, changes):
    """Seconds from the UPDATE to the kernel's word of the route, of networks that come
    and of networks that go, at moments that have nothing to do with the receiver's."""
    chance = random.Random(1)
    listener = inside(receiver.netns, route_listener)
    listener.setsockopt(1, 33, 64 << 20)
    times = []
    for change in range(changes):
        time.sleep(chance.uniform(0.02, 0.2))
        network = networks(routes + change // 2, 1)
        address = FIRST + ((routes + change // 2) << (32 - LENGTH))
        address = ".".join(str(byte) for byte in address.to_bytes(4, "big"))
        if change % 2 == 0:
            what, kind = announcement(NEAR, (ASN + 1,), network), RTM_NEWROUTE
        else:
            what, kind = withdrawal(network), RTM_DELROUTE
        begun = sender.ask("say", what)
        times.append(wait_for_route(listener, address, begun + PATIENCE, kind) - begun)
    listener.close()
    return times


def sessions(receiver, count, each, at_once):
    """So many sessions, each with a few routes, of which no more are dialed at once."""
    with Sender(at_once) as sender:
        try:
            receiver.start(count)
            time.sleep(1)
            return fill(receiver, sender, count, each)
        finally:
            receiver.stop()


SITE = """---
apiVersion: lockgate.dev/v1alpha1
kind: SiteAttachment
metadata: {name: lab, namespace: bench}
spec:
  gatewayRef: {name: gw}
  type: VLAN
  vlan: {interface: lan0, addresses: [172.30.0.1/24], nextHop: 172.30.0.2}
  prefixes: [{cidr: 10.64.0.0/16}]
"""
TURNED = re.compile(r"^\S*?(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+)Z.*site_state_changed.*\blab\b.*")


def withdrawals(binary, rounds):
    """Seconds from the site's Down to the WITHDRAW, and from the loss of its carrier."""
    sh("ip", "netns", "add", "customer")
    sh("ip", "link", "add", "lan0", "type", "veth", "peer", "name", "lan", "netns", "customer")
    sh("ip", "link", "set", "lan0", "up")
    sh("ip", "-n", "customer", "address", "add", "172.30.0.2/24", "dev", "lan")
    receiver = Lockgate(binary, SITE)
    result = {"down_s": [], "carrier_s": []}
    with Sender() as sender:
        try:
            sh("ip", "-n", "customer", "link", "set", "lan", "up")
            receiver.start(1)
            sender.ask("open", OWN, [(NEAR, END_OF_RIB)])
            sender.ask("established")
            for _ in range(rounds):
                ups = turns(receiver, "Up")
                sh("ip", "-n", "customer", "link", "set", "lan", "up")
                if not result["down_s"]:
                    wait("the site is up", lambda: turns(receiver, "Up"), patience=60)
                else:
                    wait("the site is up", lambda: len(turns(receiver, "Up")) > len(ups),
                         patience=60)
                time.sleep(random.uniform(1, 3))
                sender.ask("heard")
                downs = turns(receiver, "Down")
                cut = time.monotonic()
                sh("ip", "-n", "customer", "link", "set", "lan", "down")
                wait("the site is down", lambda: len(turns(receiver, "Down")) > len(downs),
                     patience=60)
                heard = []
                wait("a WITHDRAW", lambda: heard.extend(sender.ask("heard")) or heard, patience=60)
                clock = time.time() - time.monotonic()
                down = turns(receiver, "Down")[-1] - clock
                result["down_s"].append(max(heard[0] - down, 0))
                result["carrier_s"].append(heard[0] - cut)
            return result
        finally:
            receiver.stop()
            subprocess.run(("ip", "link", "delete", "lan0"), capture_output=True)
            subprocess.run(("ip", "netns", "delete", "customer"), capture_output=True)


def turns(receiver, state):
    """When the site entered the state, as the log has it: in seconds since the epoch."""
    found = []
    for line in receiver.log().splitlines():
        plain = re.sub(r"\x1b\[[\d;]*m", "", line)
        turned = TURNED.match(plain)
        if turned and re.search(rf"\b(?:to |→ |-> )?{state}\b", plain.rsplit("lab", 1)[-1]):
            moment = datetime.fromisoformat(turned[1][:26]).replace(tzinfo=timezone.utc)
            found.append(moment.timestamp())
    return found
