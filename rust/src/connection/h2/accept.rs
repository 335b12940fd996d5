//! Requests that become streams, and those that are refused.

use bytes::Bytes;
use h2::RecvStream;
use h2::ext::Protocol;
use h2::server::SendResponse;
use http::Request;

use super::Connection;
use super::lane::Lane;
use crate::connection::{marks, with_date};
use crate::scope::Scope;
use crate::stream::{Opening, Outbox, Stream};
use crate::wire::h2::{request, response};
use crate::wire::{Body, Method, Refusal, RequestHead};

impl Connection {
    pub(super) fn accept(
        &mut self,
        request: Request<RecvStream>,
        mut respond: SendResponse<Bytes>,
    ) {
        let (parts, body) = request.into_parts();
        if request::is_malformed(&parts) {
            return respond.send_reset(h2::Reason::PROTOCOL_ERROR);
        }
        let protocol = parts.extensions.get::<Protocol>().map(Protocol::as_str);
        let has_body = !body.is_end_stream();
        let (head, checked) =
            request::head(&parts, protocol, has_body, self.config.max_header_count);
        let scope = checked
            .and_then(|()| self.check_length(&head))
            .and_then(|()| Scope::detect(&head, &self.config, self.context.may_fullflush()));
        match scope {
            Ok(scope) => self.open(head, scope, (respond, body)),
            Err(refusal) => self.refuse(&head, refusal, respond),
        }
    }

    fn check_length(&self, head: &RequestHead) -> Result<(), Refusal> {
        match (head.body, self.config.max_body_size) {
            (Body::Length(length), Some(limit)) if length > limit => Err(Refusal::PayloadTooLarge),
            _ => Ok(()),
        }
    }

    fn open(
        &mut self,
        request: RequestHead,
        scope: Scope,
        (respond, body): (SendResponse<Bytes>, RecvStream),
    ) {
        let opening = Opening {
            request,
            peer: self.peer.clone(),
            links: self.context.links.clone(),
            marks: marks(&self.config),
            spare: Outbox::default(),
            id: respond.stream_id().as_u32(),
        };
        let stream = Stream::open(opening, scope);
        // The engine tells the client of no less than half a window.
        stream.give_credit((self.config.h2.window as usize / 2).max(1));
        self.add(Lane::new(stream, respond, body, self.config.max_body_size));
    }

    fn refuse(&self, head: &RequestHead, refusal: Refusal, mut respond: SendResponse<Bytes>) {
        let is_head = head.method_kind() == Method::Head;
        let (response, body) = with_date(|date| response::refusal(refusal, true, date));
        // The client may be gone already; there is nobody to tell.
        if let (Ok(mut to), false) = (respond.send_response(response, is_head), is_head) {
            let _ = to.send_data(body.into(), true);
        }
        self.context.observer.refused(&self.peer, Some(head), refusal);
    }
}
