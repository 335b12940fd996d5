//! What went to one stream and may go to the next: an event for a thousand subscribers is made once.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::scope::Piece;

/// The last piece that was shared, for as long as one of its streams has yet to write it.
#[derive(Default)]
pub struct Memo {
    last: Mutex<Weak<Vec<u8>>>,
}

impl Memo {
    /// The piece as bytes: those of the last one, if it is the same.
    pub fn give(&self, piece: &dyn Piece) -> Arc<Vec<u8>> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = last.upgrade().filter(|made| piece.is(made)) {
            return made;
        }
        let made = Arc::new(piece.make());
        *last = Arc::downgrade(&made);
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Text(&'static str);

    impl Piece for Text {
        fn is(&self, made: &[u8]) -> bool {
            made == self.0.as_bytes()
        }

        fn make(&self) -> Vec<u8> {
            self.0.into()
        }
    }

    #[test]
    fn the_same_piece_is_made_once_while_somebody_has_it() {
        let memo = Memo::default();
        let first = memo.give(&Text("a"));
        assert!(Arc::ptr_eq(&first, &memo.give(&Text("a"))));
        let other = memo.give(&Text("b"));
        assert_eq!((&first[..], &other[..]), (&b"a"[..], &b"b"[..]));
        drop((first, other));
        assert!(memo.last.lock().is_ok_and(|last| last.upgrade().is_none()), "nothing is kept");
    }
}
