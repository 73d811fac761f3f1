#!/usr/bin/env bash
# Lines of our code in the image, by crate: without blank lines, comments and tests. What is
# counted is what the bare-metal build of the hypervisor compiles, by the compiler's own list.
. "$(dirname "$0")/lib.sh"
cargo build --release --locked --quiet --package axhv --target "$TRIPLE"

deps=$TARGET_DIR/$TRIPLE/release/deps
crates=$(cargo tree --locked --package axhv --target "$TRIPLE" --edges normal --prefix none \
    --format '{p}' | awk -v here="$PWD" 'index($0, "(" here) { print $1 }' | sort -u)
for crate in $crates; do
    # The newest dependency file of that crate names every source file read for it.
    d=$(ls -t "$deps/$crate"-*.d "$deps/lib$crate"-*.d 2>/dev/null | head -n 1 || true)
    [ -n "$d" ] || continue
    sed -n 's/^[^ ]*: //p' "$d" | tr ' ' '\n' | grep -E '\.(rs|S)$' | grep -v '/out/' | sort -u |
        grep -vE '(^|/)tests?(/|\.rs$)' | while read -r f; do printf '%s %s\n' "$crate" "$f"; done
done | awk '
    { crate = $1; file = $2; block = 0; n = 0
      while ((getline line < file) > 0) {
          sub(/^[ \t]+/, "", line)
          if (line ~ /^#\[cfg\(test\)\]/) { getline line < file; if (line !~ /;[ \t]*$/) break; continue }
          if (block) { if (line ~ /\*\//) block = 0; continue }
          if (line ~ /^\/\*/) { if (line !~ /\*\//) block = 1; continue }
          if (line == "" || line ~ /^\/\//) continue
          n++
      }
      close(file); lines[crate] += n; files[crate]++; total += n; nfiles++ }
    END { for (c in lines) printf "%-16s %6d lines %4d files\n", c, lines[c], files[c]
          printf "%-16s %6d lines %4d files\n", "total", total, nfiles }' | sort -k2,2n
