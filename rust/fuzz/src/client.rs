//! The client's end of the connection, and the script that it follows.
//!
//! One letter a turn; any other byte is as good as one of them:
//!
//! | letter | what the client does |
//! |---|---|
//! | `0` to `9` | writes 1, 2, 4 ... 512 bytes |
//! | `w` | writes all that is left |
//! | `.` | nothing |
//! | `r` | stops reading, or reads again |
//! | `h` | ends its sending; what is left is never sent |
//! | `a` | closes |
//! | `t` `m` | lets 0.6 seconds or a minute and more pass |
//! | `d` `D` | makes the server drain, or end everything |
//!
//! Behind the last letter it reads, writes what is left and ends its sending.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// The letters, for the bytes that are none.
const LETTERS: &[u8] = b"0123456789w.rhatmdD345";

/// What only the world around a client can do for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Time passes.
    Pass(Duration),
    /// The server lets requests end and starts no other.
    Drain,
    /// The server ends everything.
    Abort,
}

/// A client.
pub struct Client {
    socket: Option<UnixStream>,
    script: Vec<u8>,
    step: usize,
    unsent: Vec<u8>,
    sent: usize,
    may_write: usize,
    reads: bool,
    ended: bool,
    /// It closed before it had seen all.
    pub aborted: bool,
    /// What it has read.
    pub received: Vec<u8>,
    /// The server ended its sending.
    pub saw_end: bool,
}

impl Client {
    /// A client that writes `bytes` over `socket`.
    pub fn new(socket: UnixStream, script: &[u8], bytes: &[u8]) -> Client {
        Client {
            socket: Some(socket),
            script: script.to_vec(),
            step: 0,
            unsent: bytes.to_vec(),
            sent: 0,
            may_write: 0,
            reads: true,
            ended: false,
            aborted: false,
            received: Vec::new(),
            saw_end: false,
        }
    }

    /// The script is over.
    pub fn is_through(&self) -> bool {
        self.step > self.script.len()
    }

    /// One letter of the script, and all the reading and writing that it allows; true if any
    /// thing happened.
    pub fn turn(&mut self) -> (bool, Option<Order>) {
        let (stepped, order) = self.follow();
        (self.write() | self.read() | stepped, order)
    }

    fn follow(&mut self) -> (bool, Option<Order>) {
        if self.step > self.script.len() {
            return (false, None);
        }
        self.step += 1;
        let Some(&byte) = self.script.get(self.step - 1) else {
            self.reads = true;
            self.may_write = usize::MAX;
            return (true, None);
        };
        let letter =
            if LETTERS.contains(&byte) { byte } else { LETTERS[byte as usize % LETTERS.len()] };
        let order = match letter {
            b't' => Some(Order::Pass(Duration::from_millis(600))),
            b'm' => Some(Order::Pass(Duration::from_secs(61))),
            b'd' => Some(Order::Drain),
            b'D' => Some(Order::Abort),
            _ => None,
        };
        match letter {
            b'0'..=b'9' => self.may_write = self.may_write.saturating_add(1 << (letter - b'0')),
            b'w' => self.may_write = usize::MAX,
            b'r' => self.reads = !self.reads,
            b'h' => self.unsent.truncate(self.sent),
            b'a' => {
                self.aborted = true;
                self.socket = None;
            }
            _ => {}
        }
        if letter == b'h' {
            self.end();
        }
        (true, order)
    }

    fn write(&mut self) -> bool {
        let before = (self.sent, self.ended);
        while let (Some(socket), true) = (&mut self.socket, self.may_write > 0 && !self.ended) {
            let end = self.unsent.len().min(self.sent.saturating_add(self.may_write));
            if end == self.sent {
                break;
            }
            match socket.write(&self.unsent[self.sent..end]) {
                Ok(written) => {
                    self.sent += written;
                    self.may_write -= if self.may_write == usize::MAX { 0 } else { written };
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // The server is gone.
                Err(_) => self.unsent.truncate(self.sent),
            }
        }
        if self.is_through() && self.sent == self.unsent.len() {
            self.end();
        }
        before != (self.sent, self.ended)
    }

    fn end(&mut self) {
        if let (Some(socket), false) = (&self.socket, self.ended) {
            // Fails only where the server is gone.
            let _ = socket.shutdown(Shutdown::Write);
            self.ended = true;
        }
    }

    fn read(&mut self) -> bool {
        let before = (self.received.len(), self.saw_end);
        let mut piece = [0; 16 * 1024];
        while let (Some(socket), true) = (&mut self.socket, self.reads && !self.saw_end) {
            match socket.read(&mut piece) {
                Ok(0) => self.saw_end = true,
                Ok(read) => self.received.extend_from_slice(&piece[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // A Unix socket is reset where the server closed with unread input.
                Err(_) => self.saw_end = true,
            }
        }
        before != (self.received.len(), self.saw_end)
    }
}
