//! Compares the imports of a crate's modules with a table of allowed imports.

use std::collections::{BTreeMap, BTreeSet};

use super::imports::{House, Target};

/// One room of the table: a module and what it may import.
pub(super) struct Room<'a> {
    /// The path of the module.
    pub name: &'a str,
    /// The description of the room.
    pub what: &'a str,
    /// The rooms that it may import.
    rooms: Vec<&'a str>,
    /// The crates that it may import; `None` if all are allowed.
    crates: Option<Vec<&'a str>>,
}

/// Reads a table: a line `name = description` for each room, followed by optional lines `rooms: …` and `crates: …`.
pub(super) fn rooms(table: &str) -> Vec<Room<'_>> {
    let mut found: Vec<Room> = Vec::new();
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some((name, what)) = line.split_once(" = ") {
            found.push(Room { name, what, rooms: Vec::new(), crates: None });
            continue;
        }
        let (kind, names) = line.split_once(':').unwrap();
        let room = found.last_mut().unwrap();
        match kind {
            "rooms" => room.rooms.extend(names.split_whitespace()),
            "crates" => room.crates.get_or_insert_default().extend(names.split_whitespace()),
            _ => panic!("a line of the table is neither a room nor what it imports: {line}"),
        }
    }
    found
}

/// The room of a module: the one with the longest path that is a prefix of the module's path.
fn room_of<'a>(rooms: &'a [Room<'a>], module: &[String]) -> Option<&'a Room<'a>> {
    let holds = |room: &&Room| {
        let mut path = module.iter();
        room.name.split("::").all(|part| path.next().is_some_and(|segment| segment == part))
    };
    rooms.iter().filter(holds).max_by_key(|room| room.name.len())
}

/// All differences between the imports of a crate and its table.
pub(super) fn disagreements(rooms: &[Room], house: &House) -> Vec<String> {
    let mut found = house.faults.clone();
    let level_of = |name: &str| rooms.iter().position(|room| room.name == name);
    for (level, room) in rooms.iter().enumerate() {
        let path: Vec<String> = room.name.split("::").map(Into::into).collect();
        if !house.modules.contains(&path) {
            found.push(format!("the table has a room `{}`, and the house has none", room.name));
        }
        if level_of(room.name) != Some(level) {
            found.push(format!("the table has the room `{}` twice", room.name));
        }
        for other in room.rooms.iter().filter(|other| level_of(other).is_none_or(|at| at >= level))
        {
            found.push(format!(
                "the table lets `{}` import `{other}`, which is not below it",
                room.name
            ));
        }
    }
    for module in house.modules.iter().filter(|module| module.len() == 1) {
        if room_of(rooms, module).is_none() {
            found.push(format!("the module `{}` is in no room of the table", module[0]));
        }
    }
    let mut used = BTreeSet::new();
    for import in &house.imports {
        // The root declares the rooms and re-exports their items, so it has no rules.
        let Some(from) = room_of(rooms, &import.from) else { continue };
        let (place, name) = (&import.place, from.name);
        match &import.to {
            Target::Crate(other) => {
                used.insert((name, other.as_str()));
                if from.crates.as_ref().is_some_and(|crates| !crates.contains(&other.as_str())) {
                    found.push(format!("{place}: `{name}` may not import the crate `{other}`"));
                }
            }
            Target::Inside(path) => match room_of(rooms, house.origin(path)) {
                None => found.push(format!("{place}: `crate::{}` is in no room", path.join("::"))),
                Some(to) if to.name == name => {}
                Some(to) => {
                    used.insert((name, to.name));
                    if !from.rooms.contains(&to.name) {
                        let path = path.join("::");
                        found.push(format!(
                            "{place}: `{name}` may not import `{}` (crate::{path})",
                            to.name
                        ));
                    }
                }
            },
        }
    }
    for room in rooms {
        let all = room.rooms.iter().chain(room.crates.iter().flatten());
        for other in all.filter(|other| !used.contains(&(room.name, **other))) {
            let name = room.name;
            found.push(format!("the table lets `{name}` import `{other}`, which it does not"));
        }
    }
    found
}

/// The import cycles among modules with the same parent, direct or through others. A folder counts as one module
/// among its siblings; its own modules are checked separately.
pub(super) fn circles(house: &House) -> Vec<String> {
    let mut found = Vec::new();
    let mut arrows: BTreeMap<&[String], BTreeSet<(&str, &str)>> = BTreeMap::new();
    for import in &house.imports {
        let Target::Inside(to) = &import.to else { continue };
        let shared = import.from.iter().zip(to).take_while(|(from, to)| from == to).count();
        let (Some(from), Some(other)) = (import.from.get(shared), to.get(shared)) else { continue };
        if house.modules.contains(&to[..=shared]) {
            arrows.entry(&to[..shared]).or_default().insert((from, other));
        }
    }
    for (parent, arrows) in arrows {
        let after = |from| {
            let (mut seen, mut waiting) = (BTreeSet::new(), vec![from]);
            while let Some(at) = waiting.pop() {
                let next = arrows.iter().filter(|arrow| arrow.0 == at).map(|arrow| arrow.1);
                waiting.extend(next.filter(|&to| seen.insert(to)));
            }
            seen
        };
        let in_circle = arrows.iter().filter(|(from, to)| after(to).contains(from));
        for (from, to) in in_circle {
            found.push(format!("`{}`: {from} → {to} is part of a circle", parent.join("::")));
        }
    }
    found
}
