//! The program.

#[cfg(not(target_arch = "wasm32"))]
fn main() -> std::process::ExitCode {
    // burn restores an optimiser's state on its default device before it moves it where it belongs.
    // With no adapter that default would fail, so the default is the CPU back end.
    if std::env::var_os("BURN_DEVICE").is_none() {
        // SAFETY: nothing else runs yet.
        unsafe { std::env::set_var("BURN_DEVICE", "flex") };
    }
    jempp::cli::main().into()
}

#[cfg(target_arch = "wasm32")]
fn main() {
    jempp::web::main();
}
