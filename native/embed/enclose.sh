#!/bin/sh
# Makes an object of C++ one that C programs link with nothing more: takes in what it needs of libstdc++.a, and hides all but
# the functions of haft_embed.h, so that it shares no symbol with a C++ runtime of the program's own.
#
#     sh enclose.sh OBJCOPY IN.o OUT.o COMPILER...
#
# Fails where there is no libstdc++.a, or the linker cannot do it; the program then links the C++ runtime itself.
set -eu
objcopy=$1 in=$2 out=$3
part=$out.$$
shift 3
runtime=$("$@" -print-file-name=libstdc++.a)
case $runtime in
  */*) ;;
  *) echo "enclose.sh: $1 has no libstdc++.a" >&2; exit 1 ;;
esac
# Without groups of sections, the linker of the program does not take another definition for one in here.
"$@" -r -nostdlib -Wl,--force-group-allocation "$in" "$runtime" -o "$part"
# Unique symbols become local in two steps only.
$objcopy --wildcard --weaken-symbol='_Z*' "$part"
$objcopy --wildcard --keep-global-symbol='haft_embed_*' "$part"
mv -f "$part" "$out"
