//! Looks for circles between the modules inside a room.

use std::collections::{BTreeMap, BTreeSet};

use super::imports::{House, Target};

/// Which modules import which, by the module that holds them both.
type Graphs<'a> = BTreeMap<&'a [String], BTreeMap<&'a str, BTreeSet<&'a str>>>;

/// The circles between modules of a room, at every level of it. A folder counts as one module among its neighbours. A
/// module that imports from the one that holds it closes a circle too, for that one declares it.
pub fn circles(house: &House, room: &str) -> Vec<String> {
    let room: Vec<String> = room.split("::").map(Into::into).collect();
    let mut found = Vec::new();
    let mut graphs = Graphs::new();
    for import in &house.imports {
        let Target::Inside(to) = &import.to else { continue };
        let (from, to) = (without_tests(&import.from), house.module_of(to));
        let shared = from.iter().zip(to).take_while(|(a, b)| a == b).count();
        if !from.starts_with(&room) || shared < room.len() || shared == from.len() {
            continue;
        }
        let holder = &from[..shared];
        match to.get(shared) {
            Some(to) => {
                graphs.entry(holder).or_default().entry(&from[shared]).or_default().insert(to);
            }
            None => found.push(format!(
                "{}: `{}` imports from `{}`, which holds it",
                import.place,
                from.join("::"),
                holder.join("::")
            )),
        }
    }
    for (holder, graph) in &graphs {
        for (from, others) in graph {
            for to in others.iter().filter(|to| reaches(graph, to, from)) {
                let holder = holder.join("::");
                found.push(format!(
                    "in `{holder}`, `{from}` imports `{to}`, which leads back to it"
                ));
            }
        }
    }
    found
}

/// A module's path up to the tests inside it.
fn without_tests(module: &[String]) -> &[String] {
    let end = module.iter().position(|name| name == "tests").unwrap_or(module.len());
    &module[..end]
}

/// Whether imports lead from one module to another.
fn reaches(graph: &BTreeMap<&str, BTreeSet<&str>>, from: &str, to: &str) -> bool {
    let (mut seen, mut left) = (BTreeSet::new(), vec![from]);
    while let Some(name) = left.pop() {
        if name == to {
            return true;
        }
        if seen.insert(name) {
            left.extend(graph.get(name).into_iter().flatten());
        }
    }
    false
}
