//! How a section of the configuration is written down: a key with its help, its default and its range in one place.

use toml::Value;

use super::ConfigError;

/// Most characters of a text, and most numbers of a list.
const MAX_TEXT: usize = 4096;
const MAX_ITEMS: usize = 1000;

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

impl Field {
    /// Checks a value of this key against its range; `prefix` stands before its name in the complaint.
    ///
    /// # Errors
    /// A number out of its range, alone or in a list; a text or a list that is too long.
    pub(super) fn check(&self, prefix: &str, value: &Value) -> Result<(), ConfigError> {
        let value = match value {
            Value::Integer(whole) => *whole as f64,
            Value::Float(number) => *number,
            Value::String(text) if text.chars().count() > MAX_TEXT => {
                return Err(ConfigError::TooLong {
                    key: format!("{prefix}{}", self.name),
                    most: MAX_TEXT,
                });
            }
            Value::Array(items) if items.len() > MAX_ITEMS => {
                return Err(ConfigError::TooLong {
                    key: format!("{prefix}{}", self.name),
                    most: MAX_ITEMS,
                });
            }
            Value::Array(items) => {
                return items.iter().try_for_each(|item| self.check(prefix, item));
            }
            _ => return Ok(()),
        };
        match self.range {
            Some((low, high)) if !(low..=high).contains(&value) => {
                let key = format!("{prefix}{}", self.name);
                Err(ConfigError::OutOfRange { key, value, low, high })
            }
            _ => Ok(()),
        }
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
    };
}
