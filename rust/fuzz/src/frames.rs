//! What a client of HTTP/2 writes, from a script of letters.
//!
//! `#` stands for the byte behind a letter, a number. Digits choose the stream that the letters
//! behind them are about; each that opens one goes on to the next.
//!
//! | letter | frame |
//! |---|---|
//! | `G` `H` | GET or HEAD, whole |
//! | `P` `L#` | POST whose body follows, without and with a length |
//! | `X` | extended CONNECT for a WebSocket |
//! | `C#` | fields that are not allowed |
//! | `D#` `E#` | DATA of # squared bytes, the last one |
//! | `T` `U` | trailers, and those that do not end the stream |
//! | `R` `r#` | RST_STREAM: CANCEL, or a code |
//! | `W#` `w#` | WINDOW_UPDATE of the connection or the stream by # squared |
//! | `S##` | SETTINGS: a number, a value squared |
//! | `A` `p` `q` `g` `y` | acknowledgement, PING, its answer, GOAWAY, PRIORITY |
//! | `K#` | a header block in # pieces |
//! | `F####` | any frame: kind, flags, stream, as many bytes of what follows |
//! | `B#` | so many bytes as they are |
//!
//! Any other byte is as good as one of them.

/// The letters, for the bytes that are none.
const LETTERS: &[u8] = b"GHPLXCDETURrWwSApqgyKFB0123456789";

/// What a client of HTTP/2 says first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// GET, http, / and an authority, from the static table as far as it has them.
const GET: &[u8] = b"\x82\x86\x84\x41\x01a";
const HEAD: &[u8] = b"\x02\x04HEAD\x86\x84\x41\x01a";
const POST: &[u8] = b"\x83\x86\x84\x41\x01a";
const CONNECT: &[u8] =
    b"\x02\x07CONNECT\x00\x09:protocol\x09websocket\x86\x84\x01\x01a\x00\x15sec-websocket-version\x0213";

/// Fields that make a request malformed, or nearly.
const FIELDS: &[&[u8]] = &[
    b"\x00\x01X\x01y",
    b"\x00\x01x\x02 y",
    b"\x00\x0aconnection\x05close",
    b"\x00\x02te\x04gzip",
    b"\x00\x02te\x08trailers",
    b"\x00\x05:test\x01x",
    b"\x84",
    b"\x88",
    b"\xff\xff\xff\xff\x0f",
    b"\x00\x06cookie\x01a\x00\x06cookie\x01b",
    b"\x53\x11text/event-stream",
    b"\x40\x01x\x01y\xbe\xbe\xbe",
    b"\x20",
    b"\x5c\x013",
];

struct Writer<'a> {
    script: std::slice::Iter<'a, u8>,
    out: Vec<u8>,
    next: u32,
    current: u32,
}

/// The bytes of a connection, the preface and an empty SETTINGS first.
pub fn bytes(script: &[u8]) -> Vec<u8> {
    let mut writer = Writer { script: script.iter(), out: PREFACE.to_vec(), next: 1, current: 1 };
    writer.frame(4, 0, 0, &[]);
    while let Some(byte) = writer.script.next() {
        let letter =
            if LETTERS.contains(byte) { *byte } else { LETTERS[*byte as usize % LETTERS.len()] };
        writer.act(letter);
    }
    writer.out
}

impl Writer<'_> {
    fn number(&mut self) -> u8 {
        let byte = self.script.next().copied().unwrap_or(b'1');
        if byte.is_ascii_digit() { byte - b'0' } else { byte }
    }

    fn squared(&mut self) -> u32 {
        u32::from(self.number()).pow(2)
    }

    fn frame(&mut self, kind: u8, flags: u8, id: u32, payload: &[u8]) {
        self.out.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
        self.out.extend_from_slice(&[kind, flags]);
        self.out.extend_from_slice(&id.to_be_bytes());
        self.out.extend_from_slice(payload);
    }

    fn open(&mut self, flags: u8, block: &[u8]) {
        self.current = self.next;
        self.next += 2;
        self.frame(1, END_HEADERS | flags, self.current, block);
    }

    fn data(&mut self, flags: u8) {
        let payload = vec![b'd'; self.squared().min(16_400) as usize];
        self.frame(0, flags, self.current, &payload);
    }

    fn act(&mut self, letter: u8) {
        let id = self.current;
        match letter {
            b'0'..=b'9' => self.current = u32::from(letter - b'0') * 2 + 1,
            b'G' => self.open(END_STREAM, GET),
            b'H' => self.open(END_STREAM, HEAD),
            b'P' => self.open(0, POST),
            b'L' => {
                let length = self.squared().to_string();
                let field = [&[0x0f, 0x0d, length.len() as u8], length.as_bytes()].concat();
                self.open(0, &[POST, &field].concat());
            }
            b'X' => self.open(0, CONNECT),
            b'C' => {
                let extra = FIELDS[self.number() as usize % FIELDS.len()];
                self.open(END_STREAM, &[GET, extra].concat());
            }
            b'D' => self.data(0),
            b'E' => self.data(END_STREAM),
            b'T' => self.frame(1, END_HEADERS | END_STREAM, id, b"\x00\x01t\x01v"),
            b'U' => self.frame(1, END_HEADERS, id, b"\x00\x01t\x01v"),
            b'R' => self.frame(3, 0, id, &[0, 0, 0, 8]),
            b'A' => self.frame(4, 1, 0, &[]),
            b'p' => self.frame(6, 0, 0, b"12345678"),
            b'q' => self.frame(6, 1, 0, &[0x0b, 0x7b, 0xa2, 0xf0, 0x8b, 0x9b, 0xfe, 0x54]),
            b'g' => self.frame(7, 0, 0, &[0; 8]),
            b'y' => self.frame(2, 0, id, &[0, 0, 0, 0, 9]),
            _ => self.act_with_numbers(letter),
        }
    }

    fn act_with_numbers(&mut self, letter: u8) {
        let id = self.current;
        match letter {
            b'r' => {
                let code = self.number();
                self.frame(3, 0, id, &[0, 0, 0, code]);
            }
            b'W' | b'w' => {
                let by = self.squared().to_be_bytes();
                self.frame(8, 0, if letter == b'W' { 0 } else { id }, &by);
            }
            b'S' => {
                let name = self.number();
                let value = self.squared().to_be_bytes();
                self.frame(4, 0, 0, &[&[0, name], &value[..]].concat());
            }
            b'K' => {
                let pieces = usize::from(self.number() % 8) + 1;
                self.current = self.next;
                self.next += 2;
                let size = GET.len().div_ceil(pieces);
                let count = GET.len().div_ceil(size);
                for (n, piece) in GET.chunks(size).enumerate() {
                    let end = if n + 1 == count { END_HEADERS } else { 0 };
                    let (kind, flags) = if n == 0 { (1, END_STREAM) } else { (9, 0) };
                    self.frame(kind, flags | end, self.current, piece);
                }
            }
            b'F' => {
                let [kind, flags, id, size] = [(); 4].map(|()| self.number());
                let payload = self.rest(size);
                self.frame(kind, flags, u32::from(id), &payload);
            }
            _ => {
                let size = self.number();
                let bytes = self.rest(size);
                self.out.extend_from_slice(&bytes);
            }
        }
    }

    fn rest(&mut self, size: u8) -> Vec<u8> {
        self.script.by_ref().take(usize::from(size)).copied().collect()
    }
}

/// A frame.
pub struct Frame<'a> {
    /// Its kind.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream.
    pub id: u32,
    /// What it carries.
    pub payload: &'a [u8],
}

/// The whole frames at the front of some bytes.
pub fn read(mut bytes: &[u8]) -> Vec<Frame<'_>> {
    let mut frames = Vec::new();
    while let [a, b, c, kind, flags, w, x, y, z, rest @ ..] = bytes {
        let len = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        let Some(payload) = rest.get(..len) else { break };
        let id = u32::from_be_bytes([*w, *x, *y, *z]) & 0x7fff_ffff;
        frames.push(Frame { kind: *kind, flags: *flags, id, payload });
        bytes = &rest[len..];
    }
    frames
}
