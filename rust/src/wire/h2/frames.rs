//! Frames in a stream of bytes, however that is cut.
//= RFC 9113 4.1

/// Bytes of a frame's header.
pub const HEAD: usize = 9;

/// Where in it the kind is.
pub const KIND: usize = 3;

/// The beginning of a payload that is looked at.
pub const LEAD: usize = 6;

/// The kinds of frames, by their numbers.
#[allow(missing_docs, reason = "the names are those of RFC 9113 6")]
pub mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PUSH_PROMISE: u8 = 5;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// Flags, some of which share a bit.
#[allow(missing_docs, reason = "the names are those of RFC 9113 6")]
pub mod flag {
    pub const END_STREAM: u8 = 1;
    pub const ACK: u8 = 1;
    pub const END_HEADERS: u8 = 4;
    pub const PADDED: u8 = 8;
    pub const PRIORITY: u8 = 32;
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Bytes of payload.
    pub len: u32,
    /// See [`kind`].
    pub kind: u8,
    /// See [`flag`].
    pub flags: u8,
    /// The stream's number.
    pub id: u32,
}

impl Head {
    fn read(bytes: [u8; HEAD]) -> Head {
        let [a, b, c, kind, flags, w, x, y, z] = bytes;
        let len = u32::from_be_bytes([0, a, b, c]);
        Head { len, kind, flags, id: u32::from_be_bytes([w, x, y, z]) & 0x7fff_ffff }
    }

    /// Whether a flag is set.
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// What comes next in a stream of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A frame's header is complete.
    Head(Head),
    /// So are the first bytes of its payload; how many of [`LEAD`] is told with it. More of the
    /// same payload may follow, in steps of the same size, where that was asked for.
    Lead([u8; LEAD], usize),
    /// The frame is.
    End,
}

/// Walks from frame to frame.
#[derive(Clone, Copy, Debug)]
pub struct Walker {
    head: [u8; HEAD],
    have: usize,
    lead: [u8; LEAD],
    lead_have: usize,
    current: Head,
    left: u32,
    in_payload: bool,
    /// Look at all of the payload, not only at its beginning.
    pub in_full: bool,
}

impl Walker {
    /// Begins after `skip` bytes that are no frames.
    pub fn new(skip: u32) -> Walker {
        let current = Head { kind: u8::MAX, ..Head::default() };
        Walker {
            head: [0; HEAD],
            have: 0,
            lead: [0; LEAD],
            lead_have: LEAD,
            current,
            left: skip,
            in_payload: skip > 0,
            in_full: false,
        }
    }

    /// The header of the frame that is under way.
    pub fn current(&self) -> Head {
        self.current
    }

    /// A frame has begun and not ended.
    pub fn is_inside(&self) -> bool {
        self.in_payload || self.have > 0
    }

    /// Takes what it can of the front of `bytes`, up to the next step.
    pub fn step(&mut self, bytes: &mut &[u8]) -> Option<Step> {
        if !self.in_payload {
            let n = bytes.len().min(HEAD - self.have);
            self.head[self.have..self.have + n].copy_from_slice(&bytes[..n]);
            *bytes = &bytes[n..];
            self.have += n;
            if self.have < HEAD {
                return None;
            }
            self.current = Head::read(self.head);
            (self.have, self.lead_have) = (0, 0);
            (self.left, self.in_payload, self.in_full) = (self.current.len, true, false);
            return Some(Step::Head(self.current));
        }
        self.payload(bytes)
    }

    fn payload(&mut self, bytes: &mut &[u8]) -> Option<Step> {
        if self.lead_have < LEAD && self.left > 0 {
            let n = bytes.len().min(LEAD - self.lead_have).min(self.left as usize);
            self.lead[self.lead_have..self.lead_have + n].copy_from_slice(&bytes[..n]);
            *bytes = &bytes[n..];
            self.lead_have += n;
            self.left -= n as u32;
            if self.lead_have < LEAD && self.left > 0 {
                return None;
            }
            let have = std::mem::replace(&mut self.lead_have, if self.in_full { 0 } else { LEAD });
            return Some(Step::Lead(self.lead, have));
        }
        let n = bytes.len().min(self.left as usize);
        *bytes = &bytes[n..];
        self.left -= n as u32;
        if self.left > 0 {
            return None;
        }
        self.in_payload = false;
        Some(Step::End)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: &[u8] = b"PRI\0\0\x05\x02\0\0\0\0\x03\x01\x02\x03\x04\x05\0\0\0\x04\x01\0\0\0\0";

    fn steps(pieces: impl Iterator<Item = &'static [u8]>) -> Vec<Step> {
        let (mut walker, mut steps) = (Walker::new(3), Vec::new());
        for mut piece in pieces {
            loop {
                let before = piece.len();
                match walker.step(&mut piece) {
                    Some(step) => steps.push(step),
                    None if piece.is_empty() => break,
                    None => assert!(piece.len() < before),
                }
            }
        }
        steps
    }

    #[test]
    fn frames_are_found_however_they_are_cut() {
        let whole = steps(std::iter::once(BYTES));
        assert_eq!(whole[1], Step::Head(Head { len: 5, kind: 2, flags: 0, id: 3 }));
        assert_eq!(whole[2], Step::Lead([1, 2, 3, 4, 5, 0], 5));
        assert_eq!(whole[4], Step::Head(Head { len: 0, kind: 4, flags: 1, id: 0 }));
        assert_eq!(whole.len(), 6);
        for size in 1..BYTES.len() {
            assert_eq!(steps(BYTES.chunks(size)), whole, "{size}");
        }
    }
}
