//! The window's worker, one a thread, asked to show what was mutated.

use std::{cell::RefCell, path::Path, time::Duration};

use jempp::{
    config::LaneConfig,
    worker::{self, Command, Event, RunRequest, Worker},
};

/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(60);

thread_local! {
    static WORKER: RefCell<Option<Worker>> = const { RefCell::new(None) };
}

/// Opens a checkpoint and shows the starts of a chain.
pub(super) fn open(path: &Path) {
    show(&path.display().to_string(), None);
}

/// Shows a chain of `model` under its own rule or under these.
pub(super) fn show(model: &str, lanes: Option<&[LaneConfig]>) {
    WORKER.with_borrow_mut(|worker| {
        let open = worker.take().unwrap_or_else(|| worker::spawn("cpu".into(), || {}).unwrap());
        ask(&open, Command::Open(model.into()));
        let opened = answer(&open, |event| match event {
            Event::Opened(info) => Some(info.lane()),
            _ => None,
        });
        if let Some(own) = opened {
            let lanes = lanes.map_or_else(|| vec![own], <[LaneConfig]>::to_vec);
            ask(
                &open,
                Command::Restart(RunRequest { seed: 0, labels: vec![0], lanes, image: None }),
            );
            answer(&open, |event| matches!(event, Event::Step(_)).then_some(()));
        }
        // Only a worker that is well serves the next one.
        *worker = Some(open);
    });
}

fn ask(worker: &Worker, command: Command) {
    worker.commands.send(command).expect("the worker is there");
}

/// What is waited for, or nothing where the request was refused.
fn answer<T>(worker: &Worker, wanted: impl Fn(Event) -> Option<T>) -> Option<T> {
    loop {
        for event in worker.events.recv_timeout(PATIENCE).expect("the worker answers") {
            match event {
                Event::Refused(_) => return None,
                Event::Failed(reason) => panic!("the worker failed: {reason}"),
                event => {
                    if let Some(found) = wanted(event) {
                        return Some(found);
                    }
                }
            }
        }
    }
}
