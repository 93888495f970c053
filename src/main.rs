//! The entry point of the program `jempp`.

#[cfg(not(target_arch = "wasm32"))]
fn main() -> std::process::ExitCode {
    // Mesa sorts adapters by the one that the display uses. Without a display it prints a warning between our lines,
    // which this variable turns off.
    let is_unset = |name: &str| std::env::var_os(name).is_none();
    let has_no_display =
        ["DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR"].into_iter().all(is_unset);
    if has_no_display && is_unset("NODEVICE_SELECT") {
        // SAFETY: no other thread runs yet.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
    jempp::cli::main().into()
}

#[cfg(target_arch = "wasm32")]
fn main() {
    jempp::web::main();
}
