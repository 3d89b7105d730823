#!/usr/bin/env bash
# How long a customer is without the gateway when it is killed and started again.
#
#   bench/restart.sh [ROUNDS]
#
# A customer that dialled in, has no keepalive and notices nothing; a packet each
# 2 ms both ways; kill -9, start, and the time from that start to the first packet
# that arrives after it. By the namespace tests' own stage and the development
# build, with every stock WireGuard installed as the customer's end (`tests/run
# netns` installs them). Needs root. Makes bench/out/restart.md.
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
  -h | --help) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 0 ;;
esac
rounds=${1:-5}
export REQUIRE_NETNS=1 LOCKGATE_PEERS=${LOCKGATE_PEERS:-$PWD/target/peers}
mkdir -p bench/out
for ((round = 1; round <= rounds; round++)); do
  echo "== round $round of $rounds" >&2
  cargo test --quiet --locked --test netns -- --exact --nocapture --test-threads 1 \
    restart::a_customer_that_dialled_in_is_called_at_once
done | python3 bench/restart.py | tee bench/out/restart.md
