//! The yardstick of the event stream bench: a writer of events on bare tokio, without Perl.
//!
//! `/flood`: one event after the other to all subscribers; `/paced`: ten in a second; anything
//! else: a stream without events. Usage: `stream [PORT]`.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
    cache-control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Bytes of an event's data, its time included.
const DATA: usize = 200;

type Subscribers = Rc<RefCell<Vec<Rc<TcpStream>>>>;

fn main() -> io::Result<()> {
    let port: u16 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    LocalSet::new().block_on(&runtime, serve(port))
}

async fn serve(port: u16) -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on {}", listener.local_addr()?);
    let [flood, paced] = <[Subscribers; 2]>::default();
    tokio::task::spawn_local(publish(Rc::clone(&flood), Duration::ZERO));
    tokio::task::spawn_local(publish(Rc::clone(&paced), Duration::from_millis(100)));
    loop {
        let (socket, _) = listener.accept().await?;
        let lists = [&flood, &paced].map(Rc::clone);
        // A peer that resets its connection is not news.
        tokio::task::spawn_local(async move { answer(socket, lists).await.ok() });
    }
}

async fn answer(mut socket: TcpStream, [flood, paced]: [Subscribers; 2]) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut head = [0; 1024];
    let read = socket.read(&mut head).await?;
    if !head[..read].starts_with(b"GET /s") {
        return socket.write_all(HELLO).await;
    }
    socket.write_all(HEAD).await?;
    let list = match &head[..read] {
        head if head.starts_with(b"GET /s/flood ") => flood,
        head if head.starts_with(b"GET /s/paced ") => paced,
        _ => {
            while socket.read(&mut head).await? > 0 {}
            return Ok(());
        }
    };
    list.borrow_mut().push(Rc::new(socket));
    Ok(())
}

const HELLO: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\nconnection: close\r\n\r\n\
    Hello, World!";

/// Sends an event to all, again and again. A client that is not there any more is forgotten.
async fn publish(list: Subscribers, pause: Duration) {
    loop {
        if pause.is_zero() && !list.borrow().is_empty() {
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(pause.max(Duration::from_millis(1))).await;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let time = now.as_micros().to_string();
        let data = format!("{time} {}", "x".repeat(DATA - time.len() - 1));
        let chunk = format!("{:x}\r\ndata: {data}\n\n\r\n", DATA + 8);
        let mut gone = Vec::new();
        let all = list.borrow().clone();
        for (at, socket) in all.iter().enumerate() {
            if write(socket, chunk.as_bytes()).await.is_err() {
                gone.push(at);
            }
        }
        for at in gone.into_iter().rev() {
            list.borrow_mut().remove(at);
        }
    }
}

async fn write(socket: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match socket.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => socket.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
