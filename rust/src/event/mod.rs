//! The vocabulary: every event PAGI names, as a row.
//!
//! A row gives the event's type and the shape of its fields. The typed event, its reader, the
//! decoding in `xs/` and the documentation all come from the row.

pub mod http;
pub mod scope;
pub mod sse;
pub mod value;
pub mod websocket;

pub use value::{FromValue, Kind, Pair, PairList, ToValue, Value};

/// Which way an event goes, seen from the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// What `$send` takes.
    Send,
    /// What `$receive` gives.
    Receive,
}

/// One field of a row.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// The hash key.
    pub name: &'static str,
    /// The shape of its value.
    pub kind: Kind,
}

/// One event.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The value of its `type` key.
    pub name: &'static str,
    /// Sent or received.
    pub direction: Direction,
    /// Its other keys.
    pub fields: &'static [Field],
    /// What it is for, in one line.
    pub doc: &'static str,
}

/// Most fields that any row has; what `xs/` reserves for one event.
pub const MAX_FIELDS: usize = 8;

/// Every event, in one numbering: the boundary speaks of an event by its place in this list.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    TABLES.iter().flat_map(|table| table.iter())
}

/// The row at `index` of [`rows`].
pub fn row(index: usize) -> Option<&'static Row> {
    rows().nth(index)
}

/// The row at `index` of [`rows`], as its table and its place in there.
pub fn locate(index: usize) -> Option<(Table, usize)> {
    let mut rest = index;
    for (at, table) in TABLES.iter().enumerate() {
        if rest < table.len() {
            return Some((ORDER[at], rest));
        }
        rest -= table.len();
    }
    None
}

/// The place in [`rows`] of the first row of a table.
pub fn base(table: Table) -> usize {
    let before = ORDER.iter().take_while(|t| **t != table).count();
    TABLES[..before].iter().map(|t| t.len()).sum()
}

/// The tables, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// [`http::HttpSend`].
    HttpSend,
    /// [`http::HttpReceive`].
    HttpReceive,
    /// [`websocket::WebSocketSend`].
    WebSocketSend,
    /// [`websocket::WebSocketReceive`].
    WebSocketReceive,
    /// [`sse::SseSend`].
    SseSend,
    /// [`sse::SseReceive`].
    SseReceive,
}

static ORDER: &[Table] = &[
    Table::HttpSend,
    Table::HttpReceive,
    Table::WebSocketSend,
    Table::WebSocketReceive,
    Table::SseSend,
    Table::SseReceive,
];
static TABLES: &[&[Row]] = &[
    http::HttpSend::ROWS,
    http::HttpReceive::ROWS,
    websocket::WebSocketSend::ROWS,
    websocket::WebSocketReceive::ROWS,
    sse::SseSend::ROWS,
    sse::SseReceive::ROWS,
];

/// An event on its way to the application, of any scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Receive {
    /// Of an `http` scope.
    Http(http::HttpReceive),
    /// Of a `websocket` scope.
    WebSocket(websocket::WebSocketReceive),
    /// Of an `sse` scope.
    Sse(sse::SseReceive),
}

impl Receive {
    /// The event's place in [`rows`].
    pub fn row(&self) -> usize {
        match self {
            Receive::Http(event) => base(Table::HttpReceive) + event.row(),
            Receive::WebSocket(event) => base(Table::WebSocketReceive) + event.row(),
            Receive::Sse(event) => base(Table::SseReceive) + event.row(),
        }
    }

    /// How many bytes its fields hold.
    pub fn weight(&self) -> usize {
        match self {
            Receive::WebSocket(websocket::WebSocketReceive::Text { text }) => text.len(),
            Receive::WebSocket(websocket::WebSocketReceive::Binary { bytes }) => bytes.len(),
            Receive::Http(_) | Receive::WebSocket(_) | Receive::Sse(_) => 0,
        }
    }

    /// Puts the values of its fields, in the row's order, into `out`.
    pub fn values<'a>(&'a self, out: &mut [Value<'a>; MAX_FIELDS]) {
        match self {
            Receive::Http(event) => event.values(out),
            Receive::WebSocket(event) => event.values(out),
            Receive::Sse(event) => event.values(out),
        }
    }
}

/// The rows of events: what [`sent`] and [`received`] share.
macro_rules! as_rows {
    ($direction:ident { $($text:literal $event:literal { $($field:ident: $kind:ident),* })* }) => {
        &[$($crate::event::Row {
            name: $event,
            direction: $crate::event::Direction::$direction,
            fields: &[$($crate::event::Field {
                name: stringify!($field),
                kind: $crate::event::Kind::$kind,
            },)*],
            doc: $text,
        },)*]
    };
}
pub(crate) use as_rows;

/// Declares the events that an application sends in one scope: rows, enum and reader at once.
macro_rules! sent {
    ($(#[$doc:meta])* $name:ident { $(
        #[doc = $text:literal]
        $event:literal => $variant:ident { $($field:ident: $kind:ident),* },
    )* }) => {
        $(#[$doc])*
        pub enum $name<'a> { $(
            #[doc = $text]
            $variant { $(
                #[doc = concat!("`", stringify!($field), "`")]
                $field: $crate::event::sent!(@type $kind 'a),
            )* },
        )* }

        impl<'a> $name<'a> {
            /// The rows of these events.
            pub const ROWS: &'static [$crate::event::Row] = $crate::event::as_rows!(
                Send { $($text $event { $($field: $kind),* })* }
            );

            /// The event of the row at `index` with `values` for its fields in the row's order.
            pub fn read(
                index: usize,
                values: &[$crate::event::Value<'a>],
            ) -> Result<$name<'a>, $crate::error::SendError> {
                let mut row = 0;
                $(
                    if index == row {
                        #[allow(unused_mut, unused_variables,
                            reason = "an event without fields reads nothing")]
                        let mut next = values.iter();
                        return Ok($name::$variant { $(
                            $field: $crate::event::FromValue::from_value(
                                next.next().unwrap_or(&$crate::event::Value::Absent),
                            ).map_err(|problem| $crate::error::SendError::Field {
                                event: $event, field: stringify!($field), problem,
                            })?,
                        )* });
                    }
                    row += 1;
                )*
                let _ = row;
                Err($crate::error::SendError::Unsupported("this event"))
            }
        }
    };
    (@type Int $life:lifetime) => { Option<i64> };
    (@type Bytes $life:lifetime) => { Option<&$life [u8]> };
    (@type Flag $life:lifetime) => { bool };
    (@type Path $life:lifetime) => { Option<&$life [u8]> };
    (@type Handle $life:lifetime) => { Option<std::os::fd::BorrowedFd<$life>> };
    (@type Pairs $life:lifetime) => { Option<&$life dyn $crate::event::PairList> };
    (@type Text $life:lifetime) => { Option<&$life str> };
    (@type Number $life:lifetime) => { Option<f64> };
}
pub(crate) use sent;

/// Declares the events that an application receives in one scope: rows, enum and writer at once.
///
/// Two variants may share a type where its fields exclude each other: a field that is not in the
/// variant is no key of the event.
macro_rules! received {
    ($(#[$doc:meta])* $name:ident { $(
        #[doc = $text:literal]
        $event:literal => $variant:ident { $($field:ident: $kind:ident),* },
    )* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum $name { $(
            #[doc = $text]
            $variant { $(
                #[doc = concat!("`", stringify!($field), "`")]
                $field: $crate::event::received!(@type $kind),
            )* },
        )* }

        impl $name {
            /// The rows of these events.
            pub const ROWS: &'static [$crate::event::Row] = $crate::event::as_rows!(
                Receive { $($text $event { $($field: $kind),* })* }
            );

            /// This event's place in the rows.
            pub fn row(&self) -> usize {
                let row = 0;
                $crate::event::received!(@row self, row, $name, $($variant)*)
            }

            /// Puts the values of its fields, in the row's order, into `out`.
            pub fn values<'a>(
                &'a self,
                out: &mut [$crate::event::Value<'a>; $crate::event::MAX_FIELDS],
            ) {
                match self { $(
                    $name::$variant { $($field),* } => {
                        #[allow(unused_mut, unused_variables,
                            reason = "an event without fields writes nothing")]
                        let mut slots = out.iter_mut();
                        $(
                            if let Some(slot) = slots.next() {
                                *slot = $crate::event::ToValue::to_value($field);
                            }
                        )*
                    }
                )* }
            }
        }
    };
    (@row $self:ident, $row:expr, $name:ident, $variant:ident $($rest:ident)*) => {
        if matches!($self, $name::$variant { .. }) { $row } else {
            let row = $row + 1;
            $crate::event::received!(@row $self, row, $name, $($rest)*)
        }
    };
    (@row $self:ident, $row:expr, $name:ident,) => { $row };
    (@type Bytes) => { bytes::Bytes };
    (@type Text) => { String };
    (@type Flag) => { bool };
    (@type Int) => { i64 };
}
pub(crate) use received;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_found_again_by_its_place() {
        for (index, row) in rows().enumerate() {
            let (table, at) = locate(index).expect("every row has a place");
            assert_eq!(base(table) + at, index);
            assert!(row.fields.len() <= MAX_FIELDS, "{}", row.name);
        }
        assert!(locate(rows().count()).is_none());
    }
}
