#!/usr/bin/env bash
# What probes cost: processor and memory of a gateway with and without them.
#
#   bench/probes.sh [--tenants N] [--probes P] [--interval S] [--seconds T]
#
# 100 tenants, each with a site on a link of its own and 10 probes of it (ping and TCP
# by turns) every 30 s: 1,000 probes. Measured without any, with them, and with all of
# them every second. All in a mount and a network namespace of its own, which end with
# it; needs root, iproute2 and nftables. Makes bench/out/probes.{md,json}. LOCKGATE
# names a binary to measure; without it the release build is.
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
  -h | --help) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 0 ;;
esac
if [ "$(id -u)" != 0 ]; then
  echo "network namespaces need root" >&2
  exit 2
fi
for program in ip nft unshare python3; do
  command -v "$program" >/dev/null || { echo "$program is not installed" >&2; exit 2; }
done

binary=${LOCKGATE:-}
if [ -z "$binary" ]; then
  echo "== building lockgate"
  cargo build --quiet --release --bin lockgate
  binary=$PWD/target/release/lockgate
fi
exec unshare --mount --net --propagation private python3 bench/probes.py --binary "$binary" "$@"
