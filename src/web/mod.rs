//! The viewer in a browser: the page, which draws, and its web worker, which computes. Both run this same
//! program and speak to each other in bytes; the page's scripts are in `web/`.

mod page;
mod wire;
mod worker;

use wasm_bindgen::JsCast;

unsafe extern "C" {
    fn __wasm_call_ctors();
}

/// Becomes the page or its worker, whichever this runs in.
pub fn main() {
    // SAFETY: called once, before anything else. Without this call the linker makes every call from the
    // outside begin with all constructors, cubecl's hundreds of them.
    unsafe { __wasm_call_ctors() };
    match js_sys::global().dyn_into::<web_sys::DedicatedWorkerGlobalScope>() {
        Ok(scope) => worker::start(scope),
        Err(_) => page::start(),
    }
}
