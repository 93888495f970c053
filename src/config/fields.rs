//! How a section of the configuration is written down: a key with its help, its default and its range in one place.

use super::ConfigError;

/// Most characters of a text, and most numbers of a list.
const MAX_TEXT: usize = 4096;
const MAX_ITEMS: usize = 1000;
/// The largest seed: the largest whole number that a TOML file, and so a link or a checkpoint, holds.
pub const MAX_SEED: u64 = i64::MAX as u64;

/// Help and range of one key.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Name within its section.
    pub name: &'static str,
    /// What it does, with its unit.
    pub help: &'static str,
    /// Smallest and largest allowed value of a number, or of every number of a list.
    pub range: Option<(f64, f64)>,
    /// What a slider spans, where there is one.
    pub slider: Option<(f64, f64)>,
}

/// A value of the configuration, which can be held against the range of its key.
pub(super) trait Value {
    /// Checks the value; `prefix` stands before the key's name in the complaint.
    ///
    /// # Errors
    /// A number out of its range, alone or in a list; a text or a list that is too long.
    fn check(&self, field: &Field, prefix: &str) -> Result<(), ConfigError>;
}

impl Value for f64 {
    fn check(&self, field: &Field, prefix: &str) -> Result<(), ConfigError> {
        match field.range {
            Some((low, high)) if !(low..=high).contains(self) => {
                let key = format!("{prefix}{}", field.name);
                Err(ConfigError::OutOfRange { key, value: *self, low, high })
            }
            _ => Ok(()),
        }
    }
}

impl Value for u64 {
    fn check(&self, field: &Field, prefix: &str) -> Result<(), ConfigError> {
        let value = *self as f64;
        if *self <= MAX_SEED {
            return value.check(field, prefix);
        }
        // Whatever its key, no TOML file could hold it.
        let (low, high) = field.range.unwrap_or((0.0, MAX_SEED as f64));
        Err(ConfigError::OutOfRange { key: format!("{prefix}{}", field.name), value, low, high })
    }
}

impl Value for usize {
    fn check(&self, field: &Field, prefix: &str) -> Result<(), ConfigError> {
        (*self as u64).check(field, prefix)
    }
}

impl Value for u32 {
    fn check(&self, field: &Field, prefix: &str) -> Result<(), ConfigError> {
        f64::from(*self).check(field, prefix)
    }
}

impl Value for i32 {
    fn check(&self, field: &Field, prefix: &str) -> Result<(), ConfigError> {
        f64::from(*self).check(field, prefix)
    }
}

impl Value for bool {
    fn check(&self, _: &Field, _: &str) -> Result<(), ConfigError> {
        Ok(())
    }
}

impl Value for String {
    fn check(&self, field: &Field, prefix: &str) -> Result<(), ConfigError> {
        no_longer_than(MAX_TEXT, self.chars().count(), field, prefix)
    }
}

impl<T: Value> Value for Vec<T> {
    fn check(&self, field: &Field, prefix: &str) -> Result<(), ConfigError> {
        no_longer_than(MAX_ITEMS, self.len(), field, prefix)?;
        self.iter().try_for_each(|item| item.check(field, prefix))
    }
}

fn no_longer_than(
    most: usize,
    length: usize,
    field: &Field,
    prefix: &str,
) -> Result<(), ConfigError> {
    match length <= most {
        true => Ok(()),
        false => Err(ConfigError::TooLong { key: format!("{prefix}{}", field.name), most }),
    }
}

macro_rules! section {
    ($(#[doc = $section_doc:literal])* $section:ident {
        $($(#[doc = $doc:literal])* $field:ident: $type:ty = $default:expr
            $(, in $low:literal ..= $high:literal)? $(, slider $from:literal ..= $to:literal)?;)*
    }) => {
        $(#[doc = $section_doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $section { $($(#[doc = $doc])* pub $field: $type,)* }

        impl Default for $section {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl $section {
            /// Help and range of every key of this section.
            pub const FIELDS: &'static [Field] = &[$(Field {
                name: stringify!($field),
                help: concat!($($doc),*),
                range: section!(@range $($low, $high)?),
                slider: section!(@range $($from, $to)?),
            },)*];

            /// Help and range of one key.
            pub fn field(name: &str) -> &'static Field {
                match Self::FIELDS.iter().find(|field| field.name == name) {
                    Some(field) => field,
                    None => unreachable!("no key {name}"),
                }
            }

            /// Checks every value against its range; `prefix` stands before a key in the complaint.
            ///
            /// # Errors
            /// The first that is out of its range or too long.
            pub(super) fn check(&self, prefix: &str) -> Result<(), super::ConfigError> {
                $(super::fields::Value::check(
                    &self.$field,
                    Self::field(stringify!($field)),
                    prefix,
                )?;)*
                Ok(())
            }
        }
    };
    (@range) => { None };
    (@range $low:literal, $high:literal) => { Some(($low as f64, $high as f64)) };
}

macro_rules! choices {
    ($(#[doc = $doc:literal])* $name:ident { $($(#[doc = $variant_doc:literal])* $variant:ident,)* }) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name { $($(#[doc = $variant_doc])* $variant,)* }

        impl $name {
            /// Every choice with its help.
            pub const ALL: &'static [(Self, &'static str)] =
                &[$((Self::$variant, concat!($($variant_doc),*)),)*];
        }

        impl super::fields::Value for $name {
            fn check(&self, _: &Field, _: &str) -> Result<(), super::ConfigError> {
                Ok(())
            }
        }
    };
}
