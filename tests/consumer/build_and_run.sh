#!/usr/bin/env bash
# build_and_run.sh BUILD_DIR CONSUMER_DIR README: installs the build into a scratch prefix, copies the
# consumers and the README's example out of the tree, builds all against the prefix and runs the consumers.
set -euo pipefail

build=$1
consumers=$2
readme=$3
: "${CC:=cc}" "${CXX:=c++}" "${CFLAGS:=}" "${CXXFLAGS:=}" "${CMAKE:=cmake}" "${PKG_CONFIG:=pkg-config}"
export CC CXX CFLAGS CXXFLAGS

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
prefix=$scratch/prefix
cp -r "$consumers/c99" "$consumers/cpp20" "$scratch/"
awk '/^```cpp$/ {inside = 1; next} /^```$/ {inside = 0} inside' "$readme" >"$scratch/cpp20/readme_example.cpp"
[ -s "$scratch/cpp20/readme_example.cpp" ] || { echo "no example in $readme"; exit 1; }

"$CMAKE" --install "$build" --prefix "$prefix" >"$scratch/install.log" || { cat "$scratch/install.log"; exit 1; }
pc=$(find "$prefix" -name hawser.pc)
libdir=$(dirname "$(dirname "$pc")")
export LD_LIBRARY_PATH=$libdir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}

shared=$libdir/libhawser.so
if [ -e "$shared" ]; then
  echo "== only hawser* symbols are shown"
  others=$(nm -D --defined-only "$shared" | awk '{print $NF}' | grep -Ev '^(hawser[A-Z]|__(asan|odr_asan|tsan|ubsan)|_(init|fini)$)' || true)
  if [ -n "$others" ]; then
    echo "$others" | head -20
    echo "libhawser.so shows symbols that are not its own"
    exit 1
  fi
fi

echo "== C99 through pkg-config"
export PKG_CONFIG_PATH=$libdir/pkgconfig
read -ra cflags <<<"$CFLAGS $("$PKG_CONFIG" --cflags hawser)"
read -ra libs <<<"$("$PKG_CONFIG" --libs hawser)"
"$CC" -std=c99 -pedantic -Wall -Wextra -Werror "$scratch/c99/consumer.c" -o "$scratch/consumer_c99" \
  "${cflags[@]}" "${libs[@]}"
"$scratch/consumer_c99"

echo "== C++20 through find_package, and the example in the README"
"$CMAKE" -S "$scratch/cpp20" -B "$scratch/cpp20_build" -DCMAKE_PREFIX_PATH="$prefix" \
  -DCMAKE_BUILD_TYPE=Release >"$scratch/cmake.log" || { cat "$scratch/cmake.log"; exit 1; }
"$CMAKE" --build "$scratch/cpp20_build"
"$scratch/cpp20_build/consumer_cpp20"

if [ -x "$prefix/bin/hawser" ]; then
  echo "== the installed command"
  # It finds its library by itself.
  env -u LD_LIBRARY_PATH "$prefix/bin/hawser" --help >/dev/null
fi
echo "consumers: passed"
