#!/usr/bin/env bash
# The size of the image without a bundle: by section, and code and read-only data by crate.
. "$(dirname "$0")/lib.sh"
VMS='' scripts/image.sh "$BUILD/bare"
elf=$BUILD/bare/axhv.elf

echo "section                size"
llvm llvm-readobj --sections --elf-output-style=GNU "$elf" |
    sed -n 's/^ *\[ *[0-9]*\] //p' |
    while read -r name _ _ _ size _ flags _; do
        [[ $flags == *A* ]] && printf '%-16s %10d\n' "$name" $((16#$size))
    done || true

echo
echo "crate                  code    data"
# Symbols by the crate their path starts with; what belongs to none is the compiler's and asm.
llvm llvm-nm --demangle --print-size --radix=d "$elf" |
    awk 'NF >= 4 {
             crate = $4
             for (i = 5; i <= NF; i++) crate = crate " " $i
             if (match(crate, /^[<& *]*(dyn |mut |const )*/)) crate = substr(crate, RLENGTH + 1)
             if (match(crate, /^[a-z0-9_]+::/)) crate = substr(crate, 1, RLENGTH - 2)
             else crate = "(asm, compiler)"
             if ($3 ~ /[tTwW]/) code[crate] += $2; else if ($3 ~ /[rRdD]/) data[crate] += $2
             else next
             all[crate] = 1
         }
         END { for (c in all) printf "%-20s %7d %7d\n", c, code[c], data[c] }' |
    sort -k2,2nr
