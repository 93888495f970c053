//! The program.

#[cfg(not(target_arch = "wasm32"))]
fn main() -> std::process::ExitCode {
    let is_unset = |name: &&str| std::env::var_os(name).is_none();
    let has_no_display = ["DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR"].iter().all(is_unset);
    for (name, value, is_needed) in [
        // burn restores an optimiser's state on its default device before it moves it where it belongs.
        // With no adapter that default would fail, so the default is the CPU back end.
        ("BURN_DEVICE", "flex", true),
        // Mesa sorts adapters by what the display uses. Where there is none it says so between our lines.
        ("NODEVICE_SELECT", "1", has_no_display),
    ] {
        if is_needed && is_unset(&name) {
            // SAFETY: nothing else runs yet.
            unsafe { std::env::set_var(name, value) };
        }
    }
    jempp::cli::main().into()
}

#[cfg(target_arch = "wasm32")]
fn main() {
    jempp::web::main();
}
