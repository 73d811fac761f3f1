#!/usr/bin/env bash
# Fuzzes what reads files of others, each target for FUZZ_SECONDS seconds (60): VM descriptions, bundles,
# kernels and device trees. What makes a reader fail is kept below build/fuzz, and its name is
# printed. Needs a nightly compiler and cargo-fuzz, which nothing else here needs: so they are not
# installed without being asked for. There is no `unsafe` in these readers, so no sanitizer, which
# makes it several times as fast.
# usage: fuzz.sh [TARGET...]
. "$(dirname "$0")/lib.sh"
: "${FUZZ_SECONDS:=60}"
out=$PWD/build/fuzz

# Kernels to begin with: what is built already, behind the bytes that choose addresses.
kernels() {
    local file
    for file in build/guests/*/bios.elf build/guests/*/hello.bin build/*/bare/axhv.bin; do
        [ -f "$file" ] || continue
        { head -c 40 /dev/zero; head -c 16384 "$file"; } > "$1/${file//\//-}"
        { head -c 40 /dev/zero; head -c 16384 "$file" | gzip; } > "$1/${file//\//-}.gz"
    done
}

trees() {
    local file
    for file in crates/axmachine/tests/dts/*.dts; do
        dtc -q -I dts -O dtb -o "$1/$(basename "$file" .dts)" "$file"
    done
}

cargo +nightly fuzz --version >/dev/null 2>&1 ||
    die 3 "fuzzing needs: rustup toolchain install nightly && cargo install --locked cargo-fuzz"
[ $# -gt 0 ] || set -- description bundle kernel tree
for target in "$@"; do
    say "fuzzing: $target, for $FUZZ_SECONDS s"
    mkdir -p "$out/$target"
    options=(-max_total_time="$FUZZ_SECONDS" -max_len=40000 -rss_limit_mb=1024 -timeout=10
        -artifact_prefix="$out/$target-" -print_final_stats=1)
    made=$out/seeds-$target
    mkdir -p "$made"
    seeds=("$made")
    case $target in
    description)
        options+=(-dict=fuzz/description.dict)
        seeds+=("$PWD/configs/vms" "$PWD/crates/axvmconfig/tests/mistakes") ;;
    kernel) kernels "$made" ;;
    tree) trees "$made" ;;
    esac
    cargo +nightly fuzz run --sanitizer none --fuzz-dir fuzz --target-dir "$out/target" "$target" \
        "$out/$target" "${seeds[@]}" -- "${options[@]}"
done
