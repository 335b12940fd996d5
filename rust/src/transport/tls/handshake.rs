//! From an accepted TCP connection to a TLS one, or to an alert.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustls::server::{Accepted, AcceptedAlert, Acceptor};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::load::Live;
use super::{Facts, Tls, Wire, pending};

/// How long, and how much, is read after an alert so that the peer gets to see it: a close with
/// unread input resets the connection.
const FAREWELL: Duration = Duration::from_secs(1);
const FAREWELL_BYTES: usize = 64 * 1024;

/// Waits for a client's handshake. The caller bounds the time. The error is for the log; the
/// client was told by an alert.
pub async fn accept(tcp: TcpStream, live: Arc<Live>) -> Result<(Tls, Facts), String> {
    let (mut tcp, accepted) = hello(tcp).await?;
    let host = live.choose(&accepted.client_hello()).ok_or("no certificate")?;
    let config = host.config(&accepted.client_hello());
    let session = match accepted.into_connection(config) {
        Ok(session) => session,
        Err((error, alert)) => {
            dismiss(&mut tcp, alert).await;
            return Err(error.to_string());
        }
    };
    let mut tls = Tls::new(tcp, session);
    if let Err(error) = poll_fn(|cx| tls.poll_handshake(cx)).await {
        farewell(&mut tls.tcp).await;
        return Err(error.to_string());
    }
    let facts = Facts::new(&tls.session, &live, host);
    let is_required = live.clients.as_ref().is_some_and(|clients| clients.is_required());
    match facts.client_cert_error {
        // A session from before, whose certificate has expired since.
        Some(error) if is_required => Err(error),
        _ => Ok((tls, facts)),
    }
}

/// Reads the first message, by which the certificate is chosen.
async fn hello(mut tcp: TcpStream) -> Result<(TcpStream, Accepted), String> {
    let mut acceptor = Acceptor::default();
    loop {
        let read = poll_fn(|cx| pending(acceptor.read_tls(&mut Wire { tcp: &mut tcp, cx })));
        match read.await {
            Ok(0) => return Err("the client closed the connection".into()),
            Ok(_) => {}
            Err(error) => return Err(error.to_string()),
        }
        match acceptor.accept() {
            Ok(None) => {}
            Ok(Some(accepted)) => return Ok((tcp, accepted)),
            Err((error, alert)) => {
                dismiss(&mut tcp, alert).await;
                return Err(error.to_string());
            }
        }
    }
}

async fn dismiss(tcp: &mut TcpStream, mut alert: AcceptedAlert) {
    let mut bytes = Vec::new();
    // Into memory, and the peer may be gone: neither is worth a word.
    let _ = alert.write_all(&mut bytes);
    let _ = tcp.write_all(&bytes).await;
    farewell(tcp).await;
}

/// Lets the peer read what was sent last.
async fn farewell(tcp: &mut TcpStream) {
    let last = async {
        tcp.shutdown().await?;
        let mut sink = [0; 4096];
        let mut left = FAREWELL_BYTES;
        while left > 0 {
            match tcp.read(&mut sink).await? {
                0 => break,
                read => left = left.saturating_sub(read),
            }
        }
        io::Result::Ok(())
    };
    let _ = tokio::time::timeout(FAREWELL, last).await;
}

impl Tls {
    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_flush(cx))?;
            if !self.session.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            let mut wire = Wire { tcp: &mut self.tcp, cx };
            if ready!(pending(self.session.read_tls(&mut wire)))? == 0 {
                let text = "the client closed the connection";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, text)));
            }
            if let Err(error) = self.session.process_new_packets() {
                // The alert, if there is room for it.
                let _ = self.poll_flush(cx);
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
            }
        }
    }
}
