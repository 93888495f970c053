//! Decisions drawn from bytes, so that a fuzzer and a seeded generator steer the same mutations.

/// Bytes to decide by. When they run out, every decision is the first choice.
pub(crate) struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    /// A number below `count`, or 0.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        let mut number = usize::from(self.byte());
        let mut bound = 256;
        while bound < count {
            number = number << 8 | usize::from(self.byte());
            bound <<= 8;
        }
        number % count.max(1)
    }

    pub(crate) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// Changes some bytes of `file` from `begin` on: single bits, bytes, numbers with meaning, cuts, copies.
    pub(crate) fn edit(&mut self, file: &mut Vec<u8>, begin: usize, len: usize) {
        let len = len.min(file.len().saturating_sub(begin));
        if len == 0 {
            return;
        }
        let at = begin + self.below(len);
        const WORDS: [u64; 10] =
            [0, 1, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, u64::MAX, i64::MAX as u64];
        match self.below(6) {
            0 => file[at] ^= 1 << self.below(8),
            1 => file[at] = self.byte(),
            2 => {
                let (width, word) = (self.pick(&[1, 2, 4, 8]), self.pick(&WORDS));
                let bytes = match self.below(2) {
                    0 => word.to_le_bytes()[..width].to_vec(),
                    _ => word.to_be_bytes()[8 - width..].to_vec(),
                };
                for (to, from) in file[at..].iter_mut().zip(bytes) {
                    *to = from;
                }
            }
            3 => file.truncate(at),
            4 => {
                let end = (at + 1 + self.below(64)).min(file.len());
                file.drain(at..end);
            }
            _ => {
                let end = (at + 1 + self.below(64)).min(file.len());
                let copy = file[at..end].to_vec();
                let to = self.below(file.len() + 1);
                file.splice(to..to, copy);
            }
        }
    }
}
