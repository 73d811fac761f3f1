#!/usr/bin/env bash
# Says which functions the backtraces in a console log went through. Silent if there are none.
# usage: symbolize.sh ELF LOG
. "$(dirname "$0")/lib.sh"
grep -aqE '^ *#[0-9]+ +0x' "$2" || exit 0
say "the backtrace above, with names"
cargo run --locked --quiet --package axhv-tests --bin symbolize -- "$1" "$2"
