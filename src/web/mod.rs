//! The viewer in a browser: the page, which draws, and its web worker, which computes. Both run this same
//! program, and exchange messages as bytes. The page's scripts are in `web/`.

mod host;
mod link;
mod page;
mod page_worker;
mod store;
mod wire;
mod worker;

use wasm_bindgen::JsCast;

unsafe extern "C" {
    fn __wasm_call_ctors();
}

/// Starts the page or its worker, depending on where this program runs.
pub fn main() {
    // SAFETY: called once, before anything else. Without this call, the linker makes every call from JavaScript
    // run all constructors first, which are hundreds in cubecl.
    unsafe { __wasm_call_ctors() };
    match js_sys::global().dyn_into::<web_sys::DedicatedWorkerGlobalScope>() {
        Ok(scope) => worker::start(scope),
        Err(_) => page::start(),
    }
}
