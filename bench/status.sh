#!/usr/bin/env bash
# What it takes to look at a large gateway: a scrape of 10,000 peers, the same as JSON,
# and a page of 1,000 sites in a browser.
#
#   bench/status.sh [--tenants N] [--asks A] [--opens O] [--no-page]
#
# 1,000 tenants of 10 WireGuard peers, asked 20 times for each; a page of 100 tenants of
# 10 sites, opened 10 times. All in namespaces of its own, which end with it; needs root,
# iproute2, nftables, openssl, wireguard-tools, chromium and chromium-driver.
# Makes bench/out/status.{md,json}.
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
  -h | --help) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 0 ;;
esac
if [ "$(id -u)" != 0 ]; then
  echo "network namespaces need root" >&2
  exit 2
fi
needed=(ip nft unshare python3 openssl wg)
case " $* " in
  *" --no-page "*) ;;
  *) needed+=(chromium chromedriver) ;;
esac
for program in "${needed[@]}"; do
  command -v "$program" >/dev/null || { echo "$program is not installed" >&2; exit 2; }
done

binary=${LOCKGATE:-}
if [ -z "$binary" ]; then
  echo "== building lockgate"
  cargo build --quiet --release --locked --bin lockgate
  binary=$PWD/target/release/lockgate
fi
export PYTHONDONTWRITEBYTECODE=1
exec unshare --mount --net --pid --fork --kill-child --mount-proc --propagation private \
  python3 bench/status.py --binary "$binary" "$@"
