#!/bin/sh
# Writes the library as one file of C++ on standard output: what a program adds to its own build, beside haft.h and
# haft_embed.h, and what the Makefile compiles.
#
#     sh amalgamate.sh > haft_embed.cc
#
# Own headers come once, where they are first needed. All of it gets internal linkage, so that nothing but the functions of
# haft_embed.h can clash with a name of the program. Names that several files keep to themselves get the name of their file.
set -eu
cd "$(dirname "$0")"
export LC_ALL=C
# Without what only the addon uses (the thunks of trampolines are assembly). Last is what says `using namespace`.
sources=$(ls ../core/*.cc *.cc | grep -vx -e ../core/trampolines.cc -e embed.cc)
exec awk -f amalgamate.awk $sources embed.cc
