//! The subscribers of the event stream bench: they hold streams and time what arrives.
//!
//! Usage: `subscribers PORT PATH COUNT SECONDS`. It opens COUNT streams, says `ready` once each has
//! its response, and after SECONDS `events N p50 US p99 US max US`. An event's data begins with the
//! microseconds since the epoch at which it was sent; delays are counted from there.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

/// Delays kept for the percentiles; of more, every other one is left out again and again.
const MOST_DELAYS: usize = 4_000_000;

#[derive(Default)]
struct Seen {
    ready: usize,
    is_counting: bool,
    events: u64,
    delays: Vec<u32>,
}

fn main() -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| words.get(at).and_then(|word| word.parse::<u64>().ok());
    let (Some(port), Some(count), Some(seconds)) = (number(0), number(2), number(3)) else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "usage: subscribers PORT PATH COUNT SECONDS",
        ));
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let path = words[1].clone();
    LocalSet::new().block_on(&runtime, run(port, path, count, seconds))
}

async fn run(port: u64, path: String, count: u64, seconds: u64) -> io::Result<()> {
    let seen = Rc::new(RefCell::new(Seen::default()));
    for _ in 0..count {
        let mut socket = TcpStream::connect(format!("127.0.0.1:{port}")).await?;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n");
        socket.write_all(request.as_bytes()).await?;
        let seen = Rc::clone(&seen);
        tokio::task::spawn_local(async move { listen(socket, &seen).await });
    }
    while seen.borrow().ready < count as usize {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    println!("ready");
    // What had gathered in the meantime is not counted.
    tokio::time::sleep(Duration::from_millis(500)).await;
    seen.borrow_mut().is_counting = true;
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let mut seen = seen.borrow_mut();
    seen.is_counting = false;
    let events = seen.events;
    seen.delays.sort_unstable();
    let at = |part: f64| {
        let last = seen.delays.len().saturating_sub(1) as f64;
        seen.delays.get((last * part) as usize).copied().unwrap_or(0)
    };
    println!("events {events} p50 {} p99 {} max {}", at(0.5), at(0.99), at(1.0));
    Ok(())
}

/// Reads one stream to its end.
async fn listen(mut socket: TcpStream, seen: &RefCell<Seen>) -> io::Result<()> {
    let mut input = vec![0; 64 * 1024];
    let mut is_first = true;
    let mut held = 0;
    loop {
        let read = socket.read(&mut input[held..]).await?;
        if read == 0 {
            return Ok(());
        }
        let mut seen = seen.borrow_mut();
        seen.ready += usize::from(std::mem::take(&mut is_first));
        let bytes = &input[..held + read];
        let mut from = 0;
        while let Some(end) = find(&bytes[from..], b"\n\n") {
            if seen.is_counting {
                count(&mut seen, &bytes[from..from + end]);
            }
            from += end + 2;
        }
        let rest = bytes.len() - from;
        // An event larger than the buffer: only its end is of interest.
        held = if rest == input.len() { 1 } else { rest };
        let len = from + rest;
        input.copy_within(len - held..len, 0);
    }
}

fn count(seen: &mut Seen, event: &[u8]) {
    let Some(at) = find(event, b"data: ") else { return };
    seen.events += 1;
    let digits = event[at + 6..].iter().take_while(|byte| byte.is_ascii_digit());
    let sent = digits.fold(0, |sum: u64, digit| sum * 10 + u64::from(digit - b'0'));
    if seen.delays.len() >= MOST_DELAYS {
        let mut keep = false;
        seen.delays.retain(|_| {
            keep = !keep;
            keep
        });
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let delay = (now.as_micros() as u64).saturating_sub(sent);
    seen.delays.push(u32::try_from(delay).unwrap_or(u32::MAX));
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
