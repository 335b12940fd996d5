//! The tables, for C and Perl to read at boot.

use super::value::Text;
use crate::config::{Kind, OPTIONS, Side};
use crate::event::{self, Direction, MAX_FIELDS, scope};

/// A name and a number for its kind.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FieldRow {
    pub name: Text,
    pub kind: u8,
}

/// One event.
#[repr(C)]
pub struct EventRow {
    pub name: Text,
    pub is_sent: u8,
    pub count: u8,
    pub fields: [FieldRow; MAX_FIELDS],
}

super::export! {
    /// The event at `index`; 0 past the last.
    fn pagi_event_row(index: usize, out: &mut EventRow) -> u8, 0, {
        let Some(row) = event::rows().nth(index) else { return 0 };
        out.name = Text::of(row.name.as_bytes());
        out.is_sent = u8::from(row.direction == Direction::Send);
        out.count = row.fields.len() as u8;
        for (slot, field) in out.fields.iter_mut().zip(row.fields) {
            *slot = FieldRow { name: Text::of(field.name.as_bytes()), kind: field.kind as u8 };
        }
        1
    }
}

super::export! {
    /// The name of scope `kind`; empty past the last.
    fn pagi_scope_name(kind: usize) -> Text, Text::EMPTY, {
        scope::Type::ALL.get(kind).map_or(Text::EMPTY, |kind| Text::of(kind.name().as_bytes()))
    }
}

super::export! {
    /// The key at `index` of scope `kind`; 0 past the last.
    fn pagi_scope_row(kind: usize, index: usize, out: &mut FieldRow) -> u8, 0, {
        let key = scope::Type::ALL.get(kind).and_then(|kind| kind.keys().get(index));
        let Some(key) = key else { return 0 };
        *out = FieldRow { name: Text::of(key.name.as_bytes()), kind: key.kind as u8 };
        1
    }
}

super::export! {
    /// The key of the extension `tls` among the others.
    fn pagi_tls_name() -> Text, Text::EMPTY, { Text::of(scope::TLS_KEY.as_bytes()) }
}

super::export! {
    /// The key of the extension `tls` at `index`; 0 past the last.
    fn pagi_tls_row(index: usize, out: &mut FieldRow) -> u8, 0, {
        let Some(key) = scope::TLS.get(index) else { return 0 };
        *out = FieldRow { name: Text::of(key.name.as_bytes()), kind: key.kind as u8 };
        1
    }
}

/// One option, as text for the Perl side.
#[repr(C)]
pub struct OptionRow {
    pub name: Text,
    pub kind: Text,
    pub choices: Text,
    pub default: Text,
    pub min: f64,
    pub max: f64,
    pub side: Text,
    pub flags: Text,
    pub doc: Text,
}

super::export! {
    /// The option at `index`; 0 past the last.
    fn pagi_option_row(index: usize, out: &mut OptionRow) -> u8, 0, {
        let Some(row) = OPTIONS.get(index) else { return 0 };
        let text = |s: &'static str| Text::of(s.as_bytes());
        let choices = if let Kind::Choice(words) = row.kind { words } else { "" };
        let side = match row.side {
            Side::Core => "core",
            Side::Perl => "perl",
        };
        *out = OptionRow {
            name: text(row.name), kind: text(kind(row.kind)), choices: text(choices),
            default: text(row.default), min: row.min, max: row.max,
            side: text(side), flags: text(row.flags), doc: text(row.doc),
        };
        1
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Code => "code",
        Kind::Str => "str",
        Kind::Path => "path",
        Kind::Mode => "mode",
        Kind::List => "list",
        Kind::Hash => "hash",
        Kind::Handle => "handle",
        Kind::Bool => "bool",
        Kind::Count => "count",
        Kind::Bytes => "bytes",
        Kind::Seconds => "seconds",
        Kind::Choice(_) => "choice",
    }
}
