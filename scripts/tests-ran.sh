#!/usr/bin/env bash
# Checks that every test that docs/tests.md names ran and passed, by the output of the tests and the
# consoles of the test guest.
# usage: tests-ran.sh LOG...
. "$(dirname "$0")/lib.sh"

passed=$(sed -n 's/^test \([^ ]*\) *\.\.\. ok$/\1/p' "$@"
    cat build/tests/testguest-*/console.log 2>/dev/null | tr -d '\r' | sed -n 's/^PASS //p')
# Names stand between backticks in the last column of the tables.
named=$(sed -n 's/^|.*|\([^|]*\)|$/\1/p' docs/tests.md | grep -o '`[^`]*`' | tr -d '`' | sort -u)
[ -n "$named" ] || die 1 "docs/tests.md names no test"

missing=$(comm -23 <(echo "$named") <(echo "$passed" | sort -u))
[ -z "$missing" ] || die 1 "docs/tests.md names tests that did not run, or did not pass:" $missing
say "all $(echo "$named" | wc -l) tests that docs/tests.md names passed"
