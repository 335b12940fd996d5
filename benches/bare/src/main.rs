//! The yardstick: a hello server on bare tokio and httparse, on one thread, without Perl.
//!
//! It does what every HTTP/1.1 server must do for a GET (accept, read, parse, keep alive, answer
//! pipelined requests in order, Date, one write per read) and nothing else: no bodies, no timers,
//! no limits but the size of one head. The response has the header fields that PAGI-Server's
//! answer to `apps/hello.pl` has.
//!
//! Usage: `bare [PORT]`; port 0, the default, lets the system choose. The first line on standard
//! output is `listening on 127.0.0.1:PORT`.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

const BODY: &str = "Hello, World!";

/// One head must fit: more than any load generator sends.
const HEAD_MAX: usize = 8 * 1024;

/// Fields per head: wrk sends one, h2load three, a browser fewer than twenty.
const FIELDS_MAX: usize = 32;

const BAD_REQUEST: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

fn main() -> io::Result<()> {
    let port = match std::env::args().nth(1) {
        Some(text) => text
            .parse()
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "usage: bare [PORT]"))?,
        None => 0,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    LocalSet::new().block_on(&runtime, listen(port))
}

async fn listen(port: u16) -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on {}", listener.local_addr()?);
    let response = Rc::new(RefCell::new(Response::default()));
    loop {
        let (socket, _) = listener.accept().await?;
        let response = Rc::clone(&response);
        // A peer that resets its connection is not news.
        tokio::task::spawn_local(async move { serve(socket, &response).await.ok() });
    }
}

/// Answers the requests of one connection until either side has had enough.
async fn serve(mut socket: TcpStream, response: &RefCell<Response>) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut input = Vec::with_capacity(HEAD_MAX);
    let mut output = Vec::new();
    loop {
        if socket.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
        let next = answer(&mut input, &mut output, response);
        socket.write_all(&output).await?;
        output.clear();
        if next == Next::Close {
            return socket.shutdown().await;
        }
    }
}

/// What becomes of the connection after an answer.
#[derive(Clone, Copy, PartialEq)]
enum Next {
    Read,
    Close,
}

/// Takes every complete request out of `input` and appends its response to `output`.
fn answer(input: &mut Vec<u8>, output: &mut Vec<u8>, response: &RefCell<Response>) -> Next {
    let mut taken = 0;
    let mut next = Next::Read;
    while next == Next::Read && taken < input.len() {
        match parse(&input[taken..]) {
            Ok(Some((size, after))) => {
                output.extend_from_slice(response.borrow_mut().bytes());
                taken += size;
                next = after;
            }
            Ok(None) if input.len() - taken < HEAD_MAX => break,
            Ok(None) | Err(()) => {
                output.extend_from_slice(BAD_REQUEST);
                next = Next::Close;
            }
        }
    }
    input.drain(..taken);
    next
}

/// Parses one head: its size and whether the connection persists (RFC 9112 9.3), `None` when
/// more bytes are needed.
fn parse(bytes: &[u8]) -> Result<Option<(usize, Next)>, ()> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    let size = match request.parse(bytes).map_err(drop)? {
        httparse::Status::Complete(size) => size,
        httparse::Status::Partial => return Ok(None),
    };
    let mut next = match request.version {
        Some(1) => Next::Read,
        _ => Next::Close,
    };
    for field in request.headers {
        if is_body(field.name) {
            return Err(());
        }
        if field.name.eq_ignore_ascii_case("connection") && is_close(field.value) {
            next = Next::Close;
        }
    }
    Ok(Some((size, next)))
}

fn is_body(name: &str) -> bool {
    name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("transfer-encoding")
}

fn is_close(value: &[u8]) -> bool {
    value.split(|&byte| byte == b',').any(|token| token.trim_ascii().eq_ignore_ascii_case(b"close"))
}

/// The response, rendered again when the second of its Date has passed.
#[derive(Default)]
struct Response {
    second: u64,
    bytes: Vec<u8>,
}

impl Response {
    fn bytes(&mut self) -> &[u8] {
        let now = SystemTime::now();
        let second = now.duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs());
        if second != self.second || self.bytes.is_empty() {
            self.second = second;
            self.bytes = render(now);
        }
        &self.bytes
    }
}

fn render(now: SystemTime) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\ndate: {}\r\n\
         Server: PAGI::Server/0.002005\r\n\r\n{BODY}",
        BODY.len(),
        httpdate::fmt_http_date(now),
    )
    .into_bytes()
}
