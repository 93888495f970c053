//! Macros that define a section of the configuration: each key with its help, default and range in one place.

use super::ConfigError;

/// The largest number of characters of a text, and below it of numbers of a list.
const MAX_TEXT: usize = 4096;
const MAX_ITEMS: usize = 1000;
/// The largest seed: the largest whole number that TOML can hold, and with it a link or a checkpoint.
pub const MAX_SEED: u64 = i64::MAX as u64;

/// Help and range of one key.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// The name of the key within its section.
    pub name: &'static str,
    /// The help text: what the key does, and its unit.
    pub help: &'static str,
    /// The smallest and the largest allowed value of a number, or of every number in a list.
    pub range: Option<(f64, f64)>,
    /// The range of the slider in the window, if the key has one.
    pub slider: Option<(f64, f64)>,
}

/// A value of the configuration that can be checked against the range of its key.
pub(super) trait Value {
    /// Checks the value; `prefix` comes before the name of the key in the error.
    ///
    /// # Errors
    /// A number that is out of range, alone or in a list; a text or a list that is too long.
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
        // No TOML file can hold such a number, so it is out of range for every key.
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

            /// Checks every value against its range; `prefix` comes before the name of the key in the error.
            ///
            /// # Errors
            /// The first value that is out of range or too long.
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
            /// Every choice with its help text.
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
