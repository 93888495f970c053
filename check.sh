#!/usr/bin/env bash
# Everything CI checks, in the order in which it fails fastest. Run from anywhere.
set -euo pipefail
cd "$(dirname "$0")"

step() { printf '\n== %s\n' "$1"; }

step "house rules"
fail() { echo "error: $1" >&2; exit 1; }
forbid() { # forbid WHAT PATTERN FILE...
    local what=$1 pattern=$2
    shift 2
    if grep -nE "$pattern" "$@"; then fail "$what"; fi
}
forbid "the CPU twins import nothing" '^ *(pub )?use |crate::|super::' src/kernels/reference/{chains,densities,layers}.rs
forbid "kernels know no model, sampler or configuration" \
    'crate::(model|sampler|config|energy|trainer|worker)' \
    $(find src/kernels -name '*.rs')
forbid "the configuration and the diagnostics import no other room" 'crate::' \
    src/config/*.rs src/diagnostics/*.rs
forbid "the window knows no tensor and no device" 'burn|cubecl|wgpu::|crate::(device|model|energy|sampler|trainer)' \
    $(find src/app -name '*.rs')
forbid "bounds that come from a window may cross, and clamp panics then: use app/fit.rs" '\.clamp\(' \
    $(find src/app -name '*.rs')
forbid "models and energies know nothing of what drives them" \
    'crate::(trainer|worker|sampler|cli|eval)' src/model/*.rs src/energy.rs
forbid "what is printed goes through say.rs, which outlives a closed pipe" '\be?print(ln)?!' \
    $(find src -name '*.rs' ! -name say.rs)
forbid "only the program and its commands speak to a person" '\b(say|complain)!' \
    $(find src -name '*.rs' ! -path 'src/cli*' ! -name say.rs ! -name signals.rs ! -name progress.rs)

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
