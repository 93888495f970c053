//! What the page reads in a link: the keys that are its own, and the state that the viewer shows.

use web_sys::Window;

use super::{page_worker::AUTO, wire::Measurement};
use crate::config::ViewState;

/// The keys of the query that the page itself uses: the device, whether a frame takes all keys at once (`host.js`), and
/// the colours.
const DEVICE: &str = "device";
const CAPTURE: &str = "capture";
const THEME: &str = "theme";
/// The largest number of characters of the device's name: a link may come from anybody, and messages repeat the name.
const MAX_DEVICE: usize = 60;
/// The defaults of the page: fewer chains than on the desktop, and a speed that one can follow.
const DEFAULT_QUERY: &str = "per_class=4&max_steps_per_sec=10";

/// The parsed query of a link to the page.
pub(super) struct Query {
    pub(super) device: String,
    capture: Option<String>,
    pub(super) theme: Option<String>,
    pub(super) measurement: Option<Measurement>,
    /// The rest of the query, for the viewer.
    pub(super) view: String,
}

impl Query {
    /// The query of the page's address.
    pub(super) fn of(window: &Window) -> Self {
        Self::read(&window.location().search().unwrap_or_default())
    }

    /// The query in a link: a whole address, or what it has after `?`. What follows `#` is for the browser.
    fn read(link: &str) -> Self {
        let link = link.split('#').next().unwrap_or_default();
        let text = match link.split_once('?') {
            Some((_, query)) => query,
            None if link.starts_with("http") => "",
            None => link,
        };
        let mut query = Self {
            device: AUTO.into(),
            capture: None,
            theme: None,
            measurement: None,
            view: String::new(),
        };
        let mut view = form_urlencoded::Serializer::new(String::new());
        for (key, value) in form_urlencoded::parse(text.as_bytes()) {
            match &*key {
                DEVICE => query.device = value.chars().take(MAX_DEVICE).collect(),
                CAPTURE => query.capture = Some(value.into_owned()),
                THEME => query.theme = Some(value.into_owned()),
                _ => match Measurement::of(&key, &value) {
                    Some(what) => query.measurement = (value != "0").then_some(what),
                    None => {
                        view.append_pair(&key, &value);
                    }
                },
            }
        }
        query.view = view.finish();
        query
    }

    /// The keys that stay in the address whatever the viewer shows, as the beginning of a query.
    pub(super) fn fixed(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if self.device != AUTO {
            query.append_pair(DEVICE, &self.device);
        }
        for (key, value) in [(CAPTURE, &self.capture), (THEME, &self.theme)] {
            if let Some(value) = value {
                query.append_pair(key, value);
            }
        }
        let query = query.finish();
        if query.is_empty() { query } else { query + "&" }
    }
}

/// The state that the page shows: that of a link, or the page's own defaults if the link says nothing.
pub(super) fn or_default(view: ViewState) -> ViewState {
    match view == ViewState::default() {
        true => ViewState::from_link(DEFAULT_QUERY).0,
        false => view,
    }
}

/// The state that an open page shows for a link, and what of the link it cannot use. The keys of the page itself count only
/// in its own address.
pub(super) fn view_of(link: &str) -> (ViewState, Option<String>) {
    let (view, problem) = ViewState::from_link(&Query::read(link).view);
    (or_default(view), problem)
}
