//! Plain values across the boundary.

use std::os::fd::{BorrowedFd, RawFd};

use crate::error::HeaderFault;
use crate::event::{Pair, PairList, Value};

/// Bytes that somebody else keeps alive.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Text {
    pub ptr: *const u8,
    pub len: usize,
}

impl Text {
    pub const EMPTY: Text = Text { ptr: std::ptr::null(), len: 0 };

    pub fn of(bytes: &[u8]) -> Text {
        Text { ptr: bytes.as_ptr(), len: bytes.len() }
    }

    /// The bytes, for as long as the caller of the export keeps them.
    pub fn bytes<'a>(self) -> &'a [u8] {
        if self.ptr.is_null() {
            return &[];
        }
        // SAFETY: "Texts": readable for the time of the call, and no export keeps the slice.
        unsafe { std::slice::from_raw_parts(self.ptr, self.len) }
    }

    pub fn string(self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }
}

/// Bytes that cross with their ownership; `pagi_owned_free` ends them.
#[repr(C)]
pub struct Owned {
    pub ptr: *mut u8,
    pub len: usize,
}

impl Owned {
    pub const NONE: Owned = Owned { ptr: std::ptr::null_mut(), len: 0 };

    /// Its bytes, for as long as it is not freed.
    pub fn text(&self) -> Text {
        Text { ptr: self.ptr, len: self.len }
    }

    pub fn new(text: String) -> Owned {
        Owned::of(text.into_bytes())
    }

    pub fn of(bytes: Vec<u8>) -> Owned {
        let boxed = bytes.into_boxed_slice();
        let len = boxed.len();
        Owned { ptr: Box::into_raw(boxed).cast(), len }
    }
}

super::export! {
    /// Frees a string that came across as owned.
    fn pagi_owned_free(owned: Owned) -> (), (), {
        if !owned.ptr.is_null() {
            let slice = std::ptr::slice_from_raw_parts_mut(owned.ptr, owned.len);
            // SAFETY: "Handles": made by `Owned::new` from a box of that length, freed once.
            drop(unsafe { Box::from_raw(slice) });
        }
    }
}

/// The kinds of [`RawValue`]; `xs/pagi_core.h` has the same numbers.
pub mod tag {
    pub const ABSENT: u8 = 0;
    pub const INT: u8 = 1;
    pub const BYTES: u8 = 2;
    pub const PAIRS: u8 = 3;
    pub const FILE: u8 = 4;
    pub const WIDE: u8 = 5;
    pub const TEXT: u8 = 7;
    pub const NUMBER: u8 = 8;
}

/// One field of an event, as C decoded it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct RawValue {
    pub tag: u8,
    pub num: i64,
    pub real: f64,
    pub text: Text,
    pub pairs: *const RawPair,
}

/// One header tuple, as C decoded it; `fault` is 0, 1 for a wide character, 2 for a bad shape.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct RawPair {
    pub name: Text,
    pub value: Text,
    pub fault: u8,
}

/// Header tuples in C's memory.
pub struct RawPairs<'a>(pub &'a [RawPair]);

impl PairList for RawPairs<'_> {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn pair(&self, index: usize) -> Result<Pair<'_>, HeaderFault> {
        match self.0.get(index) {
            Some(pair) if pair.fault == 0 => {
                Ok(Pair { name: pair.name.bytes(), value: pair.value.bytes() })
            }
            Some(pair) if pair.fault == 1 => Err(HeaderFault::Wide),
            _ => Err(HeaderFault::NotAPair),
        }
    }
}

impl RawValue {
    /// Nothing.
    pub const NONE: RawValue = RawValue {
        tag: tag::ABSENT,
        num: 0,
        real: 0.0,
        text: Text::EMPTY,
        pairs: std::ptr::null(),
    };

    /// A field of a received event, as C reads it.
    pub fn of(value: &Value<'_>) -> RawValue {
        match value {
            Value::Int(num) => RawValue { tag: tag::INT, num: *num, ..RawValue::NONE },
            Value::Bytes(b) => RawValue { tag: tag::BYTES, text: Text::of(b), ..RawValue::NONE },
            Value::Text(b) => RawValue {
                tag: tag::TEXT,
                num: i64::from(!b.is_ascii()),
                text: Text::of(b),
                ..RawValue::NONE
            },
            Value::Number(real) => RawValue { tag: tag::NUMBER, real: *real, ..RawValue::NONE },
            _ => RawValue::NONE,
        }
    }

    /// The header tuples of a value of tag [`tag::PAIRS`].
    pub fn pairs<'a>(&self) -> RawPairs<'a> {
        if self.tag != tag::PAIRS || self.pairs.is_null() {
            return RawPairs(&[]);
        }
        // SAFETY: "Texts", for `text.len` tuples.
        RawPairs(unsafe { std::slice::from_raw_parts(self.pairs, self.text.len) })
    }

    /// The descriptor behind a value of tag [`tag::FILE`].
    pub fn file<'a>(&self) -> Option<BorrowedFd<'a>> {
        let fd = RawFd::try_from(self.num).ok().filter(|fd| self.tag == tag::FILE && *fd >= 0)?;
        // SAFETY: "Texts": C holds the descriptor open for the time of the call, and no export
        // keeps it.
        Some(unsafe { BorrowedFd::borrow_raw(fd) })
    }

    /// The value as the grammar reads it.
    pub fn value<'a>(&self, pairs: &'a RawPairs<'a>) -> Value<'a> {
        match self.tag {
            tag::ABSENT => Value::Absent,
            tag::INT => Value::Int(self.num),
            tag::BYTES => Value::Bytes(self.text.bytes()),
            tag::PAIRS => Value::Pairs(pairs),
            tag::FILE => self.file().map_or(Value::Wrong, Value::File),
            tag::WIDE => Value::Wide,
            tag::TEXT => Value::Text(self.text.bytes()),
            tag::NUMBER => Value::Number(self.real),
            _ => Value::Wrong,
        }
    }
}
