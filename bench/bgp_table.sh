#!/usr/bin/env bash
# The Internet's table through the codec, the import policy and the RIB: time, memory.
#
#   bench/bgp_table.sh [FILE]
#
# FILE has lines `address,length,system`; without, it is the table that the crate
# rotonda-store ships as its test data (BSD-3-Clause), which is fetched once. Makes
# bench/out/bgp_table.md.
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
  -h | --help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 0 ;;
esac
table=${1:-}
if [ -z "$table" ]; then
  beside=target/bgp-table
  mkdir -p $beside/src
  : >$beside/src/lib.rs
  cat >$beside/Cargo.toml <<'TOML'
[package]
name = "bgp-table"
version = "0.0.0"
edition = "2021"
[dependencies]
rotonda-store = "=0.5.0"
[workspace]
TOML
  cargo fetch --quiet --manifest-path $beside/Cargo.toml
  manifest=$(cargo metadata --format-version 1 --manifest-path $beside/Cargo.toml |
    python3 -c 'import json, sys
print(next(one["manifest_path"] for one in json.load(sys.stdin)["packages"]
           if one["name"] == "rotonda-store"))')
  table=$(dirname "$manifest")/data/uniq_pfx_asn_dfz_rnd.csv
fi
mkdir -p bench/out
LOCKGATE_BGP_TABLE=$(realpath "$table") cargo bench --quiet --locked --bench bgp_table |
  tee bench/out/bgp_table.md
