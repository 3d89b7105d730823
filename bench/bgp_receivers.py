"""Who hears the routes in bgp.py: lockgate, BIRD 2, FRR and GoBGP, each in a
namespace of its own with a link to the sender, all asked for the same: whoever
dials in out of a range is a neighbor, and what it says goes into the table."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from scale_kernel import inside, wait
from scale_sites import sh

# The sender's link, and its addresses: this one, and as many more as there are sessions.
LINK, NEAR, OWN = "apps-bench", "172.20.0.1", "172.20.0.2"
RANGE = "172.20.0.0/16"
OWN_ASN, ASN = 64_600, 65_001
CLK_TCK = os.sysconf("SC_CLK_TCK")
SPACE = "receiver"


class Table:
    """The main table of a namespace: how many networks it has, at the cost of a walk
    in the kernel and without a list."""

    def __init__(self, netns):
        path = "/proc/thread-self/net/fib_triestat"
        self.file = inside(netns, lambda: os.open(path, os.O_RDONLY))

    def size(self):
        main = False
        for line in os.pread(self.file, 1 << 16, 0).decode().splitlines():
            if not line.startswith("\t") and line.endswith(":"):
                main = line in ("Main:", "Id 254:")
            elif main and line.startswith("\tPrefixes:"):
                return int(line.split()[1])
        return 0

    def close(self):
        os.close(self.file)


class Receiver:
    """One of them; `networks` is what it may be told in all."""

    name, netns, has_table = "", SPACE, True

    def __init__(self):
        self.home = Path(tempfile.mkdtemp(prefix="lockgate-bgp-", dir="/var/tmp"))
        self.processes = []
        self.table = None

    def start(self, sessions):
        """Starts it and gives the sender its end of the link."""
        self.build()
        self.run(sessions)
        self.address(sessions)
        self.table = Table(self.netns)

    def build(self):
        sh("ip", "netns", "add", SPACE)
        sh("ip", "link", "add", LINK, "type", "veth", "peer", "name", "fabric", "netns", SPACE)
        sh("ip", "-n", SPACE, "address", "add", f"{OWN}/16", "dev", "fabric")
        for link in ("lo", "fabric"):
            sh("ip", "-n", SPACE, "link", "set", link, "up")

    def address(self, sessions):
        sh("ip", "link", "set", LINK, "up")
        lines = (f"address add {local}/16 dev {LINK}\n" for local in addresses(sessions))
        sh("ip", "-batch", "-", stdin="".join(lines))

    def spawn(self, *command, space=True):
        inside_it = ("ip", "netns", "exec", SPACE) if space else ()
        log = open(self.home / "log", "ab")
        process = subprocess.Popen((*inside_it, *command), stdin=subprocess.DEVNULL, stdout=log,
                                   stderr=log)
        self.processes.append(process)
        return process

    def size(self):
        """Networks it has taken up: in the kernel's table where it has that."""
        return self.table.size()

    def cpu(self):
        """Seconds of all cores so far."""
        total = 0
        for process in self.processes:
            fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += sum(int(field) for field in fields[11:15])
        return total / CLK_TCK

    def memory(self, field):
        """Kilobytes of all its processes."""
        total = 0
        for process in self.processes:
            for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
                if line.startswith(field + ":"):
                    total += int(line.split()[1])
        return total

    def stop(self):
        if self.table:
            self.table.close()
            self.table = None
        for process in self.processes:
            process.send_signal(signal.SIGKILL)
            process.wait()
        self.processes = []
        self.leave()
        shutil.rmtree(self.home, ignore_errors=True)

    def leave(self):
        subprocess.run(("ip", "link", "delete", LINK), capture_output=True)
        subprocess.run(("ip", "netns", "delete", self.netns), capture_output=True)


def addresses(sessions):
    """Those of the sender: the first for one session, others for more."""
    return [NEAR, *(f"172.20.{1 + n // 250}.{1 + n % 250}" for n in range(sessions - 1))]


class Lockgate(Receiver):
    """Ours: one tenant, and where it is asked for a site on a VLAN."""

    name, netns = "lockgate", "lockgate.bench.gw"

    def __init__(self, binary, site=""):
        super().__init__()
        self.binary, self.site = binary, site

    def build(self):
        pass

    def run(self, sessions):
        documents = self.home / "documents"
        documents.mkdir()
        (documents / "bench.yaml").write_text(f"""apiVersion: lockgate.dev/v1alpha1
kind: TenantGateway
metadata: {{name: gw, namespace: bench}}
spec:
  appPrefixes: [11.0.0.0/8]
  fabric:
    veth: {{peer: {LINK}, addresses: [{OWN}/16]}}
    bgp:
      localASN: {OWN_ASN}
      routerID: {OWN}
      neighbors: [{{name: nodes, range: {RANGE}, remoteASN: {ASN}, maximum: {sessions}}}]
      import: {{prefixes: [{{cidr: 11.0.0.0/8, ge: 24, le: 32}}], maximumPrefixes: 1000000}}
""" + self.site)
        self.spawn(self.binary, "--runtime-dir", "/run/lockgate", "--state-dir",
                   self.home / "state", "run", "-f", documents, "--no-status", space=False)
        wait("the tenant's fabric link is there", lambda: os.path.exists(f"/sys/class/net/{LINK}")
             or LINK in Path("/proc/self/net/dev").read_text(), patience=60)

    def log(self):
        return (self.home / "log").read_text()

    def leave(self):
        super().leave()
        shutil.rmtree("/run/lockgate", ignore_errors=True)


class Bird(Receiver):
    """BIRD 2."""

    name = "BIRD 2"

    def run(self, sessions):
        (self.home / "conf").write_text(f"""log "{self.home}/bird.log" {{ warning, error, fatal, bug }};
router id {OWN};
protocol device {{}}
protocol kernel {{ ipv4 {{ import none; export all; }}; }}
protocol bgp nodes {{
  local {OWN} as {OWN_ASN};
  neighbor range {RANGE} as {ASN};
  dynamic name "node";
  ipv4 {{ import all; export none; }};
}}
""")
        self.spawn("bird", "-f", "-c", self.home / "conf", "-s", self.home / "ctl")


class Frr(Receiver):
    """FRR: bgpd, and zebra for the kernel."""

    name = "FRR"
    directory = Path("/usr/lib/frr")

    def run(self, sessions):
        user = pwd.getpwnam("frr")
        os.chown(self.home, user.pw_uid, user.pw_gid)
        os.chmod(self.home, 0o755)
        (self.home / "zebra").write_text("")
        (self.home / "bgpd").write_text(f"""router bgp {OWN_ASN}
 bgp router-id {OWN}
 no bgp ebgp-requires-policy
 bgp listen limit {max(sessions, 100)}
 neighbor nodes peer-group
 neighbor nodes remote-as {ASN}
 bgp listen range {RANGE} peer-group nodes
""")
        zserv = self.home / "zserv"
        for name in ("zebra", "bgpd"):
            self.spawn(self.directory / name, "-f", self.home / name, "-i", self.home / f"{name}.pid",
                       "--vty_socket", self.home, "-z", zserv, "-P", "0")
            if name == "zebra":
                wait("zebra answers", zserv.exists, patience=30)


class GoBgp(Receiver):
    """GoBGP, which puts nothing into the kernel by itself: how many it holds is asked."""

    name, has_table = "GoBGP (no kernel table)", False

    def run(self, sessions):
        (self.home / "conf").write_text(f"""[global.config]
as = {OWN_ASN}
router-id = "{OWN}"
[[peer-groups]]
[peer-groups.config]
peer-group-name = "nodes"
peer-as = {ASN}
[[peer-groups.afi-safis]]
[peer-groups.afi-safis.config]
afi-safi-name = "ipv4-unicast"
[[dynamic-neighbors]]
[dynamic-neighbors.config]
prefix = "{RANGE}"
peer-group = "nodes"
""")
        self.spawn("gobgpd", "-f", self.home / "conf", "--pprof-disable", "-p")

    def size(self):
        said = subprocess.run(("ip", "netns", "exec", SPACE, "gobgp", "global", "rib", "summary"),
                              capture_output=True, text=True).stdout
        for word, number in zip(said.split(), said.split()[1:]):
            if word == "Destination:":
                return int(number.rstrip(","))
        return 0
