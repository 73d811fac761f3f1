#!/usr/bin/env bash
# Removes what was built. What was fetched goes too: the next run fetches it again.
. "$(dirname "$0")/lib.sh"
say "removing build and $TARGET_DIR"
rm -rf build
cargo clean --quiet
