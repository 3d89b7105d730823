#!/usr/bin/env bash
# How soon what BGP neighbors say is in the kernel, beside BIRD 2, FRR and GoBGP.
#
#   bench/bgp.sh [--rounds N] [--routes N] [--sessions N] [--each N] [--dials N]
#                [--changes N] [--downs N] [--tenants N] [--only lockgate,bird,frr,gobgp]
#                [--parts table,sessions,withdraw,tenants] [--no-install]
#
# 100,000 routes of one session, then one change after another beside them; 1,000
# sessions of 100 routes, 8 of them dialed at a time (BIRD listens with a backlog of 8,
# and whom the kernel turns away for that tries again after seconds); a site that goes
# down and what the neighbor hears; 1,000 tenants with a session of 100 routes each, of
# lockgate alone. One sender with the same words for every receiver. All in a mount and
# a network namespace of its own, which end with it; needs root. Makes
# bench/out/bgp.{md,json}.
set -euo pipefail
cd "$(dirname "$0")/.."

install=1
arguments=()
for argument in "$@"; do
  case $argument in
    --no-install) install=0 ;;
    -h | --help) sed -n '2,14s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) arguments+=("$argument") ;;
  esac
done
if [ "$(id -u)" != 0 ]; then
  echo "network namespaces need root" >&2
  exit 2
fi
if [ $install = 1 ]; then
  tests/packages bird2 frr gobgpd iproute2 nftables python3
fi

binary=${LOCKGATE:-}
if [ -z "$binary" ]; then
  echo "== building lockgate"
  cargo build --quiet --release --locked --bin lockgate
  binary=$PWD/target/release/lockgate
fi
# Where it came from, for settings that the machine has there alone.
exec 9</proc/self/ns/net
exec unshare --mount --net --propagation private python3 bench/bgp.py --binary "$binary" \
  "${arguments[@]+"${arguments[@]}"}"
