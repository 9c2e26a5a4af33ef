#!/usr/bin/env bash
# Packs all that tools/gpu_check.sh needs on a machine with a GPU that has no package registry: the committed tree, what
# tools/install_deps.sh installs (as a folder, so that nobody must be root), Python packages, and the kernels for GPUs
# where nvcc is here. The machine itself has a C++20 compiler, CMake, Python with pip, NumPy and torch. Runs on Debian
# for x86-64, with network. Installs nothing.
#
#   tools/gpu_bundle.sh [FILE]          default build/hawser-gpu.tar.gz; unpacks into hawser-gpu/
#   tools/gpu_bundle.sh --deps [FOLDER] only the dependencies, default deps/, where gpu_check.sh finds them
set -euo pipefail
cd "$(dirname "$0")/.."

# What the machine has, what would only disturb its own, and what gpu_check.sh does without.
not_packed=' libcurl4-openssl-dev g++ cmake ccache python3 git libc6 libc6-dev libgcc-s1 libstdc++6 zlib1g zlib1g-dev '

# The names and those of all that they depend on.
with_dependencies() { # PACKAGE...
  local queue=("$@") seen=' ' package depended
  while [ ${#queue[@]} -gt 0 ]; do
    package=${queue[0]}
    queue=("${queue[@]:1}")
    case $seen$not_packed in *" $package "*) continue ;; esac
    seen+="$package "
    echo "$package"
    while read -r depended; do queue+=("$depended"); done < <(apt-cache depends --important "$package" |
      sed -n 's/^ *|\{0,1\}\(Pre\)\{0,1\}Depends: \([^<]*\)$/\2/p')
  done
}

unpack_packages() { # FOLDER
  local folder=$1 debs packages file
  debs=$(mktemp -d)
  mapfile -t packages < <(tools/install_deps.sh --list)
  mapfile -t packages < <(with_dependencies "${packages[@]}")
  echo "gpu_bundle: Debian packages: ${packages[*]}"
  (cd "$debs" && apt-get download -q "${packages[@]}")
  for file in "$debs"/*.deb; do dpkg-deb -x "$file" "$folder"; done
  rm -rf "$debs" "$folder/usr/share/doc" "$folder/usr/share/man"
  # They name the folder in which they lie, and one of them another folder than that of its libraries.
  find "$folder" -name '*.pc' -type f -exec sed -i -e 's,=/usr,=${pcfiledir}/../../..,' \
    -e 's,^libdir=.*,libdir=${pcfiledir}/..,' {} +
}

# Programs that find their own libraries. The machine's programs keep theirs.
wrap_programs() { # FOLDER
  local program
  mv "$1/usr/bin" "$1/usr/programs"
  mkdir "$1/usr/bin"
  for program in "$1"/usr/programs/*; do
    cat >"$1/usr/bin/${program##*/}" <<'WRAPPER'
#!/bin/sh
usr=$(dirname "$0")/..
LD_LIBRARY_PATH=$usr/lib/x86_64-linux-gnu${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} exec "$usr/programs/${0##*/}" "$@"
WRAPPER
    chmod +x "$1/usr/bin/${program##*/}"
  done
}

download_wheels() { # FOLDER
  local requirements
  mapfile -t requirements < <(python3 -c '
import tomllib
with open("pyproject.toml", "rb") as file:
    print(*tomllib.load(file)["build-system"]["requires"], "pytest", sep="\n")')
  # Python 3.10 has no such modules in itself.
  requirements+=(tomli exceptiongroup typing_extensions)
  echo "gpu_bundle: Python packages: ${requirements[*]}"
  # No binary ones, so that any Python takes them.
  python3 -m pip download --quiet --disable-pip-version-check --only-binary=:all: --platform any --python-version 3.10 \
    --dest "$1" "${requirements[@]}"
}

make_image() { # FILE
  if ! command -v nvcc >/dev/null; then
    echo "gpu_bundle: no nvcc here, so the machine with the GPU needs its own"
    return
  fi
  cmake --preset release -DHAWSER_CUDA=ON >/dev/null
  cmake --build build/release --target src/device_kernels/kernels.fatbin >/dev/null
  cp build/release/src/device_kernels/kernels.fatbin "$1"
}

make_deps() { # FOLDER
  rm -rf "$1"
  mkdir -p "$1"
  unpack_packages "$1"
  wrap_programs "$1"
  download_wheels "$1/wheels"
  make_image "$1/kernels.fatbin"
  echo "gpu_bundle: $(du -sh "$1" | cut -f 1) in $1"
}

case ${1:-} in
  --deps)
    make_deps "${2:-deps}"
    ;;
  -*)
    sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
  *)
    file=${1:-build/hawser-gpu.tar.gz}
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    git diff --quiet HEAD -- || echo "gpu_bundle: changes that are not committed are not packed"
    git archive --prefix hawser-gpu/ HEAD | tar -x -C "$scratch"
    make_deps "$scratch/hawser-gpu/deps"
    mkdir -p "$(dirname "$file")"
    tar -czf "$file" -C "$scratch" hawser-gpu
    echo "gpu_bundle: $(du -h "$file" | cut -f 1) in $file; there: tar xf ${file##*/} && hawser-gpu/tools/gpu_check.sh"
    ;;
esac
