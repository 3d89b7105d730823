#!/usr/bin/env bash
# The kernel's WireGuard under the gateway, compared with the gateway's own.
#
#   bench/vm.sh [--rounds N] [--seconds S]
#
# In the virtual machine of `tests/run vm`, whose kernel has WireGuard: two hosts,
# a gateway and the customer's router between them. Emulated, so nothing but
# ratios is shown. Needs root; some minutes, at most an hour. Makes
# bench/out/vm.{md,json}.
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
  -h | --help) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
esac
. bench/in_vm.sh
in_vm vm.py "$@"
