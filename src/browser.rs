//! The functions that the browser provides: time, files on the server, the user's files. The page's scripts, in
//! `web/`, provide them in the object `jempp`.

use js_sys::{Array, Promise, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue, closure::Closure, prelude::wasm_bindgen};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, Document, HtmlAnchorElement, Url};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = jempp, js_name = asset)]
    fn asset_promise(name: &str, on_progress: &JsValue) -> Promise;
    #[wasm_bindgen(js_namespace = jempp, js_name = pause)]
    fn pause_promise(millis: f64) -> Promise;
    #[wasm_bindgen(js_namespace = jempp, js_name = adapterName)]
    fn adapter_name_promise() -> Promise;
    #[wasm_bindgen(js_namespace = jempp, js_name = given)]
    fn given_part(place: &str, from: f64, to: f64) -> Promise;
    #[wasm_bindgen(js_namespace = jempp, js_name = givenSize)]
    fn given_size(place: &str) -> f64;
    #[wasm_bindgen(js_namespace = jempp, js_name = choose)]
    fn choose_files(is_folder: bool);
    #[wasm_bindgen(js_namespace = jempp, js_name = pick)]
    fn pick_file(accept: &str) -> Promise;
    #[wasm_bindgen(js_namespace = jempp, js_name = onFiles)]
    fn set_on_files(take: &JsValue);
    #[wasm_bindgen(js_namespace = jempp, js_name = counts)]
    fn counts_object() -> JsValue;
    #[wasm_bindgen(js_namespace = jempp, js_name = copy)]
    fn copy_link(link: &str, said: &str);
    #[wasm_bindgen(js_namespace = jempp, js_name = wakeHelpers)]
    pub(crate) fn wake_helpers(message: &[u8]);
    #[wasm_bindgen(js_namespace = jempp, js_name = numHelpers)]
    pub(crate) fn num_helpers() -> usize;
    #[wasm_bindgen(js_namespace = jempp, js_name = askHelper)]
    fn helper_promise(helper: usize, message: &[u8]) -> Promise;
    #[wasm_bindgen(thread_local_v2, js_namespace = navigator, js_name = userAgent)]
    static USER_AGENT: String;
}

/// What the browser says of itself and of the system it runs on.
pub(crate) fn user_agent() -> String {
    USER_AGENT.with(String::clone)
}

/// The number of kernel launches and of command buffers that this worker has sent to its GPU. Counted only in a
/// benchmark.
pub(crate) fn counts() -> (f64, f64) {
    let counts = counts_object();
    let count =
        |key: &str| Reflect::get(&counts, &key.into()).ok().and_then(|count| count.as_f64());
    (count("launches").unwrap_or(0.0), count("submissions").unwrap_or(0.0))
}

thread_local! {
    static ON_PROGRESS: std::cell::RefCell<Option<Box<dyn Fn(&str, u64)>>> = Default::default();
}

/// Sets the function to call with the name of a file that is being loaded, and the number of bytes loaded so far.
pub(crate) fn on_progress(report: impl Fn(&str, u64) + 'static) {
    ON_PROGRESS.set(Some(Box::new(report)));
}

fn report_progress(name: &str, num_bytes: f64) {
    ON_PROGRESS.with_borrow(|report| {
        if let Some(report) = report {
            report(name, num_bytes as u64);
        }
    });
}

/// Loads the content of a file from the page's server.
///
/// # Errors
/// Returns the reason why the file could not be loaded.
pub(crate) async fn asset(name: &str) -> Result<Vec<u8>, String> {
    let owned = name.to_string();
    let progress =
        Closure::<dyn Fn(f64)>::new(move |num_bytes: f64| report_progress(&owned, num_bytes));
    let bytes = JsFuture::from(asset_promise(name, progress.as_ref())).await;
    Ok(Uint8Array::new(&bytes.map_err(|error| reason(&error))?).to_vec())
}

/// The size of the largest file that the page opens, in MiB. It is copied several times.
const MAX_OPENED_MIB: f64 = 256.0;
/// How much of a file is read at once, in bytes.
const PART: f64 = 4.0 * 1024.0 * 1024.0;

/// The content of a file that a person gave the page, which keeps it under the name `place`. Files never leave the
/// computer: the page hands them to its worker.
///
/// # Errors
/// The file is too large, or the browser cannot read it, for example because it was removed.
pub(crate) async fn given(place: &str) -> Result<Vec<u8>, String> {
    let num_bytes = given_num_bytes(place)?;
    let mut bytes = Vec::with_capacity(num_bytes as usize);
    let mut from = 0.0;
    while from < num_bytes {
        if num_bytes > PART {
            report_progress(name_of(place), from);
        }
        let part = JsFuture::from(given_part(place, from, from + PART)).await;
        bytes.extend(Uint8Array::new(&part.map_err(|error| reason(&error))?).to_vec());
        from += PART;
    }
    Ok(bytes)
}

/// The size in bytes of a file that a person gave the page, known before anything of it is read.
///
/// # Errors
/// The file is too large.
pub(crate) fn given_num_bytes(place: &str) -> Result<f64, String> {
    let num_bytes = given_size(place);
    let mib = num_bytes / f64::from(1 << 20);
    match mib <= MAX_OPENED_MIB {
        true => Ok(num_bytes),
        false => Err(format!(
            "{} has {mib:.0} MiB; the page opens files of up to {MAX_OPENED_MIB} MiB, and the desktop program larger ones",
            name_of(place)
        )),
    }
}

/// The name of the file that the page keeps under this name.
fn name_of(place: &str) -> &str {
    place.split_once(' ').map_or(place, |(_, name)| name)
}

/// Sends a message to a worker that helps this one, at once, and waits for the answer; `None` if there is none.
pub(crate) fn ask_helper(
    helper: usize,
    message: Vec<u8>,
) -> impl Future<Output = Option<Vec<u8>>> + use<> {
    let answer = JsFuture::from(helper_promise(helper, &message));
    async { Some(Uint8Array::new(&answer.await.ok()?).to_vec()) }
}

/// A name and a place, as the page gives them.
fn name_and_place(pair: JsValue) -> (String, String) {
    let pair: Array = pair.unchecked_into();
    let text = |at| pair.get(at).as_string().unwrap_or_default();
    (text(0), text(1))
}

/// Asks the user for files or a folder to train on. Browsers allow this only after a click or a key press.
pub(crate) fn choose(is_folder: bool) {
    choose_files(is_folder);
}

/// Calls `take` with the files that a person drops on the page or chooses: the name of each with its folders, and the name
/// under which the page keeps it; or with the reason why they are not taken.
pub(crate) fn on_files(take: impl Fn(Result<Vec<(String, String)>, String>) + 'static) {
    let take = Closure::<dyn Fn(Array, Option<String>)>::new(move |files: Array, problem| {
        take(match problem {
            Some(problem) => Err(problem),
            None => Ok(files.iter().map(name_and_place).collect()),
        });
    });
    set_on_files(&take.into_js_value());
}

/// The browser's description of the GPU adapter.
pub(crate) async fn adapter_name() -> String {
    let name = JsFuture::from(adapter_name_promise()).await.ok().and_then(|name| name.as_string());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "unnamed adapter".into())
}

/// Lets the browser process other events for `millis` milliseconds. With 0, only the events that are already waiting.
pub(crate) async fn pause(millis: f64) {
    // A timer does not fail.
    let _ = JsFuture::from(pause_promise(millis)).await;
}

/// The message of a caught JavaScript value.
pub(crate) fn reason(error: &JsValue) -> String {
    match error.dyn_ref::<js_sys::Error>() {
        Some(error) => String::from(error.message()),
        None => error.as_string().unwrap_or_else(|| format!("{error:?}")),
    }
}

fn document() -> Option<Document> {
    web_sys::window()?.document()
}

/// Gives a file to the browser as a download.
pub(crate) fn download(name: &str, bytes: &[u8]) -> Option<()> {
    let blob = Blob::new_with_u8_array_sequence(&Array::of1(&Uint8Array::from(bytes))).ok()?;
    let url = Url::create_object_url_with_blob(&blob).ok()?;
    let link: HtmlAnchorElement = document()?.create_element("a").ok()?.dyn_into().ok()?;
    link.set_href(&url);
    link.set_download(name);
    link.click();
    // Some browsers read the file only after the click.
    wasm_bindgen_futures::spawn_local(async move {
        pause(60_000.0).await;
        // The URL may already be gone with the page.
        let _ = Url::revoke_object_url(&url);
    });
    Some(())
}

/// Copies a link, after a click or a key press. The page then says whether it could: if so, it says `said`.
pub(crate) fn copy(link: &str, said: &str) {
    copy_link(link, said);
}

/// Asks the user for a file at once, and waits for its name and the name under which the page keeps it. What only the browser
/// can read becomes a PNG. Browsers allow this only after a click or a key press.
pub(crate) fn pick(accept: &str) -> impl Future<Output = Option<(String, String)>> + use<> {
    let chosen = JsFuture::from(pick_file(accept));
    // Without a choice, there is no pair.
    async { chosen.await.ok().filter(JsValue::is_object).map(name_and_place) }
}
