//! The parts of a data set, and what the name of a folder says of them.

use super::composed::composed;

/// The words that name a part, in lower case.
const NAMES: [(&str, Part); 13] = [
    ("train", Part::Train),
    ("training", Part::Train),
    ("trainval", Part::Train),
    ("val", Part::Validation),
    ("valid", Part::Validation),
    ("validation", Part::Validation),
    ("dev", Part::Validation),
    ("test", Part::Test),
    ("testing", Part::Test),
    ("eval", Part::Test),
    ("evaluation", Part::Test),
    ("holdout", Part::Test),
    ("heldout", Part::Test),
];
/// The words that say nothing beside such a name, as in `train_images`.
const FILLERS: [&str; 11] = [
    "data", "dataset", "folder", "image", "images", "img", "imgs", "photos", "pictures", "set",
    "split",
];

/// A part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Train,
    Validation,
    Test,
}

impl Part {
    pub(super) const ALL: [Self; 3] = [Self::Train, Self::Validation, Self::Test];

    /// The part that a word names, alone or in one word with one that says nothing, as in `trainset`.
    fn of_word(word: &str) -> Option<Self> {
        let named =
            |word: &str| NAMES.iter().find(|(name, _)| *name == word).map(|(_, part)| *part);
        let without = |filler: &&str| word.strip_suffix(*filler).or(word.strip_prefix(*filler));
        named(word).or_else(|| FILLERS.iter().filter_map(without).find_map(named))
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Train => "training",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}

/// What the name of a folder says.
#[derive(Debug, PartialEq)]
pub(super) struct Name {
    /// The part, if words of one part are in the name.
    pub(super) part: Option<Part>,
    /// The other words that say something, with a space between them.
    pub(super) rest: String,
}

impl Name {
    pub(super) fn of(folder: &str) -> Self {
        let words = words(&composed(folder));
        // Some names are two words, as `hold_out`.
        if let Some(part) = Part::of_word(&words.concat()) {
            return Self { part: Some(part), rest: String::new() };
        }
        let mut parts = words.iter().filter_map(|word| Part::of_word(word));
        let first = parts.next();
        let part = first.filter(|first| parts.all(|part| part == *first));
        let says = |word: &&str| Part::of_word(word).is_none() && !FILLERS.contains(word);
        let rest: Vec<&str> = words.iter().map(String::as_str).filter(says).collect();
        Self { part, rest: rest.join(" ") }
    }
}

/// The words of a name in lower case: its numbers, and its runs of letters, in which a capital begins a new word, as in
/// `TrainImages`.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut letters = name.chars().peekable();
    let mut before = ' ';
    while let Some(letter) = letters.next() {
        let is_first_capital = letter.is_uppercase()
            && (before.is_lowercase() || letters.peek().is_some_and(|next| next.is_lowercase()));
        let is_first = is_first_capital
            || letter.is_alphabetic() != before.is_alphabetic()
            || letter.is_numeric() != before.is_numeric();
        if letter.is_alphanumeric() {
            if is_first {
                words.push(String::new());
            }
            if let Some(word) = words.last_mut() {
                word.extend(letter.to_lowercase());
            }
        }
        before = letter;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_its_part_in_many_spellings() {
        let (train, val, test) = (Some(Part::Train), Some(Part::Validation), Some(Part::Test));
        for (folders, part, rest) in [
            ("train Training TRAIN train_set trainset Train-Set TrainImages imgs.train", train, ""),
            ("training_data trainingset trainval train_val Train_Folder _train", train, ""),
            ("val valid Validation valset validation-images VAL_DATA dev DevSet", val, ""),
            ("test Testing test_images TestSplit eval evaluation_set hold-out HeldOut", test, ""),
            ("seg_train segTrain SEGTrain train-seg seg.trainset", train, "seg"),
            ("train2017 train_2017 2017Train", train, "2017"),
            ("trainA train_a", train, "a"),
            ("cats_and_dogs_test CatsAndDogsTest", test, "cats and dogs"),
            ("images data_set imgs", None, ""),
            ("trains", None, "trains"),
            ("testudo TESTUDO", None, "testudo"),
            ("valley", None, "valley"),
            ("device", None, "device"),
            ("contest", None, "contest"),
            ("pre\u{301}test", None, "pr\u{e9}test"),
            ("train_test_split", None, ""),
            ("2", None, "2"),
        ] {
            for folder in folders.split(' ') {
                assert_eq!(Name::of(folder), Name { part, rest: rest.into() }, "{folder}");
            }
        }
    }
}
