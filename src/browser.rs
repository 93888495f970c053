//! What the browser gives: time, files beside the page, files of the person's. The page's scripts, in
//! `web/`, provide the object `jempp`.

use js_sys::{Array, Promise, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue, closure::Closure, prelude::wasm_bindgen};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, Document, HtmlAnchorElement, HtmlInputElement, Url};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = jempp, js_name = asset)]
    fn asset_promise(name: &str, on_progress: &JsValue) -> Promise;
    #[wasm_bindgen(js_namespace = jempp, js_name = pause)]
    fn pause_promise(millis: f64) -> Promise;
    #[wasm_bindgen(js_namespace = jempp, js_name = adapterName)]
    fn adapter_name_promise() -> Promise;
    #[wasm_bindgen(js_namespace = jempp, js_name = counts)]
    fn counts_object() -> JsValue;
}

/// Kernel launches and command buffers that this worker has sent to its GPU. Counted in a bench only.
pub(crate) fn counts() -> (f64, f64) {
    let counts = counts_object();
    let count =
        |key: &str| Reflect::get(&counts, &key.into()).ok().and_then(|count| count.as_f64());
    (count("launches").unwrap_or(0.0), count("submissions").unwrap_or(0.0))
}

thread_local! {
    static ON_PROGRESS: std::cell::RefCell<Option<Box<dyn Fn(&str, u64)>>> = Default::default();
}

/// Calls this from now on with the name of the file that is being loaded and the bytes of it that are here.
pub(crate) fn on_progress(report: impl Fn(&str, u64) + 'static) {
    ON_PROGRESS.set(Some(Box::new(report)));
}

/// The content of a file beside the page.
///
/// # Errors
/// Why it did not come.
pub(crate) async fn asset(name: &str) -> Result<Vec<u8>, String> {
    let owned = name.to_string();
    let progress = Closure::<dyn Fn(f64)>::new(move |num_bytes: f64| {
        ON_PROGRESS.with_borrow(|report| {
            if let Some(report) = report {
                report(&owned, num_bytes as u64);
            }
        });
    });
    let bytes = JsFuture::from(asset_promise(name, progress.as_ref())).await;
    Ok(Uint8Array::new(&bytes.map_err(|error| reason(&error))?).to_vec())
}

/// What the browser tells of the adapter that it gives.
pub(crate) async fn adapter_name() -> String {
    let name = JsFuture::from(adapter_name_promise()).await.ok().and_then(|name| name.as_string());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "unnamed adapter".into())
}

/// Lets the browser do what else it has to, for so long; for 0, only what is there already.
pub(crate) async fn pause(millis: f64) {
    // A timer does not fail.
    let _ = JsFuture::from(pause_promise(millis)).await;
}

/// What a caught JavaScript value says.
pub(crate) fn reason(error: &JsValue) -> String {
    match error.dyn_ref::<js_sys::Error>() {
        Some(error) => String::from(error.message()),
        None => error.as_string().unwrap_or_else(|| format!("{error:?}")),
    }
}

fn document() -> Option<Document> {
    web_sys::window()?.document()
}

/// Gives the person a file to keep, wherever the browser puts such files.
pub(crate) fn download(name: &str, bytes: &[u8]) -> Option<()> {
    let blob = Blob::new_with_u8_array_sequence(&Array::of1(&Uint8Array::from(bytes))).ok()?;
    let url = Url::create_object_url_with_blob(&blob).ok()?;
    let link: HtmlAnchorElement = document()?.create_element("a").ok()?.dyn_into().ok()?;
    link.set_href(&url);
    link.set_download(name);
    link.click();
    // Some browsers read it only after the click.
    wasm_bindgen_futures::spawn_local(async move {
        pause(60_000.0).await;
        // It may be gone with the page already.
        let _ = Url::revoke_object_url(&url);
    });
    Some(())
}

/// Asks the person for a file and gives its name and content to `take`. Must follow a click or a key.
pub(crate) fn pick(
    accept: &str,
    take: impl Fn(String, Result<Vec<u8>, String>) + 'static,
) -> Option<()> {
    let input: HtmlInputElement = document()?.create_element("input").ok()?.dyn_into().ok()?;
    input.set_type("file");
    input.set_accept(accept);
    let (chosen, take) = (input.clone(), std::rc::Rc::new(take));
    let on_change = Closure::once_into_js(move || {
        let Some(file) = chosen.files().and_then(|files| files.get(0)) else { return };
        wasm_bindgen_futures::spawn_local(async move {
            let content = JsFuture::from(file.array_buffer()).await;
            let bytes = content.map(|content| Uint8Array::new(&content).to_vec());
            take(file.name(), bytes.map_err(|error| reason(&error)));
        });
    });
    input.set_onchange(Some(on_change.unchecked_ref()));
    input.click();
    Some(())
}
