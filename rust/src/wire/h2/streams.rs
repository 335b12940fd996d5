//! Who has ended which stream.
//= RFC 9113 5.1

/// Streams that were reset and may still see frames which their client sent before it knew.
const MOST_RESET: usize = 256;

/// Ranges of numbers that a client skipped.
const MOST_GAPS: usize = 16;

#[derive(Clone, Copy, Debug)]
struct Record {
    id: u32,
    /// The client has ended its side.
    in_closed: bool,
    /// The server has ended its own.
    out_closed: bool,
    /// The server has reset it.
    is_reset: bool,
}

impl Record {
    fn standing(&self) -> Standing {
        match self.in_closed {
            false => Standing::Open,
            true if self.out_closed || self.is_reset => Standing::Closed,
            true => Standing::Ended,
        }
    }
}

/// How a stream stands, as the client must know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Never opened, and it may be.
    Idle,
    /// Never opened, and too late for it.
    Skipped,
    /// The client may send on it.
    Open,
    /// The client has ended it, and the server has not.
    Ended,
    /// It is over.
    Closed,
}

/// The streams of one connection that are not over, by number.
#[derive(Default)]
pub struct Streams {
    highest: u32,
    records: Vec<Record>,
    resets: usize,
    gaps: Vec<(u32, u32)>,
}

impl Streams {
    fn find(&self, id: u32) -> Result<usize, usize> {
        self.records.binary_search_by_key(&id, |record| record.id)
    }

    /// How it stands.
    pub fn standing(&self, id: u32) -> Standing {
        if id > self.highest {
            return Standing::Idle;
        }
        match self.find(id) {
            Ok(at) => self.records[at].standing(),
            Err(_) if self.gaps.iter().any(|(low, high)| (*low..=*high).contains(&id)) => {
                Standing::Skipped
            }
            Err(_) => Standing::Closed,
        }
    }

    /// The client opened an idle one.
    pub fn open(&mut self, id: u32) {
        let expected = self.highest + if self.highest == 0 { 1 } else { 2 };
        if id > expected {
            if self.gaps.len() == MOST_GAPS {
                self.gaps.remove(0);
            }
            self.gaps.push((expected, id - 2));
        }
        self.highest = id;
        let closed = false;
        self.records.push(Record { id, in_closed: closed, out_closed: closed, is_reset: closed });
    }

    /// The client ended its side.
    pub fn client_ended(&mut self, id: u32) {
        let Ok(at) = self.find(id) else { return };
        self.records[at].in_closed = true;
        if self.records[at].out_closed {
            self.remove(at);
        }
    }

    /// The client went on although it had ended its side: the server resets it, and what is under way
    /// is passed over.
    pub fn reopen(&mut self, id: u32) {
        if let Ok(at) = self.find(id) {
            self.records[at].in_closed = false;
        }
    }

    /// The client reset it; true if it was still waiting for its response.
    pub fn client_reset(&mut self, id: u32) -> bool {
        let Ok(at) = self.find(id) else { return false };
        let was_waiting = !self.records[at].out_closed && !self.records[at].is_reset;
        self.remove(at);
        was_waiting
    }

    /// The server ended its side.
    pub fn server_ended(&mut self, id: u32) {
        let Ok(at) = self.find(id) else { return };
        self.records[at].out_closed = true;
        if self.records[at].in_closed {
            self.remove(at);
        }
    }

    /// The server reset it; true if it was still waiting for its response.
    pub fn server_reset(&mut self, id: u32) -> bool {
        let Ok(at) = self.find(id) else { return false };
        let was_waiting = !self.records[at].out_closed && !self.records[at].is_reset;
        if self.records[at].in_closed {
            self.remove(at);
            return was_waiting;
        }
        self.resets += usize::from(!self.records[at].is_reset);
        self.records[at].is_reset = true;
        if self.resets > MOST_RESET {
            if let Some(oldest) = self.records.iter().position(|record| record.is_reset) {
                self.remove(oldest);
            }
        }
        was_waiting
    }

    fn remove(&mut self, at: usize) {
        let record = self.records.remove(at);
        self.resets -= usize::from(record.is_reset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_closed_by_its_client_alone() {
        let mut streams = Streams::default();
        assert_eq!(streams.standing(1), Standing::Idle);
        streams.open(1);
        streams.server_ended(1);
        assert_eq!(streams.standing(1), Standing::Open);
        streams.client_ended(1);
        assert_eq!(streams.standing(1), Standing::Closed);
        streams.open(3);
        streams.client_ended(3);
        assert_eq!(streams.standing(3), Standing::Ended);
        streams.server_ended(3);
        assert_eq!(streams.standing(3), Standing::Closed);
        streams.open(7);
        assert_eq!(streams.standing(5), Standing::Skipped);
        assert_eq!(streams.standing(1), Standing::Closed);
    }

    #[test]
    fn what_the_server_reset_may_still_see_frames() {
        let mut streams = Streams::default();
        for n in 0..1000 {
            streams.open(2 * n + 1);
            streams.server_reset(2 * n + 1);
        }
        assert_eq!(streams.standing(1999), Standing::Open);
        assert_eq!(streams.standing(1), Standing::Closed);
        assert_eq!(streams.records.len(), MOST_RESET);
        assert!(!streams.client_reset(1999), "it was not waiting any more");
    }
}
