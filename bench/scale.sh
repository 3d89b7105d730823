#!/usr/bin/env bash
# How many tenants one process carries, and how soon a change is in the kernel.
#
#   bench/scale.sh [--tenants N] [--sites M] [--changes C] [--rounds R] [--full] [--vlan]
#
# 100 tenants of 10 WireGuard peers, a minute; --full is 1,000 tenants and 3
# rounds. All in a mount and a network namespace of its own, which end with it;
# needs root, iproute2 and nftables. Makes bench/out/scale.{md,json}.
#
# --vlan: 10 VLANs of four trunks for each tenant instead, in the virtual machine
# of `tests/run vm`, which ends after an hour of emulated time. Makes
# bench/out/scale_vlan.{md,json}.
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
  -h | --help) sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 0 ;;
esac
if [ "$(id -u)" != 0 ]; then
  echo "network namespaces need root" >&2
  exit 2
fi
case " $* " in
  *" --vlan "*)
    . bench/in_vm.sh
    in_vm scale.py "$@"
    exit
    ;;
esac
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
