#!/usr/bin/env bash
# Puts a CPU-only libtorch 2.11.0 (the one that tch 0.24 pairs with) where the torch engine and the trainer are built from, and prints
# its folder. Downloads 543 MB once; needs python3 with pip. With CUDA, point LIBTORCH at a full libtorch 2.11.0 instead.
#
#     export LIBTORCH=$(packaging/libtorch.sh [FOLDER]) LIBTORCH_CXX11_ABI=1
set -euo pipefail
home=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/headgan/libtorch-2.11.0}
if [ ! -e "$home/lib/libtorch.so" ]; then
  command -v python3 >/dev/null || { echo "libtorch.sh: python3 is missing: install it (apt install python3 python3-pip)" >&2; exit 1; }
  rm -rf "$home" "$home.part"
  mkdir -p "$home.part"
  # The wheel's own dependencies are 4 GB of CUDA; the CPU library needs but two small ones of them to load.
  python3 -m pip install --quiet --disable-pip-version-check --no-deps --target "$home.part/wheels" \
    torch==2.11.0 nvidia-cuda-runtime==13.0.96 nvidia-cuda-cupti==13.0.85 >&2
  torch=$home.part/wheels/torch
  mkdir "$home.part/lib"
  mv "$torch/include" "$home.part/include"
  for library in libtorch_cpu.so libc10.so; do mv "$torch/lib/$library" "$home.part/lib/"; done
  for library in libgomp.so.1 libcudart.so.13 libcupti.so.13; do
    found=$(find "$home.part/wheels" -name "$library" | head -n 1)
    [ -n "$found" ] || { echo "libtorch.sh: $library is not in the wheels: has PyPI changed them?" >&2; exit 1; }
    mv "$found" "$home.part/lib/"
  done
  # What torch-sys links: one library that stands for the CPU one.
  echo 'INPUT(libtorch_cpu.so)' >"$home.part/lib/libtorch.so"
  rm -rf "$home.part/wheels"
  mv "$home.part" "$home"
fi
echo "$home"
