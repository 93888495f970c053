#!/usr/bin/env bash
# Builds the whole page in web/dist. `build.sh --release` also optimises and compresses it, and fails if
# the download is larger than its limit. Outputs that are newer than their sources are not built again.
set -euo pipefail

fail() { echo "build.sh: $1" >&2; exit 1; }
case ${1-} in
    '') release= ;;
    --release) release=1 ;;
    *) fail "usage: web/build.sh [--release]" ;;
esac
# A relative path refers to the directory in which the user called this script.
if [ -n "${CARGO_TARGET_DIR-}" ]; then
    mkdir -p "$CARGO_TARGET_DIR"
    CARGO_TARGET_DIR=$(cd "$CARGO_TARGET_DIR" && pwd)
    export CARGO_TARGET_DIR
fi
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target} dist=web/dist limit=3500000
# The folder for intermediate files between cargo's output and dist.
work=$target/web-page
mkdir -p "$work" "$dist"

fresh() { [ -e "$1" ] && ! [ "$2" -nt "$1" ]; } # fresh OUTPUT INPUT
size() { wc -c <"$1" | tr -d ' '; }

# 1. Compile the program.
triple=wasm32-unknown-unknown
build=(build --locked --profile web --target $triple --bin jempp --no-default-features --features gui)
if [ -d "$(rustc --print target-libdir --target $triple)" ]; then
    cargo "${build[@]}"
elif [ -d /usr/lib/rustlib/src/rust/library/std ] && [ -x /usr/bin/cargo ]; then
    # Debian's compiler lacks the target too, but comes with the sources of the standard library and of its
    # dependencies. Building them needs the nightly switch, and a linker with the name rust-lld.
    lld=$(rustc --print sysroot)/lib/rustlib/$(rustc -vV | sed -n 's/^host: //p')/bin
    if ! [ -x "$lld/rust-lld" ]; then
        lld=$work/bin
        mkdir -p "$lld"
        ln -sf "$(command -v lld || fail "no linker: apt-get install lld")" "$lld/rust-lld"
    fi
    PATH=$lld:$PATH RUSTC_BOOTSTRAP=1 RUSTC=/usr/bin/rustc \
        /usr/bin/cargo "${build[@]}" -Zbuild-std=std,panic_abort
else
    fail "this toolchain cannot build for the browser. Either: rustup target add $triple
          or, on Debian: apt-get install rustc-web cargo-web rust-web-src lld"
fi
raw=$target/$triple/web/jempp.wasm

# 2. Generate the bindings between the program and the browser.
js=$work/js
if ! fresh "$js/jempp.js" "$raw"; then
    version=$(sed -n 's/^wasm-bindgen-cli-support = "=\(.*\)"/\1/p' web/bindgen/Cargo.toml)
    rm -rf "$js"
    if [ "$(wasm-bindgen --version 2>/dev/null)" = "wasm-bindgen $version" ]; then
        wasm-bindgen --target web --no-typescript --remove-name-section --out-name jempp --out-dir "$js" "$raw"
    else
        cargo run --quiet --locked --release --manifest-path web/bindgen/Cargo.toml \
            --target-dir "$target/web-bindgen" -- "$raw" "$js"
    fi
fi
wasm=$js/jempp_bg.wasm

# 3. Remove duplicate functions, and put those that are alike next to each other. With locals in order of use, more functions
# are alike. Features are listed one by one, because with all of them, browsers refuse the result. No -Oz: it makes the file
# a sixth smaller, but 6 % larger after brotli.
if [ -n "$release" ]; then
    [ -x web/node_modules/.bin/wasm-opt ] || npm ci --prefix web --ignore-scripts --no-audit --no-fund
    wasm=$work/optimised.wasm
    if ! fresh "$wasm" "$js/jempp_bg.wasm" || ! fresh "$wasm" web/order_functions.py; then
        features=(--enable-simd --enable-bulk-memory --enable-nontrapping-float-to-int --enable-sign-ext
            --enable-mutable-globals --enable-reference-types --enable-multivalue)
        web/node_modules/.bin/wasm-opt "${features[@]}" --reorder-locals --duplicate-function-elimination \
            --remove-unused-module-elements --vacuum "$js/jempp_bg.wasm" -o "$wasm.part"
        python3 web/order_functions.py "$wasm.part" "$work/named.wasm"
        web/node_modules/.bin/wasm-opt "${features[@]}" --reorder-functions-by-name "$work/named.wasm" -o "$wasm.part"
        rm "$work/named.wasm"
        mv "$wasm.part" "$wasm"
    fi
fi

# 4. Assemble the page. Only changed files are copied, so that compressed copies of the others stay valid.
put() { # put SOURCE NAME
    mkdir -p "$(dirname "$dist/$2")"
    cmp -s "$1" "$dist/$2" || cp "$1" "$dist/$2"
}
# Scripts and program go into a folder named after a hash, so that caches cannot mix two builds. It is that of all from which
# the files are made that the service worker keeps.
stamp=$(cat "$js"/jempp.js "$wasm" web/*.{js,css,html,svg} web/build.sh assets/*.safetensors assets/*/*.safetensors \
    assets/lessons/*.md assets/fashion-mnist/LICENSE | sha256sum | cut -c 1-12)
find "$dist" -mindepth 1 -maxdepth 1 ! -name assets ! -name "$stamp" -exec rm -r {} +
sed "s/BUILD/$stamp/" web/index.html >"$work/index.html"
sed 's/<html /<html data-embed /' "$work/index.html" >"$work/embed.html"
for name in index.html embed.html; do put "$work/$name" "$name"; done
# For the pages of others, and one that shows how: their addresses stay the same.
for name in embed.js lecture.html lecture.css lecture.js; do put "web/$name" "$name"; done
put web/icon.svg icon.svg
# Without comments that have lines of their own, and without indentation.
bare='/^ *\/\*\*?$/,/\*\//d; /^ *(\/\/|\/\*.*\*\/$)/d; s/^ +//; /^$/d'
for name in style.css start.js main.js host.js store.js files.js worker.js; do
    sed -E "$bare" "web/$name" >"$work/$name"
    put "$work/$name" "$stamp/$name"
done
sed -E "$bare" "$js/jempp.js" >"$work/jempp.js"
put "$work/jempp.js" "$stamp/jempp.js"
put "$wasm" "$stamp/jempp_bg.wasm"
# Models are stored as planes, see worker.js: upper bytes of half floats are similar, lower ones are noise. `jempp pack` rounds
# the axes of class centres to 1/256: these are stored as small whole numbers, each as its difference from a guess from the
# pixels before it (the median predictor of LOCO-I, Weinberger et al., IEEE Trans. Image Processing 9(8), 2000).
for file in assets/*.safetensors assets/*/*.safetensors; do
    name=${file##*/}
    case $name in *-judge.*) continue ;; esac
    python3 -c '
import json, struct, sys
data = bytearray(sys.stdin.buffer.read())
begin = 8 + int.from_bytes(data[:8], "little")
header = json.loads(data[8:begin])
axes = header.get("class_centers.factor")
if axes:
    _, height, width = json.loads(header["__metadata__"]["run"])["input_shape"]
    at = slice(*(begin + offset for offset in axes["data_offsets"]))
    count = (at.stop - at.start) // 2
    steps = [int(256 * value) for value in struct.unpack(f"<{count}e", data[at])]
    is_whole = struct.pack(f"<{count}e", *(step / 256 for step in steps)) == data[at]
    # Another encoding needs another number in byte 7: older pages then refuse it.
    if is_whole and all(abs(step) < 2048 for step in steps):
        rest = []
        for index, step in enumerate(steps):
            x, y = index % width, index // width % height
            left = steps[index - 1] if x else 0
            above = steps[index - width] if y else 0
            corner = steps[index - width - 1] if x and y else 0
            low, high = min(left, above), max(left, above)
            rest.append(step - max(low, min(high, left + above - corner)))
        data[at] = struct.pack(f"<{count}H", *(2 * step if step >= 0 else -2 * step - 1 for step in rest))
        data[7] = 1
body = data[begin:]
sys.stdout.buffer.write(data[:begin] + body[1::2] + body[0::2])' <"$file" >"$work/planes"
    put "$work/planes" "assets/${name%.safetensors}.planes"
done
for file in assets/lessons/*.md; do put "$file" "$file"; done
for file in assets/fashion-mnist/*.gz assets/fashion-mnist/LICENSE; do put "$file" "$file"; done
{
    echo "// Written by build.sh: bytes before compression, which a response does not tell."
    echo "export default {"
    echo "  'jempp_bg.wasm': $(size "$wasm"),"
    for file in "$dist"/assets/*.planes; do
        echo "  'assets/${file##*/}': $(size "$file"),"
    done
    echo "};"
} >"$work/sizes.js"
put "$work/sizes.js" "$stamp/sizes.js"
# What the page keeps for a visit without a connection: all but the large models that are loaded only when chosen.
files=$(cd "$dist" && find . -type f ! -name '*.br' ! -name '*.gz' ! -name '*.part' ! -name 'sw.js' | sed 's|^./||' |
    grep -vE '^(embed|lecture)|^assets/(mnist|cifar10-|fashion-classifier)' | sort)
files=$(printf '%s\n' ./ $files | sed "s/.*/'&'/" | paste -sd, -)
sed -e "s/'BUILD'/'$stamp'/" -e "s|FILES_OF_BUILD|[$files]|" web/sw.js | sed -E "$bare" >"$work/sw.js"
put "$work/sw.js" sw.js

# 5. Compress the files, and report their sizes.
squeeze() { # squeeze FILE
    [ "$1.br" -nt "$1" ] || { brotli -q 11 -w 24 -c "$1" >"$1.part" && mv "$1.part" "$1.br"; }
    [ "$1.gz" -nt "$1" ] || { gzip -9 -n -c "$1" >"$1.part" && mv "$1.part" "$1.gz"; }
}
export -f squeeze
compressible=$(cd $dist && find . -name '*.html' -o -name '*.js' -o -name '*.css' -o -name '*.svg' -o -name '*.wasm' -o -name '*.planes' -o -name '*.md')
if [ -z "$release" ]; then
    for name in $compressible; do [ "$dist/$name.br" -nt "$dist/$name" ] || rm -f "$dist/$name.br" "$dist/$name.gz"; done
    echo "$dist is ready: wasm $(size "$raw") bytes raw, $(size "$wasm") as served. Neither optimised nor compressed."
    exit
fi
command -v brotli >/dev/null || fail "no brotli: apt-get install brotli"
(cd $dist && echo "$compressible" | xargs -P 2 -I NAME bash -ec 'squeeze NAME')
total=0
for name in $compressible; do
    # These files are loaded only on request.
    case $name in ./embed.* | ./lecture.* | ./sw.js | ./assets/*-classifier.* | ./assets/*-sampler.* | ./assets/mnist* | ./assets/cifar10-* | ./assets/two-moons.* | ./assets/lessons/*) ;; *) total=$((total + $(size "$dist/$name.br"))) ;; esac
done
row() { printf '%-34s %10s\n' "$1" "$2"; }
row "bytes" ""
row "wasm, raw" "$(size "$raw")"
row "wasm, with its calls bound" "$(size "$js/jempp_bg.wasm")"
row "wasm, optimised" "$(size "$wasm")"
row "wasm, brotli" "$(size "$dist/$stamp/jempp_bg.wasm.br")"
row "fashion model, brotli" "$(size $dist/assets/fashion.planes.br)"
row "the default page, brotli" "$total"
row "  and at most" "$limit"
[ "$total" -le "$limit" ] || fail "the page is $((total - limit)) bytes too large"
