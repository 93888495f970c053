//! The items of a data set while it is read: values with labels and names, in parts.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
};

use rand::seq::SliceRandom;

use super::{
    MAX_CLASSES, Reason,
    composed::{compare, composed},
    named::Files,
};
use crate::{
    config::DataConfig,
    counts::counted,
    data::{DataError, Dataset, Values, parts::take},
    streams,
};

/// One of so many images of each class becomes a test image, as in CIFAR-10.
const TEST_PART: usize = 6;
/// With fewer items, a class has no test item: the sixth is rounded.
const LEAST_FOR_TEST: usize = TEST_PART - TEST_PART / 2;

/// The images or points of one part of a data set.
#[derive(Debug)]
pub(super) struct Items {
    pub(super) values: Values,
    pub(super) labels: Vec<u32>,
    /// The name of each item, for messages and for the choice of the test part.
    pub(super) names: Vec<String>,
}

impl Default for Items {
    fn default() -> Self {
        Self { values: Values::Bytes(Vec::new()), labels: Vec::new(), names: Vec::new() }
    }
}

impl Items {
    /// Items without names of their own, which are called by their place in the file.
    pub(super) fn numbered(values: Values, labels: Vec<u32>) -> Self {
        let names = (0..labels.len()).map(|index| format!("item {index}")).collect();
        Self { values, labels, names }
    }

    pub(super) fn len(&self) -> usize {
        self.labels.len()
    }

    pub(super) fn into_dataset(
        self,
        shape: [usize; 3],
        class_names: &[String],
    ) -> Result<Dataset, DataError> {
        let dataset = Dataset {
            values: self.values,
            labels: self.labels,
            shape,
            class_names: class_names.to_vec(),
        };
        dataset.check()?;
        Ok(dataset)
    }

    /// Takes the items out that `is_taken` chooses. The others stay in the memory where they are.
    pub(super) fn take(&mut self, is_taken: &[bool]) -> Self {
        let values = self.values.take(is_taken);
        let labels = take(&mut self.labels, 1, is_taken);
        let all = std::mem::take(&mut self.names).into_iter().zip(is_taken);
        let (taken, kept): (Vec<_>, Vec<_>) = all.partition(|(_, is_taken)| **is_taken);
        let plain = |named: Vec<(String, _)>| named.into_iter().map(|(name, _)| name).collect();
        self.names = plain(kept);
        Self { values, labels, names: plain(taken) }
    }
}

/// A data set as it was read, before empty classes are dropped and a test part is chosen.
#[derive(Debug)]
pub(super) struct Gathered {
    pub(super) class_names: Vec<String>,
    pub(super) shape: [usize; 3],
    pub(super) train: Items,
    pub(super) validation: Option<Items>,
    pub(super) test: Option<Items>,
    /// What the reader chose, in words.
    pub(super) choices: Vec<String>,
    /// What was skipped and why.
    pub(super) skipped: Vec<String>,
    /// What the reader found odd.
    pub(super) warnings: Vec<String>,
    /// The sizes (height, width) of the images in the files, the most frequent first.
    pub(super) sizes: Vec<([usize; 2], usize)>,
    /// The settings, with what the reader chose.
    pub(super) settings: DataConfig,
}

impl Gathered {
    /// A data set of these classes and items, of which nothing else is known.
    pub(super) fn new(
        class_names: Vec<String>,
        shape: [usize; 3],
        train: Items,
        settings: DataConfig,
    ) -> Self {
        let [choices, skipped, warnings] = [const { Vec::new() }; 3];
        Self {
            class_names,
            shape,
            train,
            validation: None,
            test: None,
            choices,
            skipped,
            warnings,
            sizes: Vec::new(),
            settings,
        }
    }

    /// Adds what was chosen and skipped while the files were listed.
    pub(super) fn add_found(&mut self, files: &Files) {
        self.choices.extend(files.choices.iter().cloned());
        self.skipped.extend(files.skipped.iter().cloned());
    }

    fn others(&mut self) -> impl Iterator<Item = &mut Items> {
        self.validation.iter_mut().chain(&mut self.test)
    }

    /// Drops classes without any item, and numbers the others again.
    ///
    /// # Errors
    /// No class is left, or there are too many.
    pub(super) fn drop_empty_classes(&mut self) -> Result<(), Reason> {
        let mut places = vec![None; self.class_names.len()];
        self.train.labels.iter().for_each(|&label| places[label as usize] = Some(0));
        for items in self.others() {
            items.labels.iter().for_each(|&label| places[label as usize] = Some(0));
        }
        let names = self.class_names.clone();
        let mut count = 0;
        for place in places.iter_mut().flatten() {
            *place = count;
            count += 1;
        }
        if count == 0 {
            return Err("there is nothing to train on".into());
        }
        if count as usize > MAX_CLASSES {
            return Err(format!("it has {count} classes; at most {MAX_CLASSES} are read"));
        }
        let of = |label: &mut u32| *label = places[*label as usize].unwrap_or(0);
        self.train.labels.iter_mut().for_each(of);
        for items in self.others() {
            items.labels.iter_mut().for_each(of);
        }
        let (kept, empty): (Vec<_>, Vec<_>) =
            names.into_iter().zip(&places).partition(|(_, place)| place.is_some());
        let plain = |names: Vec<(String, _)>| names.into_iter().map(|(name, _)| name).collect();
        self.class_names = plain(kept);
        let empty: Vec<String> = plain(empty);
        if !empty.is_empty() {
            let what = counted(empty.len(), "empty class", "empty classes");
            self.skipped.push(format!("{what} ({})", some_of(&empty)));
        }
        Ok(())
    }

    /// Chooses a test part if the files hold none: the validation part, or else a part of the training items. Says so.
    pub(super) fn settle_test(&mut self, seed: u64) {
        for (name, part) in [("validation", &mut self.validation), ("test", &mut self.test)] {
            if part.take_if(|items| items.len() == 0).is_some() {
                self.choices.push(format!("the {name} part there is empty"));
            }
        }
        if self.test.is_none() {
            self.test = self.validation.take();
            let choice = match self.test {
                Some(_) => "the validation part is the test part, as there is no other".into(),
                None => self.split_off_test(seed),
            };
            self.choices.push(choice);
        }
    }

    /// Takes a sixth of the items of each class out of the training part as the test part; one item stays at least.
    /// Returns this choice in words. It depends on the names of the items, however accents in them are stored, and on the
    /// seed, but not on the order of the items.
    fn split_off_test(&mut self, seed: u64) -> String {
        let mut of_class: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (index, &label) in self.train.labels.iter().enumerate() {
            of_class.entry(label).or_default().push(index);
        }
        let mut is_test = vec![false; self.train.len()];
        let mut untested = Vec::new();
        for (class, mut items) in of_class {
            items.sort_by(|&a, &b| compare(&self.train.names[a], &self.train.names[b]));
            items.shuffle(&mut streams::TEST_SPLIT.rng(seed, class.into()));
            let count = (items.len() + TEST_PART / 2) / TEST_PART;
            if count == 0 {
                untested.push(self.class_names[class as usize].clone());
            }
            items.iter().take(count).for_each(|&item| is_test[item] = true);
        }
        self.test = Some(self.train.take(&is_test));
        if !is_test.contains(&true) {
            return format!(
                "no test part there, and too few items for one: a class with {LEAST_FOR_TEST} items gives one test item"
            );
        }
        let choice =
            format!("no test part there: a sixth of each class became one, chosen by seed {seed}");
        match untested.len() {
            0 => choice,
            count => format!(
                "{choice}, but {} fewer than {LEAST_FOR_TEST} items and no test item ({})",
                counted(count, "class has", "classes have"),
                some_of(&untested)
            ),
        }
    }
}

/// The classes of labels.
#[derive(Debug)]
pub(super) struct Classes {
    /// The names in order. Numbers are ordered as numbers.
    pub(super) names: Vec<String>,
    /// The index of the class of each label.
    pub(super) of_labels: Vec<u32>,
    /// Which labels were taken together, in words.
    pub(super) choice: Option<String>,
}

/// The classes of labels. Labels that differ only in how accents are stored are one class.
///
/// # Errors
/// A name that a class cannot have.
pub(super) fn classes_of(labels: &[&str]) -> Result<Classes, Reason> {
    let mut spellings: BTreeMap<Cow<'_, str>, BTreeSet<&str>> = BTreeMap::new();
    for label in labels {
        spellings.entry(composed(label)).or_default().insert(label);
    }
    let several = spellings.iter().filter(|(_, spellings)| spellings.len() > 1);
    let several: Vec<String> = several.map(|(name, _)| name.to_string()).collect();
    let choice = (!several.is_empty()).then(|| {
        format!(
            "labels that differ only in how accents are stored are one class ({})",
            some_of(&several)
        )
    });
    let mut names: Vec<&str> = spellings.keys().map(AsRef::as_ref).collect();
    if names.len() > MAX_CLASSES {
        return Err(format!(
            "it has {} different labels; at most {MAX_CLASSES} classes are read",
            names.len()
        ));
    }
    sort_names(&mut names);
    let mut places: HashMap<&str, u32> = HashMap::new();
    for (place, name) in names.iter().enumerate() {
        places.extend(spellings[*name].iter().map(|spelling| (*spelling, place as u32)));
    }
    let of_labels = labels.iter().map(|label| places[label]).collect();
    Ok(Classes { names: class_names("label", &names)?, of_labels, choice })
}

/// Labels as names of classes; messages call a label `what`.
///
/// # Errors
/// A name that a class cannot have, or two names that are the same without control characters and outer spaces.
pub(super) fn class_names(what: &str, labels: &[&str]) -> Result<Vec<String>, Reason> {
    let names: Vec<String> =
        labels.iter().map(|label| class_name(what, label)).collect::<Result<_, _>>()?;
    let mut seen = HashSet::new();
    match names.iter().find(|name| !seen.insert(name.as_str())) {
        Some(name) => Err(format!("two classes have the name `{name}`")),
        None => Ok(names),
    }
}

/// Sorts names of classes: as numbers if all are, else by their letters.
pub(super) fn sort_names(names: &mut [&str]) {
    let numbers: Option<Vec<f64>> = names.iter().map(|name| name.parse().ok()).collect();
    match numbers.is_some_and(|numbers| numbers.iter().all(|number: &f64| number.is_finite())) {
        true => names.sort_by(|a, b| {
            let number = |name: &str| name.parse().unwrap_or(0.0f64);
            number(a).total_cmp(&number(b))
        }),
        false => names.sort_unstable(),
    }
}

/// A label as the name of a class, which a checkpoint can hold.
fn class_name(what: &str, label: &str) -> Result<String, Reason> {
    /// Limit on the characters of a name, and on those that are shown of a longer one.
    const MOST: usize = 200;
    const SHOWN: usize = 20;
    let name: String = label.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let name = name.trim();
    match name.chars().count() {
        0 => Err(format!("the {what} {label:?} is empty; every class needs a name")),
        1..=MOST => Ok(name.to_string()),
        count => Err(format!(
            "the {what} `{}…` has {count} characters; at most {MOST} are read",
            name.chars().take(SHOWN).collect::<String>()
        )),
    }
}

/// The first few names, with the number of the others.
pub(super) fn some_of(names: &[String]) -> String {
    const NUM_NAMED: usize = 3;
    let shown = names[..names.len().min(NUM_NAMED)].join(", ");
    match names.len() {
        0..=NUM_NAMED => shown,
        all => format!("{shown} and {} more", all - NUM_NAMED),
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::any, test_runner::TestRunner};

    use super::*;

    fn gathered(labels: &[u32], names: Vec<String>, num_classes: u32) -> Gathered {
        let values = Values::Bytes((0..labels.len()).map(|index| index as u8).collect());
        let items = Items { values, labels: labels.to_vec(), names };
        let classes = (0..num_classes).map(|class| class.to_string()).collect();
        Gathered::new(classes, [1, 1, 1], items, DataConfig::default())
    }

    #[test]
    fn a_split_is_stratified_and_depends_on_names_alone() {
        let sets = (proptest::collection::vec(0u32..4, 1..80), any::<u64>());
        let result = TestRunner::deterministic().run(&sets, |(labels, seed)| {
            let names: Vec<String> =
                (0..labels.len()).map(|index| format!("{index}.png")).collect();
            let mut forward = gathered(&labels, names.clone(), 4);
            forward.split_off_test(seed);
            let test = forward.test.as_ref().unwrap();
            assert_eq!(test.len() + forward.train.len(), labels.len());
            for class in 0..4 {
                let count = |labels: &[u32]| labels.iter().filter(|&&label| label == class).count();
                let all = count(&labels);
                assert_eq!(count(&test.labels), (all + 3) / 6);
                assert!(all == 0 || count(&forward.train.labels) > 0);
            }
            let reversed: Vec<u32> = labels.iter().rev().copied().collect();
            let mut backward = gathered(&reversed, names.into_iter().rev().collect(), 4);
            backward.split_off_test(seed);
            let sorted = |items: &Items| {
                let mut names = items.names.clone();
                names.sort();
                names
            };
            assert_eq!(sorted(test), sorted(backward.test.as_ref().unwrap()));
            Ok(())
        });
        result.unwrap();
    }

    #[test]
    fn a_split_does_not_depend_on_how_accents_are_stored() {
        let letters = [("A\u{308}", "\u{c4}"), ("Z", "Z"), ("o\u{308}", "\u{f6}"), ("a", "a")];
        let chosen = |is_composed: bool| {
            let name = |at: usize| {
                let (apart, composed) = letters[at % letters.len()];
                format!("{}{at}.png", if is_composed { composed } else { apart })
            };
            let mut found = gathered(&[0; 36], (0..36).map(name).collect(), 1);
            found.split_off_test(0);
            let Values::Bytes(chosen) = found.test.unwrap().values else { panic!("bytes") };
            chosen
        };
        assert_eq!(chosen(true), chosen(false));
    }

    #[test]
    fn what_became_of_the_test_part_is_said() {
        let settled = |labels: &[u32], validation: Option<usize>| {
            let names = (0..labels.len()).map(|index| format!("{index}.png")).collect();
            let mut found = gathered(labels, names, 2);
            found.validation = validation
                .map(|count| Items::numbered(Values::Bytes(vec![0; count]), vec![0; count]));
            found.test = Some(Items::default());
            found.settle_test(0);
            assert!(found.choices.contains(&"the test part there is empty".to_string()));
            let count = |items: &Option<Items>| items.as_ref().map(Items::len);
            let counts = (found.train.len(), count(&found.validation), count(&found.test));
            (counts, found.choices[1..].join("; "))
        };
        let (counts, said) = settled(&[0, 0, 0, 1, 1], None);
        assert_eq!(counts, (4, None, Some(1)));
        assert_eq!(
            said,
            "no test part there: a sixth of each class became one, chosen by seed 0, but 1 class has fewer than 3 items and \
             no test item (1)"
        );
        let (counts, said) = settled(&[0, 0, 1, 1], None);
        assert_eq!(counts, (4, None, Some(0)));
        assert_eq!(
            said,
            "no test part there, and too few items for one: a class with 3 items gives one test item"
        );
        let (counts, said) = settled(&[0, 0, 0, 1], Some(2));
        assert_eq!(counts, (4, None, Some(2)));
        assert_eq!(said, "the validation part is the test part, as there is no other");
        let (counts, said) = settled(&[0, 0, 0], Some(0));
        assert_eq!(counts, (2, None, Some(1)));
        assert!(said.ends_with("became one, chosen by seed 0"), "{said}");
    }

    #[test]
    fn classes_without_items_are_dropped_and_said() {
        let mut found = gathered(&[0, 2, 2], vec!["a".into(), "b".into(), "c".into()], 4);
        found.drop_empty_classes().unwrap();
        assert_eq!(found.class_names, ["0", "2"]);
        assert_eq!(found.train.labels, [0, 1, 1]);
        assert_eq!(found.skipped, ["2 empty classes (1, 3)"]);
    }

    #[test]
    fn labels_are_numbered_in_the_order_of_their_names() {
        let found = |labels: &[&str]| {
            let classes = classes_of(labels).unwrap();
            (classes.names.join(" "), classes.of_labels, classes.choice.unwrap_or_default())
        };
        let none = String::new;
        assert_eq!(found(&["10", "9", "10"]), ("9 10".into(), vec![1, 0, 1], none()));
        assert_eq!(found(&["b", "a\n", "10"]), ("10 a b".into(), vec![2, 1, 0], none()));
        assert_eq!(
            classes_of(&["a", " "]).unwrap_err(),
            "the label \" \" is empty; every class needs a name"
        );
        let long = classes_of(&["b".repeat(210).as_str()]).unwrap_err();
        assert!(long.contains("`bbbbbbbbbbbbbbbbbbbb…` has 210 characters"), "{long}");
        let said = "labels that differ only in how accents are stored are one class (caf\u{e9})"
            .to_string();
        assert_eq!(
            found(&["cafe\u{301}", "caf\u{e9}", "tea"]),
            ("caf\u{e9} tea".into(), vec![0, 0, 1], said)
        );
        assert_eq!(found(&["cafe\u{301}"; 2]), ("caf\u{e9}".into(), vec![0, 0], none()));
    }
}
