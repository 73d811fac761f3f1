#!/usr/bin/env bash
# Checks that every test that docs/tests.md names ran and passed, by the output of the tests and the
# consoles of the test guest: on each architecture, unless its heading names one.
# usage: tests-ran.sh LOG...
. "$(dirname "$0")/lib.sh"
readonly LOGS=("$@")

# Names stand between backticks in the last column of the tables.
named() {
    awk -v arch="$1" '/^#/ { of = $NF; own = of != "aarch64" && of != "riscv64" || of == arch }
        own' docs/tests.md |
        sed -n 's/^|.*|\([^|]*\)|$/\1/p' | grep -o '`[^`]*`' | tr -d '`' | sort -u
}

# On the host, or on the architecture.
passed() {
    sed -nE "s/^test (\[$1\] )?([^ []*) *\.\.\. ok\$/\2/p" "${LOGS[@]}"
    cat "build/tests/$1"-testguest-*/console.log 2>/dev/null | tr -d '\r' | sed -n 's/^PASS //p'
}

check() {
    local named missing
    named=$(named "$ARCH")
    [ -n "$named" ] || die 1 "docs/tests.md names no test"
    missing=$(comm -23 <(echo "$named") <(passed "$ARCH" | sort -u) | tr '\n' ' ')
    [ -z "$missing" ] ||
        die 1 "docs/tests.md names tests that did not run, or did not pass, for $ARCH: $missing"
    say "all $(echo "$named" | wc -l) tests that docs/tests.md names for $ARCH passed"
}

if [ -z "$ASKED" ]; then for_each_arch scripts/tests-ran.sh "$@"; else check; fi
