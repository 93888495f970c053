//! The program.

#[cfg(not(target_arch = "wasm32"))]
fn main() -> std::process::ExitCode {
    // Mesa sorts adapters by what the display uses. Where there is none it says so between our lines.
    let is_unset = |name: &str| std::env::var_os(name).is_none();
    let has_no_display =
        ["DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR"].into_iter().all(is_unset);
    if has_no_display && is_unset("NODEVICE_SELECT") {
        // SAFETY: nothing else runs yet.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
    jempp::cli::main().into()
}

#[cfg(target_arch = "wasm32")]
fn main() {
    jempp::web::main();
}
