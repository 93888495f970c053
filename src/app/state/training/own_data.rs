//! A person's own data set, on which a model will be trained: what was dropped or chosen, its classes, and what the
//! worker found in it. This module draws nothing.

use std::collections::HashSet;

use crate::{
    app::state::requests::Requests,
    config::{DataConfig, DatasetName},
    data::{OwnContent, OwnFile},
    worker::{Command, DataReport, Inspected, Recipe},
};

/// What is between the parts of a list of files as text: a sign that no file name has.
#[cfg(any(target_arch = "wasm32", test))]
const SEPARATOR: &str = "\u{1f}";

/// Something that a person dropped or chose.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::app) enum Dropped {
    /// A whole data set at a path.
    #[cfg_attr(target_arch = "wasm32", expect(dead_code, reason = "a browser gives no paths"))]
    Path(String),
    /// A whole data set as a list of files.
    #[cfg_attr(
        not(any(target_arch = "wasm32", test)),
        expect(dead_code, reason = "a desktop gives paths")
    )]
    Files(String, Vec<OwnFile>),
    /// The pictures of one class, named like their folder.
    Class(String, Vec<OwnFile>),
    /// Pictures without a class.
    Loose(Vec<OwnFile>),
}

/// The pictures of a class.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::app) struct OwnClass {
    /// The name of the class.
    pub name: String,
    files: Vec<OwnFile>,
}

impl OwnClass {
    /// The number of pictures.
    pub(in crate::app) fn len(&self) -> usize {
        self.files.len()
    }
}

/// What was chosen to train on.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::app) enum Chosen {
    /// Nothing yet.
    #[default]
    Nothing,
    /// A folder or a file at a path.
    Path(String),
    /// A folder or a file whose content was given as a list, with its name.
    Files(String, Vec<OwnFile>),
    /// Pictures, class by class.
    Classes(Vec<OwnClass>),
}

/// A person's own data set.
#[derive(Debug)]
pub(crate) struct OwnData {
    chosen: Chosen,
    /// What was chosen before the last change.
    earlier: Option<Chosen>,
    /// Pictures that wait for the name of their class.
    pub(in crate::app) waiting: Vec<OwnFile>,
    /// What the worker found in the data set, or why it cannot be trained on.
    pub(in crate::app) report: Option<Result<DataReport, String>>,
    /// The recipe that fits the data set.
    pub(in crate::app) recipe: Option<Recipe>,
    is_reading: bool,
    /// The number of reports that have arrived.
    num_reports: usize,
    /// The number of lists that were trained on. A list that a run uses keeps its name.
    num_used: usize,
    requests: Requests,
}

impl OwnData {
    /// The state before anything is chosen.
    pub(in crate::app) fn new(requests: Requests) -> Self {
        Self {
            chosen: Chosen::Nothing,
            earlier: None,
            waiting: Vec::new(),
            report: None,
            recipe: None,
            is_reading: false,
            num_reports: 0,
            num_used: 0,
            requests,
        }
    }

    /// What was chosen.
    pub(in crate::app) fn chosen(&self) -> &Chosen {
        &self.chosen
    }

    /// What scripts on the page can query: how many pictures wait for a name, the classes with their counts or the reason
    /// why there are none, and whether a recipe is there.
    #[cfg(target_arch = "wasm32")]
    pub(crate) fn describe(&self) -> (usize, Result<Vec<(String, usize)>, String>, bool) {
        let counts = |report: &DataReport| {
            let count = |class: &crate::data::ClassFacts| {
                (class.name.clone(), class.train + class.validation + class.test)
            };
            report.facts.classes.iter().map(count).collect()
        };
        let found = match &self.report {
            Some(Ok(report)) => Ok(counts(report)),
            Some(Err(reason)) => Err(reason.clone()),
            None => Ok(Vec::new()),
        };
        (self.waiting.len(), found, self.recipe.is_some())
    }

    /// The chosen files as text: their title, which classes do not have, then the name and the place of each file.
    #[cfg(any(target_arch = "wasm32", test))]
    pub(crate) fn to_text(&self) -> String {
        let (title, files) = match &self.chosen {
            Chosen::Files(name, files) => (name.as_str(), files.clone()),
            Chosen::Classes(classes) => ("", list(classes)),
            Chosen::Path(_) | Chosen::Nothing => ("", Vec::new()),
        };
        let mut text = title.to_string();
        for file in files {
            if let OwnContent::Path(place) = file.content {
                for part in [&*file.name, &*place.to_string_lossy()] {
                    text += SEPARATOR;
                    text += part;
                }
            }
        }
        text
    }

    /// Chooses the files that [`OwnData::to_text`] wrote.
    #[cfg(any(target_arch = "wasm32", test))]
    pub(crate) fn restore(&mut self, text: &str) {
        let mut parts = text.split(SEPARATOR);
        let title = parts.next().unwrap_or_default().to_string();
        let mut files = Vec::new();
        while let (Some(name), Some(place)) = (parts.next(), parts.next()) {
            files.push(OwnFile { name: name.into(), content: OwnContent::Path(place.into()) });
        }
        if !title.is_empty() {
            return self.choose(Chosen::Files(title, files));
        }
        let mut classes: Vec<OwnClass> = Vec::new();
        for file in files {
            let class = file.name.split('/').next().unwrap_or_default().to_string();
            match classes.last_mut().filter(|last| last.name == class) {
                Some(last) => last.files.push(file),
                None => classes.push(OwnClass { name: class, files: vec![file] }),
            }
        }
        self.choose(Chosen::Classes(classes));
    }

    /// Whether there is nothing to show.
    pub(crate) fn is_empty(&self) -> bool {
        self.chosen == Chosen::Nothing && self.waiting.is_empty()
    }

    /// Whether the worker is still looking at the data set.
    pub(in crate::app) fn is_reading(&self) -> bool {
        self.is_reading
    }

    /// The number of the present report.
    pub(in crate::app) fn num_reports(&self) -> usize {
        self.num_reports
    }

    /// The classes that were put together from pictures.
    pub(in crate::app) fn classes(&self) -> &[OwnClass] {
        match &self.chosen {
            Chosen::Classes(classes) => classes,
            _ => &[],
        }
    }

    /// The name of the data set for people and in `data.dir`: a path, or the name of a list.
    pub(in crate::app) fn dir(&self) -> String {
        let name = match &self.chosen {
            Chosen::Path(path) => return path.clone(),
            Chosen::Files(name, _) => name,
            Chosen::Classes(_) | Chosen::Nothing => "your pictures",
        };
        match self.num_used {
            0 => name.to_string(),
            count => format!("{name} ({})", count + 1),
        }
    }

    /// Takes what was dropped or chosen.
    pub(in crate::app) fn take_dropped(&mut self, dropped: Dropped) {
        match dropped {
            Dropped::Path(path) => self.choose(Chosen::Path(path)),
            Dropped::Files(name, files) => self.choose(Chosen::Files(name, files)),
            Dropped::Class(name, files) => self.add(&name, files),
            Dropped::Loose(files) => self.waiting.extend(files),
        }
    }

    /// Adds pictures to the class of this name, or makes it.
    pub(in crate::app) fn add(&mut self, name: &str, files: Vec<OwnFile>) {
        let name = class_name(name);
        let mut classes = self.classes().to_vec();
        let class = match classes.iter_mut().find(|class| class.name == name) {
            Some(class) => class,
            None => {
                classes.push(OwnClass { name, files: Vec::new() });
                let last = classes.len() - 1;
                &mut classes[last]
            }
        };
        // The same file again is no second picture.
        let mut seen: HashSet<OwnContent> =
            class.files.iter().map(|file| file.content.clone()).collect();
        class.files.extend(files.into_iter().filter(|file| seen.insert(file.content.clone())));
        self.choose(Chosen::Classes(classes));
    }

    /// Gives the pictures that wait to the class of this name.
    pub(in crate::app) fn name_waiting(&mut self, name: &str) {
        let files = std::mem::take(&mut self.waiting);
        self.add(name, files);
    }

    /// Renames a class, if no other has this name.
    pub(in crate::app) fn rename(&mut self, index: usize, name: &str) {
        let name = class_name(name);
        let mut classes = self.classes().to_vec();
        if !classes.iter().any(|class| class.name == name)
            && let Some(class) = classes.get_mut(index)
        {
            class.name = name;
            self.choose(Chosen::Classes(classes));
        }
    }

    /// Removes a class.
    pub(in crate::app) fn remove(&mut self, index: usize) {
        let mut classes = self.classes().to_vec();
        if index < classes.len() {
            classes.remove(index);
            self.choose(match classes.is_empty() {
                true => Chosen::Nothing,
                false => Chosen::Classes(classes),
            });
        }
    }

    /// Forgets the data set; it can be brought back.
    pub(in crate::app) fn clear(&mut self) {
        self.waiting.clear();
        self.choose(Chosen::Nothing);
    }

    /// Whether the last change can be taken back.
    pub(in crate::app) fn can_undo(&self) -> bool {
        self.earlier.as_ref().is_some_and(|earlier| *earlier != Chosen::Nothing)
    }

    /// Takes the last change back.
    pub(in crate::app) fn undo(&mut self) {
        if let Some(earlier) = self.earlier.take() {
            self.choose(earlier);
        }
    }

    fn choose(&mut self, chosen: Chosen) {
        self.earlier = Some(std::mem::replace(&mut self.chosen, chosen));
        (self.report, self.recipe, self.is_reading) = (None, None, false);
        self.inspect();
    }

    /// Asks the worker what is in the data set.
    fn inspect(&mut self) {
        let name = self.dir();
        match &self.chosen {
            Chosen::Nothing => return,
            Chosen::Path(_) => {}
            Chosen::Files(_, files) => {
                self.requests.send(Command::GiveData { name, files: files.clone() });
            }
            Chosen::Classes(classes) => {
                self.requests.send(Command::GiveData { name, files: list(classes) });
            }
        }
        let data = DataConfig {
            dataset: DatasetName::Custom,
            dir: self.dir(),
            batch_size: 1,
            ..DataConfig::default()
        };
        self.is_reading = true;
        self.requests.send(Command::InspectData { data: Box::new(data), seed: 0 });
    }

    /// Looks again, for example after the worker failed.
    pub(in crate::app) fn look_again(&mut self) {
        if self.chosen != Chosen::Nothing {
            self.inspect();
        }
    }

    /// Takes the worker's answer; one about an earlier data set is ignored.
    pub(in crate::app) fn take(&mut self, inspected: Inspected) {
        if inspected.dir == self.dir() {
            self.is_reading = false;
            // Without a report, or with one that no recipe fits, there is nothing to train.
            self.recipe = self.recipe.take().filter(|_| inspected.result.is_ok());
            self.report = Some(inspected.result);
            self.num_reports += 1;
        }
    }

    /// Takes the recipe of the worker; one for an earlier data set is ignored.
    pub(in crate::app) fn take_recipe(&mut self, recipe: Recipe) {
        if recipe.dir == self.dir() {
            self.recipe = Some(recipe);
        }
    }

    /// Remembers that a run uses this data set: a list of other files needs another name.
    pub(in crate::app) fn was_used(&mut self, dir: &str) {
        self.num_used += usize::from(dir == self.dir());
    }
}

/// The files of classes, each in the folder of its class. Files of the same name get a number.
fn list(classes: &[OwnClass]) -> Vec<OwnFile> {
    let mut files = Vec::new();
    for class in classes {
        let mut seen = HashSet::new();
        for (index, file) in class.files.iter().enumerate() {
            let own_name = file.name.rsplit(['/', '\\']).next().unwrap_or_default();
            let name = match seen.insert(own_name) {
                true => format!("{}/{own_name}", class.name),
                false => format!("{}/{index}-{own_name}", class.name),
            };
            files.push(OwnFile { name, content: file.content.clone() });
        }
    }
    files
}

/// A text as the name of a class, which is also that of a folder.
fn class_name(text: &str) -> String {
    /// The largest number of characters.
    const MOST: usize = 100;
    let plain = |c: char| if c.is_control() || matches!(c, '/' | '\\') { '-' } else { c };
    let name: String = text.trim().trim_start_matches('.').chars().map(plain).take(MOST).collect();
    match name.trim() {
        "" => "class".into(),
        name => name.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    fn own() -> (OwnData, Receiver<Command>) {
        let (sender, receiver) = channel();
        (OwnData::new(Requests::new(sender)), receiver)
    }

    fn pictures(names: &[&str]) -> Vec<OwnFile> {
        let file = |name: &&str| OwnFile {
            name: name.to_string(),
            content: OwnContent::Bytes(name.as_bytes().into()),
        };
        names.iter().map(file).collect()
    }

    fn given(commands: &Receiver<Command>) -> Vec<String> {
        let lists = commands.try_iter().filter_map(|command| match command {
            Command::GiveData { files, .. } => Some(files),
            _ => None,
        });
        lists.last().unwrap().into_iter().map(|file| file.name).collect()
    }

    #[test]
    fn pictures_become_classes_that_are_named_renamed_and_removed() {
        let (mut own, commands) = own();
        own.take_dropped(Dropped::Loose(pictures(&["1.png", "2.png"])));
        assert!(own.classes().is_empty() && own.waiting.len() == 2);
        own.name_waiting(" cat/s ");
        own.take_dropped(Dropped::Class("dogs".into(), pictures(&["a/1.png", "b/1.png"])));
        assert_eq!(given(&commands), ["cat-s/1.png", "cat-s/2.png", "dogs/1.png", "dogs/1-1.png"]);
        own.add("dogs", pictures(&["a/1.png", "3.png"]));
        assert_eq!(own.classes()[1].len(), 3, "the same picture is taken once");
        own.rename(0, "dogs");
        assert_eq!(own.classes()[0].name, "cat-s", "two classes never share a name");
        own.rename(0, "cats");
        own.remove(1);
        assert_eq!(own.classes().len(), 1);
        own.undo();
        assert_eq!(own.classes().len(), 2);
        own.take_dropped(Dropped::Path("/data/mushrooms".into()));
        assert!(own.can_undo() && own.classes().is_empty());
        own.undo();
        assert_eq!(own.classes()[0].name, "cats");
    }

    #[test]
    fn chosen_files_come_back_from_their_text() {
        let at_places = |names: &[&str]| -> Vec<OwnFile> {
            let content = |name: &&str| OwnContent::Path(format!("7 {name}").into());
            names
                .iter()
                .map(|name| OwnFile { name: name.to_string(), content: content(name) })
                .collect()
        };
        let (mut own, _commands) = self::own();
        assert_eq!(own.to_text(), "");
        own.add("cats", at_places(&["a/1.png", "b/1.png"]));
        own.add("dogs", at_places(&["ü, [2].png"]));
        let (mut again, commands) = self::own();
        again.restore(&own.to_text());
        assert_eq!(given(&commands), ["cats/1.png", "cats/1-1.png", "dogs/ü, [2].png"]);
        assert_eq!(again.to_text(), own.to_text());
        assert_eq!(again.classes().len(), 2);
        own.take_dropped(Dropped::Files("set.zip".into(), at_places(&["set.zip"])));
        again.restore(&own.to_text());
        assert_eq!(again.chosen(), own.chosen());
        own.clear();
        assert_eq!(own.to_text(), "");
    }

    #[test]
    fn only_answers_about_the_present_data_are_taken() {
        let (mut own, _commands) = own();
        own.take_dropped(Dropped::Path("old".into()));
        own.take_dropped(Dropped::Path("new".into()));
        own.take(Inspected { dir: "old".into(), result: Err("empty".into()) });
        assert!(own.report.is_none() && own.is_reading());
        own.take(Inspected { dir: "new".into(), result: Err("empty".into()) });
        assert!(matches!(&own.report, Some(Err(reason)) if reason == "empty"));
    }

    #[test]
    fn the_reason_why_no_recipe_comes_takes_its_place() {
        let (mut own, _commands) = own();
        own.take_dropped(Dropped::Path("set".into()));
        let recipe =
            Recipe { dir: "set".into(), config: Box::default(), about: String::new(), secs: None };
        own.take_recipe(recipe);
        assert!(own.recipe.is_some());
        own.take(Inspected { dir: "set".into(), result: Err("it needs 9 GiB".into()) });
        assert!(own.recipe.is_none() && !own.is_reading());
        assert!(matches!(&own.report, Some(Err(reason)) if reason == "it needs 9 GiB"));
    }
}
