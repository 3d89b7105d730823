"""The gateway that scale.py measures: a process, its status, what it takes."""

import http.client
import json
import os
import resource
import socket
import subprocess
import time
from pathlib import Path

from scale_kernel import PATIENCE

CLK_TCK = os.sysconf("SC_CLK_TCK")
HARD = resource.getrlimit(resource.RLIMIT_NOFILE)[1]


class Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Gateway:
    """A running process."""

    def __init__(self, binary, documents, state, log, options=("--no-status",)):
        self.log = open(log, "ab")
        # The namespace of each tenant, once it is programmed.
        self.netns = {}
        self.begun = time.monotonic()
        self.process = subprocess.Popen(
            (binary, "--runtime-dir", "/run/lockgate", "--state-dir", state, "run", "-f", documents,
             *options),
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            # Half of what is usual: it is the gateway's to ask for more.
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1024, HARD)))

    def status(self):
        connection = Unix("/run/lockgate/lockgate.sock")
        try:
            connection.request("GET", "/api/v1/status")
            answer = connection.getresponse()
            return json.loads(answer.read()) if answer.status == 200 else None
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def wait_programmed(self, tenants):
        """Seconds from the start until every tenant was Programmed."""
        while True:
            asked = time.monotonic()
            if self.process.poll() is not None:
                raise RuntimeError(f"lockgate ended with {self.process.returncode}")
            status = self.status()
            answered = time.monotonic()
            if status is not None and is_programmed(status, tenants):
                for tenant in status["tenants"]:
                    self.netns[tenant["name"].split("/")[0]] = tenant["netns"]
                return asked - self.begun
            if answered - self.begun > PATIENCE:
                raise RuntimeError("not all tenants were programmed in time")
            # Asking costs the gateway time, too.
            time.sleep(max(0.1, 5 * (answered - asked)))

    def wait_up(self):
        """Seconds from the start until every site was Up."""
        while True:
            asked = time.monotonic()
            status = self.status()
            answered = time.monotonic()
            if status is not None and all(
                    site["state"] == "Up"
                    for tenant in status["tenants"] for site in tenant["sites"]):
                return asked - self.begun
            if answered - self.begun > PATIENCE:
                raise RuntimeError("not all sites were up in time")
            time.sleep(max(0.1, 5 * (answered - asked)))

    def cpu(self):
        """Seconds of all cores so far, ended children (nft) included."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return sum(int(field) for field in fields[11:15]) / CLK_TCK

    def memory(self, field):
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1])
        return 0

    def count(self, what):
        return len(os.listdir(f"/proc/{self.process.pid}/{what}"))

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.log.close()


def is_programmed(status, tenants):
    config = status["config"]
    return (
        config["loadedGeneration"] == config["appliedGeneration"] != 0
        and len(status["tenants"]) == tenants
        and all(
            any(one["type"] == "Programmed" and one["status"] == "True"
                for one in tenant["conditions"])
            for tenant in status["tenants"]))
