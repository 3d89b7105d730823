#!/usr/bin/env bash
# How many tenants one process carries, and how soon a change is in the kernel.
#
#   bench/scale.sh [--tenants N] [--peers M] [--changes C] [--rounds R] [--full]
#
# 100 tenants of 10 WireGuard peers, a minute; --full is 1,000 tenants and 3
# rounds. All in a mount and a network namespace of its own, which end with it;
# needs root, iproute2 and nftables. Makes bench/out/scale.{md,json}.
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
  -h | --help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 0 ;;
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
exec unshare --mount --net --propagation private python3 bench/scale.py --binary "$binary" "$@"
