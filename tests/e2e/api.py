"""The API of a running gateway against its own description, by schemathesis.

    api.py BINARY SCHEMATHESIS
"""

import subprocess
import sys
from pathlib import Path

from lab import URL, Lab

with Lab(sys.argv[1]) as lab:
    lab.wait_up(2)
    ended = subprocess.run(
        [sys.argv[2], "run", f"{URL}/openapi.json", "--checks", "all",
         # No schema can say what a network is: host bits, lengths.
         "--exclude-checks", "positive_data_acceptance", "--max-examples", "60",
         "--seed", "1", "--no-color", "--request-timeout", "5", "--workers", "1",
         # A stream has no end; tests/it/http/live.rs reads it.
         "--exclude-operation-id", "events"],
        # What it remembers of failures it leaves where it runs.
        cwd=Path(sys.argv[2]).parents[2])
sys.exit(ended.returncode)
