//! Interpreter for the instructions of a pickle that checks them without creating the values.

use std::collections::HashMap;

/// Limit on the instructions in all pickles of a file; WRN-28-10's have about 20,000.
const MAX_INSTRUCTIONS: usize = 1 << 20;
/// Limit on the bytes that a pickle may copy: its reader copies every memoised or recalled value.
const MAX_COPIED: u64 = 256 << 20;
/// A generous estimate of the bytes that a reader needs per value, besides its text.
const VALUE: u64 = 200;

/// Why a pickle is rejected.
#[derive(Debug)]
pub(super) enum Fault {
    /// The pickle is damaged.
    Broken(&'static str),
    /// The pickle holds more than tensors and plain values.
    Foreign(String),
}

const CUT_OFF: Fault = Fault::Broken("it is truncated or corrupt: a pickle in it has no end");
const UNDERFLOW: Fault = Fault::Broken("it is corrupt: a pickle in it takes what is not there");

/// A value on the stack, reduced to the information that the checks need.
#[derive(Clone, Default)]
struct Value<'a> {
    /// The text, which may later name a function.
    text: Option<&'a [u8]>,
    /// The size of a copy, in bytes.
    size: u64,
    /// The memo index, if the value was memoised.
    memo: Option<u32>,
}

/// Checks pickles one after the other.
pub(super) struct Machine {
    instructions_left: usize,
    copies_left: u64,
}

impl Machine {
    pub(super) fn new() -> Self {
        Self { instructions_left: MAX_INSTRUCTIONS, copies_left: MAX_COPIED }
    }

    /// Checks one pickle and returns the bytes after it.
    ///
    /// # Errors
    /// The pickle is cut off, names something other than a tensor or a plain value, or would make its reader copy too
    /// much.
    pub(super) fn skip<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Fault> {
        let mut pickle = Pickle {
            machine: self,
            rest: bytes,
            stack: vec![],
            marks: vec![],
            memo: HashMap::new(),
        };
        while pickle.step()? {}
        Ok(pickle.rest)
    }
}

/// A pickle while it is checked, with its stack.
struct Pickle<'a, 'm> {
    machine: &'m mut Machine,
    rest: &'a [u8],
    stack: Vec<Value<'a>>,
    /// The stack heights of the marks.
    marks: Vec<usize>,
    memo: HashMap<u32, Value<'a>>,
}

impl<'a> Pickle<'a, '_> {
    /// Executes one instruction; returns false after the last.
    fn step(&mut self) -> Result<bool, Fault> {
        let left = &mut self.machine.instructions_left;
        *left = left
            .checked_sub(1)
            .ok_or_else(|| Fault::Foreign("its pickle is too long for a checkpoint's".into()))?;
        let instruction = self.take(1)?[0];
        match instruction {
            b'.' => return Ok(false),
            0x80 => {
                let protocol = self.take(1)?[0];
                if !(2..=5).contains(&protocol) {
                    return Err(Fault::Foreign(format!("its pickle is of protocol {protocol}")));
                }
            }
            // Skips the length of a frame.
            0x95 => self.pass(8)?,
            // None, booleans; empty tuples, lists, dictionaries, sets; numbers.
            b'N' | 0x88 | 0x89 | b')' | b']' | b'}' | 0x8f => self.push(0),
            b'K' => self.push_number(1)?,
            b'M' => self.push_number(2)?,
            b'J' => self.push_number(4)?,
            b'G' => self.push_number(8)?,
            0x8a => self.push_raw(1)?,
            0x8b => self.push_raw(4)?,
            // Texts and bytes.
            0x8c | b'U' => self.push_text(1)?,
            b'X' | b'T' => self.push_text(4)?,
            0x8d => self.push_text(8)?,
            b'C' => self.push_raw(1)?,
            b'B' => self.push_raw(4)?,
            0x8e | 0x96 => self.push_raw(8)?,
            // Tuples, lists, dictionaries and sets made of the values on the stack.
            b'(' => self.marks.push(self.stack.len()),
            b't' | b'l' | b'd' | 0x91 => {
                let size = self.pop_to_mark()?;
                self.push(size);
            }
            0x85 => self.merge(1)?,
            0x86 => self.merge(2)?,
            0x87 => self.merge(3)?,
            // Adds values to a list, a dictionary or a set.
            b'a' => self.add(1)?,
            b's' => self.add(2)?,
            b'e' | b'u' | 0x90 => {
                let size = self.pop_to_mark()?;
                self.top()?.size += size;
            }
            // Drops the top value, or duplicates it.
            b'0' if self.marks.last() == Some(&self.stack.len()) => drop(self.marks.pop()),
            b'0' => {
                self.pop()?;
            }
            b'1' => {
                self.pop_to_mark()?;
            }
            b'2' => {
                let value = self.top()?.clone();
                self.copy(&value)?;
                self.stack.push(value);
            }
            // Memo instructions.
            b'q' => self.memoise(1)?,
            b'r' => self.memoise(4)?,
            0x94 => self.memoise(0)?,
            b'h' => self.recall(1)?,
            b'j' => self.recall(4)?,
            // Functions and classes by name, storages, and calls of the functions that `is_plain` allows.
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push_global(module, name)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Some(module), Some(name)) = (module.text, name.text) else {
                    return Err(Fault::Broken("it is corrupt: a pickle in it names no function"));
                };
                self.push_global(module, name)?;
            }
            b'Q' => self.merge(1)?,
            b'R' | 0x81 => self.merge(2)?,
            0x92 => self.merge(3)?,
            b'b' => {
                let (state, object) = (self.pop()?, self.pop()?);
                let built = Value { size: object.size + state.size, text: None, ..object };
                if let Some(index) = built.memo {
                    self.copy(&built)?;
                    self.memo.insert(index, built.clone());
                }
                self.stack.push(built);
            }
            other => {
                return Err(Fault::Foreign(format!(
                    "its pickle does more than describe tensors (instruction 0x{other:02x})"
                )));
            }
        }
        Ok(true)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(CUT_OFF)?;
        self.rest = rest;
        Ok(taken)
    }

    fn pass(&mut self, len: usize) -> Result<(), Fault> {
        self.take(len).map(|_| ())
    }

    /// Reads up to the next line feed, which is dropped.
    fn line(&mut self) -> Result<&'a [u8], Fault> {
        let len = self.rest.iter().position(|&byte| byte == b'\n').ok_or(CUT_OFF)?;
        let line = self.take(len)?;
        self.pass(1)?;
        Ok(line)
    }

    /// Reads a little-endian number of `len` bytes.
    fn number(&mut self, len: usize) -> Result<u64, Fault> {
        Ok(super::number(self.take(len)?))
    }

    fn push(&mut self, size: u64) {
        self.stack.push(Value { size: size + VALUE, ..Value::default() });
    }

    fn push_number(&mut self, len: usize) -> Result<(), Fault> {
        self.pass(len)?;
        self.push(0);
        Ok(())
    }

    fn push_raw(&mut self, digits: usize) -> Result<(), Fault> {
        self.push_bytes(digits).map(|_| ())
    }

    /// Pushes bytes that follow their length, which has `digits` bytes.
    fn push_bytes(&mut self, digits: usize) -> Result<&'a [u8], Fault> {
        let len = usize::try_from(self.number(digits)?).map_err(|_| CUT_OFF)?;
        let bytes = self.take(len)?;
        self.push(len as u64);
        Ok(bytes)
    }

    fn push_text(&mut self, digits: usize) -> Result<(), Fault> {
        let text = self.push_bytes(digits)?;
        self.top()?.text = Some(text);
        Ok(())
    }

    fn push_global(&mut self, module: &[u8], name: &[u8]) -> Result<(), Fault> {
        if !is_plain(module, name) {
            let [module, name] = [module, name].map(|text| text.escape_ascii().to_string());
            let name: String = format!("{module}.{name}").chars().take(80).collect();
            return Err(Fault::Foreign(format!(
                "its pickle names `{name}`, which is neither a tensor nor a plain value of Python"
            )));
        }
        self.push((module.len() + name.len()) as u64);
        Ok(())
    }

    fn top(&mut self) -> Result<&mut Value<'a>, Fault> {
        match self.marks.last() == Some(&self.stack.len()) {
            true => Err(UNDERFLOW),
            false => self.stack.last_mut().ok_or(UNDERFLOW),
        }
    }

    fn pop(&mut self) -> Result<Value<'a>, Fault> {
        self.top()?;
        self.stack.pop().ok_or(UNDERFLOW)
    }

    /// Removes all values above the newest mark and returns their total size.
    fn pop_to_mark(&mut self) -> Result<u64, Fault> {
        let mark = self.marks.pop().ok_or(UNDERFLOW)?;
        Ok(self.stack.drain(mark..).map(|value| value.size).sum())
    }

    /// Merges `count` values into one.
    fn merge(&mut self, count: usize) -> Result<(), Fault> {
        let mut size = 0;
        for _ in 0..count {
            size += self.pop()?.size;
        }
        self.push(size);
        Ok(())
    }

    /// Adds `count` values to the value below them.
    fn add(&mut self, count: usize) -> Result<(), Fault> {
        self.merge(count)?;
        let size = self.pop()?.size;
        self.top()?.size += size;
        Ok(())
    }

    fn copy(&mut self, value: &Value) -> Result<(), Fault> {
        let left = &mut self.machine.copies_left;
        *left = left.checked_sub(value.size).ok_or_else(|| {
            Fault::Foreign("its pickle unfolds into far more than a checkpoint's".into())
        })?;
        Ok(())
    }

    /// Memoises the top value under the index that follows, or under the next free index if none follows.
    fn memoise(&mut self, digits: usize) -> Result<(), Fault> {
        let index = match digits {
            0 => self.memo.len() as u32,
            digits => self.number(digits)? as u32,
        };
        let top = self.top()?;
        top.memo = Some(index);
        let value = top.clone();
        self.copy(&value)?;
        self.memo.insert(index, value);
        Ok(())
    }

    fn recall(&mut self, digits: usize) -> Result<(), Fault> {
        let index = self.number(digits)? as u32;
        let value = self.memo.get(&index).ok_or(UNDERFLOW)?.clone();
        self.copy(&value)?;
        self.stack.push(value);
        Ok(())
    }
}

/// Whether a name belongs to a tensor or to a plain value of Python's standard library. What other libraries do with a
/// pickle is unknown.
fn is_plain(module: &[u8], name: &[u8]) -> bool {
    match module {
        b"torch" | b"torch.storage" if name.ends_with(b"Storage") => true,
        b"torch" => matches!(
            name,
            b"Size"
                | b"device"
                | b"float64"
                | b"float32"
                | b"float16"
                | b"bfloat16"
                | b"int64"
                | b"int32"
                | b"int16"
                | b"int8"
                | b"uint8"
                | b"bool"
        ),
        b"torch._utils" => matches!(
            name,
            b"_rebuild_tensor"
                | b"_rebuild_tensor_v2"
                | b"_rebuild_tensor_v3"
                | b"_rebuild_parameter"
                | b"_rebuild_parameter_with_state"
        ),
        b"collections" => matches!(name, b"OrderedDict" | b"Counter"),
        b"builtins" | b"__builtin__" => matches!(
            name,
            b"set"
                | b"frozenset"
                | b"bytearray"
                | b"bytes"
                | b"complex"
                | b"slice"
                | b"range"
                | b"object"
                | b"int"
                | b"float"
                | b"str"
                | b"bool"
                | b"list"
                | b"tuple"
                | b"dict"
        ),
        b"argparse" => name == b"Namespace",
        b"types" => name == b"SimpleNamespace",
        b"pathlib" | b"pathlib._local" => name.ends_with(b"Path"),
        b"datetime" => {
            matches!(name, b"datetime" | b"date" | b"time" | b"timedelta" | b"timezone")
        }
        b"decimal" => name == b"Decimal",
        b"fractions" => name == b"Fraction",
        b"uuid" => name == b"UUID",
        // The functions with which older protocols write bytes and objects.
        b"_codecs" => name == b"encode",
        b"copyreg" | b"copy_reg" => name == b"_reconstructor",
        _ => false,
    }
}
