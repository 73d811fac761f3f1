#!/usr/bin/env bash
# Fuzzes what reads VM descriptions and bundles, each for FUZZ_SECONDS seconds (60). What makes a reader
# fail is kept below build/fuzz, and its name is printed. Needs a nightly compiler and cargo-fuzz,
# which nothing else here needs: so they are not installed without being asked for. There is no
# `unsafe` in these readers, so no sanitizer, which makes it several times as fast.
# usage: fuzz.sh [TARGET...]
. "$(dirname "$0")/lib.sh"
: "${FUZZ_SECONDS:=60}"
fuzz=crates/axvmconfig/fuzz
out=$PWD/build/fuzz

cargo +nightly fuzz --version >/dev/null 2>&1 ||
    die 3 "fuzzing needs: rustup toolchain install nightly && cargo install --locked cargo-fuzz"
[ $# -gt 0 ] || set -- description bundle
for target in "$@"; do
    say "fuzzing: $target, for $FUZZ_SECONDS s"
    mkdir -p "$out/$target"
    options=(-max_total_time="$FUZZ_SECONDS" -max_len=40000 -rss_limit_mb=1024 -timeout=10
        -artifact_prefix="$out/$target-" -print_final_stats=1)
    seeds=()
    if [ "$target" = description ]; then
        options+=(-dict="$fuzz/description.dict")
        seeds=("$PWD/configs/vms" "$PWD/crates/axvmconfig/tests/mistakes")
    fi
    cargo +nightly fuzz run --sanitizer none --fuzz-dir "$fuzz" --target-dir "$out/target" "$target" \
        "$out/$target" "${seeds[@]}" -- "${options[@]}"
done
