"""What the kernel tells of routes, links and memory, and how long it takes to."""

import ctypes
import os
import socket
import struct
import time

# In seconds; an emulated machine beside others takes that long.
PATIENCE = 1200
CLONE_NEWNET = 0x40000000
RTMGRP_IPV4_ROUTE = 0x40
RTM_NEWROUTE = 24
RTA_DST = 1
libc = ctypes.CDLL(None, use_errno=True)


def inside(netns, work):
    """Does `work` in a namespace, by its name or a path; what it opens stays there."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(os.path.join("/run/netns", netns), os.O_RDONLY)
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


def route_listener():
    listener = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    listener.bind((0, RTMGRP_IPV4_ROUTE))
    return listener


def wait_for_route(listener, network, until, told=RTM_NEWROUTE):
    """When the kernel told of a new route to `network`, or that it is gone."""
    wanted = socket.inet_aton(network)
    while True:
        listener.settimeout(max(until - time.monotonic(), 0.001))
        datagram = listener.recv(1 << 16)
        heard = time.monotonic()
        at = 0
        while at + 16 <= len(datagram):
            length, kind = struct.unpack_from("=IH", datagram, at)
            attribute = at + 16 + 12
            while kind == told and attribute + 4 <= at + length:
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


def has_link(name):
    try:
        return socket.if_nametoindex(name) != 0
    except OSError:
        return False


# What a tunnels' module puts into every namespace, where one is loaded.
OF_EVERY_NAMESPACE = ("tunl0:", "sit0:")


def links():
    with open("/proc/self/net/dev") as lines:
        names = [line.split()[0] for line in lines][2:]
    return sum(1 for name in names if name not in OF_EVERY_NAMESPACE)
