"""The lines of restart.sh's rounds, as a table."""

import re
import statistics
import sys

LINE = re.compile(r"(\w+) (to|from) the site: (\S+) after the kill, (\S+) after the start")


def milliseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(µs|ms|s)", text).groups()
    return float(number) * {"µs": 0.001, "ms": 1, "s": 1000}[unit]


times = {}
for line in sys.stdin:
    found = LINE.search(line)
    if found:
        engine, way, _, since_start = found.groups()
        times.setdefault((engine, way), []).append(milliseconds(since_start))
if not times:
    sys.exit("no round was measured")
print("| the customer's end | first packet to the site, ms | from the site, ms |")
print("|---|---|---|")
for engine in sorted({engine for engine, _ in times}):
    cells = []
    for way in ("to", "from"):
        of_way = times[engine, way]
        median = statistics.median(of_way)
        cells.append(f"**{median:.0f}** ({min(of_way):.0f}–{max(of_way):.0f})")
    print(f"| {engine} | " + " | ".join(cells) + " |")
rounds = max(map(len, times.values()))
print(f"\nMedians of {rounds} rounds (minimum–maximum), from the start of the new process.")
