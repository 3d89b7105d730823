"""The measuring part of scale.sh, which explains it and calls it in namespaces
of its own.

What counts as programmed is told by the kernel: a socket in the tenant's
namespace hears of the new route, the name of a namespace goes, the far end of
a veth pair goes with it. Only the cold start is read from the gateway's status,
and then compared with what the kernel holds.
"""

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from scale_gateway import Gateway
from scale_kernel import (
    PATIENCE, has_link, inside, kernel_memory, links, route_listener, wait, wait_for_route)
from scale_sites import Vlan, WireGuard, enter_box

OUT = Path(__file__).parent / "out"


def check_kernel(gateway, arguments):
    """Fails unless some tenants are in the kernel as the documents ask."""
    for tenant in random.sample(range(arguments.tenants), min(20, arguments.tenants)):
        name = gateway.netns[f"t{tenant}"]
        routes = subprocess.run(("ip", "-n", name, "-4", "route"), capture_output=True, text=True)
        rules = subprocess.run(("ip", "netns", "exec", name, "nft", "list", "ruleset"),
                               capture_output=True, text=True)
        there = routes.stdout.count("192.168.")
        if there != arguments.sites or "policy drop" not in rules.stdout:
            raise RuntimeError(f"{name} is not as asked for: {there} routes")


def replace(path, text, beside):
    beside.write_text(text)
    os.replace(beside, path)


def one_round(arguments, sites):
    result = {}
    work = Path(tempfile.mkdtemp(prefix="lockgate-scale-", dir="/var/tmp"))
    documents = work / "documents"
    documents.mkdir()
    state = work / "state"
    log = OUT / f"{sites.name}.log"
    log.unlink(missing_ok=True)
    for tenant in range(arguments.tenants):
        (documents / f"t{tenant}.yaml").write_text(sites.document(tenant))
    kernel_before = kernel_memory()
    gateway = Gateway(arguments.binary, documents, state, log)
    try:
        say("cold start")
        result["cold_start_s"] = gateway.wait_programmed(arguments.tenants)
        result["cold_start_cpu_s"] = gateway.cpu()
        check_kernel(gateway, arguments)
        say(f"  {result['cold_start_s']:.1f} s")
        if sites.answered:
            result["all_up_s"] = gateway.wait_up()
            say(f"  every site Up after {result['all_up_s']:.1f} s")
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
            listener = inside(gateway.netns[f"t{tenant}"], route_listener)
            changed = time.monotonic()
            replace(documents / f"t{tenant}.yaml",
                    sites.document(tenant, f"{network}/24"), work / "beside")
            times.append(wait_for_route(listener, network, changed + PATIENCE) - changed)
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
        name = "/run/netns/" + gateway.netns[f"t{tenant}"]
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
        left = set(os.listdir("/run/netns")) - sites.names
        if left:
            raise RuntimeError(f"{len(left)} namespaces were left behind")
        gone = wait("the veth pairs go", lambda: links() == sites.links, pause=0.02)
        result["delete_all_gone_s"] = gone - begun
    finally:
        gateway.kill()
        shutil.rmtree(work, ignore_errors=True)
        for name in set(os.listdir("/run/netns")) - sites.names:
            subprocess.run(("ip", "netns", "delete", name), capture_output=True)
        wait("the kernel cleans up", lambda: links() <= sites.links, pause=0.05)
    return result


def quantile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(q * len(values)))]


def say(text):
    print(f"   {text}", flush=True)


def table(arguments, sites, rounds):
    n = arguments.tenants

    def row(label, field, form, scale=1):
        values = [one[field] * scale for one in rounds]
        spread = ""
        if len(values) > 1:
            spread = f"{form.format(min(values))} – {form.format(max(values))}"
        return f"| {label} | {form.format(statistics.median(values))} | {spread} |"

    changes = [value for one in rounds for value in one["change_s"]]
    lines = [
        f"{n} tenants × {sites.each} {sites.label}, {len(rounds)} rounds, {os.cpu_count()} cores, "
        f"Linux {os.uname().release}.",
        "",
        "| | median | range |",
        "|---|---|---|",
        row("cold start, s", "cold_start_s", "{:.1f}"),
        row("— CPU-seconds of it, `nft` included", "cold_start_cpu_s", "{:.1f}"),
        *([row("— until every site is Up, s", "all_up_s", "{:.1f}")] if sites.answered else []),
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
    parser.add_argument("--peers", "--sites", dest="sites", type=int, default=10)
    parser.add_argument("--vlan", action="store_true")
    parser.add_argument("--changes", type=int, default=100)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--full", action="store_true")
    arguments = parser.parse_args()
    arguments.tenants = arguments.tenants or (1000 if arguments.full else 100)
    arguments.rounds = arguments.rounds or (3 if arguments.full else 1)
    if not (1 <= arguments.tenants <= 2000 and 1 <= arguments.sites <= 128
            and 1 <= arguments.changes <= 2000 and 1 <= arguments.rounds <= 20):
        parser.error("at most 2000 tenants, 128 sites, 2000 changes and 20 rounds")
    sites = (Vlan if arguments.vlan else WireGuard)(arguments.sites)
    if arguments.vlan and arguments.tenants * arguments.sites > 4000 * Vlan.trunks:
        parser.error(f"at most {4000 * Vlan.trunks} VLANs")
    # To end in an orderly way is to clean up.
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    OUT.mkdir(exist_ok=True)
    random.seed(1)
    enter_box()
    sites.enter_box(arguments.tenants)
    rounds = []
    for number in range(arguments.rounds):
        print(f"== round {number + 1} of {arguments.rounds}", flush=True)
        rounds.append(one_round(arguments, sites))
    text = table(arguments, sites, rounds)
    (OUT / f"{sites.name}.md").write_text(text)
    fields = {"tenants": arguments.tenants, "sites": arguments.sites, "rounds": rounds}
    (OUT / f"{sites.name}.json").write_text(json.dumps(fields, indent=1) + "\n")
    print(text)


if __name__ == "__main__":
    main()
