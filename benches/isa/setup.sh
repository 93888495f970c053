#!/usr/bin/env bash
# Installs what the other scripts here need: Mesa's Vulkan drivers (Debian), the Vulkan client, the translator.
set -euo pipefail
cd "$(dirname "$0")"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/jempp-isa
mkdir -p "$cache"
if ! ls /usr/include/vulkan/vulkan.h /usr/share/vulkan/icd.d/radeon_icd*.json >/dev/null 2>&1 || ! command -v gcc >/dev/null; then
    apt-get install --yes --no-install-recommends libvulkan-dev mesa-vulkan-drivers gcc
fi
gcc -O1 -Wall -o "$cache/vulkan" vulkan.c -lvulkan
CARGO_TARGET_DIR=$cache/target cargo build --release --locked --manifest-path translate/Cargo.toml
