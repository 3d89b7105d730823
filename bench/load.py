"""The load between the two hosts of tunnels.py, and what becomes of it."""

import json
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

from tunnels import HOST, HOSTS, run

UDP_PORT = 7000


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


def udp(contender, seconds, size, kpps=0, back=False):
    """UDP at a rate, 0 for a flood: datagrams that arrive, and their cost. `back`:
    from the second host to the first."""
    sender, listener = reversed(HOSTS) if back else HOSTS
    target = HOST[0] if back else contender.target
    load = str(Path(__file__).with_name("udp_load.py"))
    receiver = subprocess.Popen(
        ["ip", "netns", "exec", listener, sys.executable, load, "receive", target, str(UDP_PORT)],
        stdout=subprocess.PIPE, text=True)
    try:
        receiver.stdout.readline()
        before = contender.cpu()
        sent = json.loads(run(sys.executable, load, "send", target, str(UDP_PORT),
                              str(size), str(kpps * 1e3), str(seconds), ns=sender,
                              timeout=seconds + 60))
        received = json.loads(receiver.communicate(timeout=90)[0])["received"]
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
    """The most datagrams a second of which at most 0.1 % are lost, sought by halves
    below what comes through of a flood."""
    low, high = 0.4, 1.0
    best = {"kpps": 0.0, "loss": 1.0}
    for _ in range(6):
        part = (low + high) / 2
        result = udp(contender, seconds, size, part * flood_kpps)
        if result["loss"] <= 0.001:
            low = part
            best = max(best, {"kpps": result["kpps"], "loss": result["loss"]},
                       key=lambda one: one["kpps"])
        else:
            high = part
    return best


def round_trips(output):
    return [float(text) for text in re.findall(r"time=([\d.]+)", output)]


def percentile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(part * len(values)))]
