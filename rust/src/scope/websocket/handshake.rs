//! How a handshake is answered: accepted, rejected, or denied with a response.

use super::{MOST_FRAMES, State, WebSocket};
use crate::error::SendError;
use crate::event::PairList;
use crate::scope::{Effects, Grammar, Note, each_field};
use crate::wire::fields::is_tchar;
use crate::wire::websocket::deflate::Deflater;
use crate::wire::websocket::messages::Reader;
use crate::wire::{Refusal, ResponseHead};

/// Fields of the handshake that are the server's; an application's are dropped.
const OURS: &[&[u8]] = &[
    b"connection",
    b"upgrade",
    b"sec-websocket-accept",
    b"sec-websocket-extensions",
    b"transfer-encoding",
    b"content-length",
];

impl WebSocket {
    /// Validates everything before anything counts, so that a refused accept leaves the handshake
    /// open.
    pub(super) fn accept(
        &mut self,
        subprotocol: Option<&str>,
        headers: Option<&dyn PairList>,
        out: &mut dyn Effects,
    ) -> Result<(), SendError> {
        let subprotocol = subprotocol.filter(|name| !matches!(*name, "" | "0"));
        if let Some(name) = subprotocol {
            check_subprotocol(name)?;
        }
        let mut head = ResponseHead::default();
        if let Some(name) = subprotocol {
            head.fields.push(b"Sec-WebSocket-Protocol", name.as_bytes());
            self.compare(name, out);
        }
        if let Some(agreed) = &self.agreed {
            head.fields.push(b"Sec-WebSocket-Extensions", agreed.response().as_bytes());
        }
        each_field(headers, |name, value| {
            let lower = name.to_ascii_lowercase();
            let is_double = subprotocol.is_some() && lower == b"sec-websocket-protocol";
            if !is_double && !OURS.contains(&&lower[..]) {
                head.fields.push(name, value);
            }
        })?;
        let most_message = usize::try_from(self.limits.frame * MOST_FRAMES).unwrap_or(usize::MAX);
        self.reader = Some(Reader::new(self.limits.frame, most_message, self.agreed));
        self.deflater = self.agreed.map(Deflater::new);
        self.state = State::Open;
        self.status = 101;
        out.tunnel(head);
        if self.is_stopping {
            self.stop(out);
        }
        Ok(())
    }

    /// An answer that the client did not ask for makes it fail the connection.
    fn compare(&self, name: &str, out: &mut dyn Effects) {
        if !self.offered.split(|byte| *byte == b',').any(|offer| offer == name.as_bytes()) {
            let text = format!("WebSocket subprotocol '{name}' was not offered by the client");
            out.note(Note::Log(text));
        }
    }

    /// A close before the accept.
    pub(super) fn reject(&mut self, out: &mut dyn Effects) {
        self.status = Refusal::Forbidden.status();
        out.refuse(Refusal::Forbidden);
        self.state = State::Over;
    }

    /// Remembers the head of a denial.
    pub(super) fn deny(
        &mut self,
        status: Option<i64>,
        headers: Option<&dyn PairList>,
    ) -> Result<(), SendError> {
        let status = status.unwrap_or(403);
        if !(200..=999).contains(&status) {
            return Err(SendError::Status("websocket.http.response.start", status));
        }
        let mut head = ResponseHead { status: status as u16, ..ResponseHead::default() };
        each_field(headers, |name, value| head.add(name, value))?;
        self.denial = Some(Box::new((head, Vec::new())));
        self.state = State::Denying;
        Ok(())
    }

    /// Gathers the body of a denial; with its last piece the response goes out.
    pub(super) fn denial_body(&mut self, body: &[u8], more: bool, out: &mut dyn Effects) {
        if let Some(denial) = &mut self.denial {
            denial.1.extend_from_slice(body);
        }
        if more {
            return;
        }
        let Some(denial) = self.denial.take() else { return };
        let (mut head, body) = *denial;
        head.bodyless = matches!(head.status, 204 | 205 | 304);
        head.close = true;
        if !head.bodyless {
            head.set_length(body.len() as u64);
        }
        self.status = head.status;
        let has_body = !head.bodyless;
        out.head(head);
        if has_body {
            out.data(&body);
        }
        out.end();
        self.state = State::Over;
    }
}

fn check_subprotocol(name: &str) -> Result<(), SendError> {
    let breaks = |byte: u8| byte.is_ascii_whitespace() || byte == 0 || byte == 0x0b;
    if name.bytes().any(breaks) {
        return Err(SendError::Subprotocol("contains CR, LF, null, or whitespace"));
    }
    if !name.bytes().all(is_tchar) {
        return Err(SendError::Subprotocol("must be alphanumeric, dash, underscore, or dot"));
    }
    Ok(())
}
