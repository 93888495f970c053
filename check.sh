#!/usr/bin/env bash
# Everything CI checks, in the order in which it fails fastest. Run from anywhere.
set -euo pipefail
cd "$(dirname "$0")"

step() { printf '\n== %s\n' "$1"; }

step "dependencies"
# Licences, bans and sources are in Cargo.lock and the crates; advisories are in a database of others.
if command -v cargo-deny >/dev/null; then
    cargo deny check licenses bans sources
    if cargo deny fetch db 2>/dev/null; then cargo deny check advisories; else echo "SKIPPED: advisories, whose database is out of reach"; fi
else
    echo "SKIPPED: it takes cargo-deny (cargo install cargo-deny)"
fi

step "format"
cargo fmt --check

step "lint"
cargo clippy --release --all-targets -- -D warnings

step "instruction counts"
# What Mesa's compiler for AMD, which needs no GPU, makes of the hot kernels.
can_count() {
    ls /usr/share/vulkan/icd.d/radeon_icd*.json /usr/include/vulkan/vulkan.h && python3 -c 'import tomllib'
}
if [ -n "${REQUIRE_ISA-}" ] || can_count >/dev/null 2>&1; then
    benches/isa/setup.sh
    python3 benches/isa/isa.py --check
else
    echo "SKIPPED: it takes Mesa's driver for AMD, Vulkan's headers (mesa-vulkan-drivers, libvulkan-dev) and Python 3.11"
fi

step "test"
cargo test --release

step "browser"
can_build() {
    [ -d "$(rustc --print target-libdir --target wasm32-unknown-unknown)" ] || [ -d /usr/lib/rustlib/src/rust/library/std ]
}
if [ -n "${REQUIRE_BROWSER-}" ] || { can_build && command -v node >/dev/null && command -v chromium >/dev/null; }; then
    web/build.sh
    npm ci --prefix web --ignore-scripts --no-audit --no-fund --silent
    JEMPP_BIN=${CARGO_TARGET_DIR:-target}/release/jempp npm test --prefix web --silent
else
    echo "SKIPPED: it takes the target wasm32-unknown-unknown, Node and Chromium"
fi

step "PyTorch"
if python3 -c 'import torch, safetensors' 2>/dev/null; then
    python3 tests/pytorch/check.py
else
    echo "SKIPPED: no torch and safetensors to compare with; the committed cases were tested above"
fi

step "Python"
# The wheel, its tests and the notebook, in an environment of their own. With the features of the program nothing is compiled
# twice; what is released has none of them.
python=${CARGO_TARGET_DIR:-$PWD/target}/python
prepare() {
    rm -rf "$python" && python3 -m venv "$python" &&
        "$python/bin/pip" install --quiet maturin==1.16.0 pytest -r docs/notebooks/requirements.txt
}
if said=$(prepare 2>&1); then
    cargo clippy --release --package jempp-python --features jempp/default -- -D warnings
    "$python/bin/maturin" build --release --locked --features jempp/default --manifest-path python/Cargo.toml --out "$python/wheels"
    "$python/bin/pip" install --quiet "$python"/wheels/jempp-*.whl
    JEMPP_BIN=${CARGO_TARGET_DIR:-$PWD/target}/release/jempp "$python/bin/python" -m pytest --quiet python/tests
    "$python/bin/jupyter" nbconvert --log-level ERROR --to notebook --execute --output-dir "$python" docs/notebooks/energies.ipynb
    echo "docs/notebooks/energies.ipynb was executed"
    if "$python/bin/pip" install --quiet onnx onnxruntime; then
        "$python/bin/python" tests/onnx/check.py
    else
        echo "SKIPPED: no onnx and onnxruntime to run the ONNX files; what is in them was tested above"
    fi
elif [ -n "${REQUIRE_PYTHON-}" ]; then
    printf '%s\n' "$said"
    exit 1
else
    echo "SKIPPED: it takes Python's venv, and maturin, Jupyter and ArviZ from a package index: $(tail -n 1 <<<"$said")"
fi

step "MPI"
# Several ranks on this machine. Only jempp itself is built again.
if [ -n "${REQUIRE_MPI-}" ] || { command -v mpicc && command -v mpirun && find /usr/lib* -name 'libclang*.so*' | grep -q .; } >/dev/null 2>&1; then
    cargo clippy --release --features mpi --all-targets -- -D warnings
    cargo test --release --features mpi --test mpi
else
    echo "SKIPPED: it takes Open MPI and libclang (libopenmpi-dev, openmpi-bin, libclang-dev)"
fi

step "headless"
# The program for a server, without a window, the report's page, downloads and PyTorch's formats.
cargo clippy --release --no-default-features --all-targets -- -D warnings
cargo test --release --no-default-features --test program absent
# Which lies where the whole program lay.
cargo build --release
