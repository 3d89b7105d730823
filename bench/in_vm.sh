# Benchmarks in the virtual machine of `tests/run vm`; to be sourced.

# Builds lockgate unless $LOCKGATE is one, boots the machine, and runs a program
# of bench/ there, which may write to bench/out.
#
#   in_vm PROGRAM [ARGUMENT …]
in_vm() {
  local machine binary=${LOCKGATE:-}
  machine=$(tests/vm/machine)
  mapfile -t machine <<<"$machine"
  if [ -z "$binary" ]; then
    echo "== building lockgate"
    cargo build --quiet --release --locked --bin lockgate
    binary=$PWD/target/release/lockgate
  fi
  mkdir -p bench/out
  VM_WRITABLE=$PWD/bench/out VM_BOUND=3600 \
    VM_CPU=max tests/vm/boot "${machine[@]}" bench/guest "$binary" "$@"
}
