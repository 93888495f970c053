//! The program.

#[cfg(not(target_arch = "wasm32"))]
fn main() {
    use clap::Parser;

    // Rust ignores the signal of a pipe that nobody reads any more, and printing would panic instead.
    #[cfg(unix)]
    // SAFETY: nothing else runs yet, and the default action is a valid one.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
    }
    // burn restores an optimiser's state on its default device before it moves it where it belongs.
    // With no adapter that default would fail, so the default is the CPU back end.
    if std::env::var_os("BURN_DEVICE").is_none() {
        // SAFETY: nothing else runs yet.
        unsafe { std::env::set_var("BURN_DEVICE", "flex") };
    }
    if let Err(error) = jempp::cli::run(jempp::cli::Cli::parse()) {
        eprintln!("error: {error:#}");
        std::process::exit(1);
    }
}

#[cfg(target_arch = "wasm32")]
fn main() {
    jempp::web::main();
}
