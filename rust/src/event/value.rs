//! The handful of shapes that a field of an event can have.

use std::os::fd::BorrowedFd;

use crate::error::HeaderFault;

/// The declared shape of a field. `xs/` knows these and nothing else of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A whole number.
    Int = 1,
    /// A byte string.
    Bytes = 2,
    /// True or false, by Perl's rules.
    Flag = 3,
    /// Header tuples.
    Pairs = 4,
    /// A file name.
    Path = 5,
    /// A filehandle.
    Handle = 6,
    /// Characters: UTF-8 on this side.
    Text = 7,
    /// A number with a fraction, such as seconds.
    Number = 8,
}

/// One field of an event on its way from the application or to it.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    /// Not given, or undef.
    Absent,
    /// An open, seekable file.
    File(BorrowedFd<'a>),
    /// A whole number, or a truth value.
    Int(i64),
    /// Bytes.
    Bytes(&'a [u8]),
    /// Characters, as UTF-8 that is yet to be checked.
    Text(&'a [u8]),
    /// A number with a fraction.
    Number(f64),
    /// Header tuples.
    Pairs(&'a dyn PairList),
    /// A string with code points above 0xFF where bytes are asked for.
    Wide,
    /// Of another shape than the row declares.
    Wrong,
}

/// One header tuple as the application gave it.
pub struct Pair<'a> {
    /// The name, in the application's case.
    pub name: &'a [u8],
    /// The value.
    pub value: &'a [u8],
}

/// Header tuples, wherever they live.
pub trait PairList {
    /// How many there are.
    fn count(&self) -> usize;
    /// The one at `index`, or what is wrong with its shape.
    fn pair(&self, index: usize) -> Result<Pair<'_>, HeaderFault>;
}

impl PairList for Vec<(&str, &str)> {
    fn count(&self) -> usize {
        self.len()
    }

    fn pair(&self, index: usize) -> Result<Pair<'_>, HeaderFault> {
        let (name, value) = self.get(index).ok_or(HeaderFault::NotAPair)?;
        Ok(Pair { name: name.as_bytes(), value: value.as_bytes() })
    }
}

/// Reads a field, or says what it must be.
pub trait FromValue<'a>: Sized {
    /// The field's typed value.
    fn from_value(value: &Value<'a>) -> Result<Self, &'static str>;
}

impl<'a> FromValue<'a> for Option<i64> {
    fn from_value(value: &Value<'a>) -> Result<Self, &'static str> {
        match value {
            Value::Absent => Ok(None),
            Value::Int(n) => Ok(Some(*n)),
            _ => Err("must be an integer"),
        }
    }
}

impl<'a> FromValue<'a> for bool {
    fn from_value(value: &Value<'a>) -> Result<Self, &'static str> {
        Ok(match value {
            Value::Absent | Value::Int(0) => false,
            Value::Int(_) => true,
            _ => return Err("must be 0 or 1"),
        })
    }
}

impl<'a> FromValue<'a> for Option<&'a [u8]> {
    fn from_value(value: &Value<'a>) -> Result<Self, &'static str> {
        match value {
            Value::Absent => Ok(None),
            Value::Bytes(bytes) => Ok(Some(bytes)),
            Value::Wide => Err("must be bytes: it contains wide characters, encode it first"),
            _ => Err("must be a byte string"),
        }
    }
}

impl<'a> FromValue<'a> for Option<&'a str> {
    fn from_value(value: &Value<'a>) -> Result<Self, &'static str> {
        match value {
            Value::Absent => Ok(None),
            Value::Text(text) => match std::str::from_utf8(text) {
                Ok(text) => Ok(Some(text)),
                Err(_) => Err("must be text: it contains code points that Unicode excludes"),
            },
            _ => Err("must be a string"),
        }
    }
}

impl<'a> FromValue<'a> for Option<f64> {
    fn from_value(value: &Value<'a>) -> Result<Self, &'static str> {
        match value {
            Value::Absent => Ok(None),
            Value::Number(number) if number.is_finite() => Ok(Some(*number)),
            _ => Err("must be a number"),
        }
    }
}

/// Shows a field of a received event, for the way to the application.
pub trait ToValue {
    /// The field's plain value.
    fn to_value(&self) -> Value<'_>;
}

impl ToValue for bytes::Bytes {
    fn to_value(&self) -> Value<'_> {
        Value::Bytes(self)
    }
}

impl ToValue for String {
    fn to_value(&self) -> Value<'_> {
        Value::Text(self.as_bytes())
    }
}

impl ToValue for bool {
    fn to_value(&self) -> Value<'_> {
        Value::Int(i64::from(*self))
    }
}

impl ToValue for i64 {
    fn to_value(&self) -> Value<'_> {
        Value::Int(*self)
    }
}

impl<'a> FromValue<'a> for Option<BorrowedFd<'a>> {
    fn from_value(value: &Value<'a>) -> Result<Self, &'static str> {
        match value {
            Value::Absent => Ok(None),
            Value::File(file) => Ok(Some(*file)),
            _ => Err("must be a filehandle"),
        }
    }
}

impl<'a> FromValue<'a> for Option<&'a dyn PairList> {
    fn from_value(value: &Value<'a>) -> Result<Self, &'static str> {
        match value {
            Value::Absent => Ok(None),
            Value::Pairs(list) => Ok(Some(*list)),
            _ => Err("must be an array reference"),
        }
    }
}
