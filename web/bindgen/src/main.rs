//! Writes `jempp.js` and `jempp_bg.wasm` for a page: `jempp-bindgen INPUT.wasm FOLDER`.

use anyhow::Context;
use wasm_bindgen_cli_support::Bindgen;

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let input = args.next().context("usage: jempp-bindgen INPUT.wasm FOLDER")?;
    let folder = args.next().context("usage: jempp-bindgen INPUT.wasm FOLDER")?;
    Bindgen::new()
        .input_path(input)
        .out_name("jempp")
        .web(true)?
        .omit_default_module_path(false)
        .typescript(false)
        // Half of the raw file, and nobody reads it in a browser.
        .remove_name_section(true)
        .generate(folder)
}
