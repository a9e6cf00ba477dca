#!/bin/sh
# Writes haft_embed.pc on standard output.
#
#     sh pkg-config.sh VERSION "PRIVATE LIBRARIES" PREFIX LIBDIR INCLUDEDIR
set -eu
# The file's own folder is escaped by pkg-config, other folders are not.
escaped() { printf '%s\n' "$1" | sed 's/ /\\ /g'; }
cat << END
prefix=$(escaped "$3")
libdir=$(escaped "$4")
includedir=$(escaped "$5")

Name: haft_embed
Description: JavaScript logic in a C program, with no Node in its build
Version: $1
Cflags: -I\${includedir}
Libs: -L\${libdir} -lhaft_embed
Libs.private: $2
END
