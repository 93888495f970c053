#!/usr/bin/env bash
# Writes the notices that a release must carry to standard output: the licences of all crates, fonts and data inside the
# program and the wheel for Python, and of DXC, which is inside both for Windows. It takes cargo-about and a network.
set -euo pipefail
cd "$(dirname "$0")/../.."

begin() { printf '\n================================================================================\n%s\n================================================================================\n\n' "$1"; }

# Of all crates with all features, so that one file is right for every archive and wheel.
cargo about generate --locked --fail --workspace --all-features --config .github/notices/about.toml .github/notices/crates.hbs
for file in assets/fonts/*.txt assets/fashion-mnist/LICENSE assets/mnist/README.md; do
    begin "$file"
    cat "$file"
done
# Its crate (mach-dxcompiler-rs) has only the licence of what builds it.
for name in LICENSE.TXT ThirdPartyNotices.txt; do
    begin "DirectX Shader Compiler, in the program for Windows: $name"
    curl -fsSL --retry 3 "https://raw.githubusercontent.com/microsoft/DirectXShaderCompiler/main/$name"
done
