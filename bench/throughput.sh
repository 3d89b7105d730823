#!/usr/bin/env bash
# Speed of a tunnel, ours and others', side by side on this machine.
#
#   bench/throughput.sh [--rounds N] [--seconds S] [--quick] [--only NAME,NAME] [--no-install]
#
# Two hosts, each behind a gateway, the gateways joined by a veth pair: four
# network namespaces; needs root. Makes bench/out/throughput.{md,json,svg}.
# Nothing is left behind.
set -euo pipefail
cd "$(dirname "$0")/.."

peers=${LOCKGATE_PEERS:-$PWD/target/peers}
install=1
arguments=()
for argument in "$@"; do
  case $argument in
    --no-install) install=0 ;;
    -h | --help) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) arguments+=("$argument") ;;
  esac
done

if [ "$(id -u)" != 0 ]; then
  echo "network namespaces need root" >&2
  exit 2
fi

if [ $install = 1 ]; then
  echo "== installing what is measured (once)"
  tests/packages iperf3 wireguard-tools iproute2 iputils-ping ethtool wireguard-go
  command -v python3 >/dev/null || tests/packages python3
  mkdir -p "$peers/bin"
  [ -x "$peers/bin/boringtun-cli" ] ||
    cargo install --quiet --locked --root "$peers" boringtun-cli --version 0.7.1 ||
    echo "left out: boringtun-cli could not be built"
  [ -x "$peers/bin/gotatun" ] ||
    cargo install --quiet --locked --root "$peers" gotatun-cli --version 0.10.2 ||
    echo "left out: gotatun-cli could not be built"
  if [ ! -x "$peers/bin/wireguard-go" ]; then
    if command -v go >/dev/null; then
      (cd / && GOBIN="$peers/bin" go install golang.zx2c4.com/wireguard@latest) &&
        mv "$peers/bin/wireguard" "$peers/bin/wireguard-go" ||
        echo "left out: the newest wireguard-go could not be built"
    else
      echo "left out: the newest wireguard-go needs Go"
    fi
  fi
fi

echo "== building lockgate"
cargo build --quiet --release --locked --bin lockgate

exec python3 bench/throughput.py --peers "$peers/bin" --binary "$PWD/target/release/lockgate" \
  "${arguments[@]+"${arguments[@]}"}"
