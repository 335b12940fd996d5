use super::*;

const SETTINGS: &[u8] = &[0, 0, 0, kind::SETTINGS, 0, 0, 0, 0, 0];

fn frame(kind: u8, flags: u8, id: u32, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u32).to_be_bytes();
    let mut bytes = vec![len[1], len[2], len[3], kind, flags];
    bytes.extend_from_slice(&id.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

fn watch(resets: Option<(u32, u32)>) -> Watch {
    let mut watch = Watch::new(Limits { frame: 16_384, resets });
    assert_eq!(watch.came(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Instant::now()), Ok(()));
    assert_eq!(watch.came(SETTINGS, Instant::now()), Ok(()));
    watch
}

/// Added to the code of a fault that ends a stream only.
const OF_STREAM: u32 = 100;

/// The fault of the last of these frames, fed at once and byte by byte.
fn fault(frames: &[Vec<u8>]) -> Option<u32> {
    let now = Instant::now();
    let bytes = frames.concat();
    let at_once = watch(None).came(&bytes, now).err();
    if let Some(stop) = at_once {
        let before: usize = frames[..frames.len() - 1].iter().map(Vec::len).sum();
        assert_eq!(stop.good, before, "all but the last frame is good");
    }
    let mut slow = watch(None);
    let by_byte = bytes.iter().find_map(|byte| slow.came(&[*byte], now).err());
    let told = |stop: Stop| (stop.fault.0, stop.stream);
    assert_eq!(at_once.map(told), by_byte.map(told));
    at_once.map(|stop| stop.fault.0 + if stop.stream.is_some() { OF_STREAM } else { 0 })
}

#[test]
fn sizes() {
    for (kind, id, len, code) in [
        (kind::PING, 0, 7, Some(6)),
        (kind::PING, 0, 8, None),
        (kind::SETTINGS, 0, 5, Some(6)),
        (kind::RST_STREAM, 1, 3, Some(6)),
        (kind::PRIORITY, 1, 4, Some(6)),
        (kind::WINDOW_UPDATE, 0, 5, Some(6)),
        (kind::GOAWAY, 0, 7, Some(6)),
        (kind::PING, 1, 8, Some(1)),
        (0xfa, 0, 16_385, Some(6)),
        (0xfa, 0, 16_384, None),
    ] {
        let bytes = frame(kind, 0, id, &vec![1; len]);
        let opened = frame(kind::HEADERS, flag::END_HEADERS, 1, b"\x82");
        assert_eq!(fault(&[opened, bytes]), code, "kind {kind} of {len} bytes");
    }
    let headers = flag::END_HEADERS | flag::PRIORITY;
    assert_eq!(fault(&[frame(kind::HEADERS, headers, 1, b"\0\0\0\0")]), Some(6));
    assert_eq!(fault(&[frame(kind::HEADERS, headers | flag::PADDED, 1, &[0; 5])]), Some(6));
    assert_eq!(fault(&[frame(kind::HEADERS, flag::END_HEADERS | flag::PADDED, 1, b"")]), Some(6));
    let ack = frame(kind::SETTINGS, flag::ACK, 0, &[0, 4, 0, 0, 0, 0]);
    assert_eq!(fault(&[ack]), Some(6));
}

#[test]
fn values() {
    let setting = |name: u8, value: [u8; 4]| {
        let mut payload = vec![0, 1, 0, 0, 0, 9, 0, name];
        payload.extend_from_slice(&value);
        fault(&[frame(kind::SETTINGS, 0, 0, &payload)])
    };
    assert_eq!(setting(4, [0x80, 0, 0, 0]), Some(3));
    assert_eq!(setting(4, [0x7f, 0xff, 0xff, 0xff]), None);
    assert_eq!(setting(2, [0, 0, 0, 2]), Some(1));
    assert_eq!(setting(5, [0, 0, 0x3f, 0xff]), Some(1));
    assert_eq!(setting(99, [0xff; 4]), None);
    assert_eq!(fault(&[frame(kind::WINDOW_UPDATE, 0, 0, &[0x80, 0, 0, 0])]), Some(1));
    let padded = flag::END_HEADERS | flag::PADDED;
    assert_eq!(fault(&[frame(kind::HEADERS, padded, 1, b"\x02\x82")]), Some(1));
    assert_eq!(fault(&[frame(kind::HEADERS, padded, 1, b"\x01\x82\0")]), None);
}

#[test]
fn order_of_streams_and_blocks() {
    let headers = |id, flags| frame(kind::HEADERS, flags, id, b"\x82");
    let (open, whole) = (flag::END_HEADERS, flag::END_HEADERS | flag::END_STREAM);
    let data = |id, flags| frame(kind::DATA, flags, id, b"x");
    let more = |id| frame(kind::CONTINUATION, flag::END_HEADERS, id, b"\x84");
    assert_eq!(fault(&[headers(2, open)]), Some(1));
    assert_eq!(fault(&[headers(0, open)]), Some(1));
    assert_eq!(fault(&[headers(5, open), headers(3, open)]), Some(1));
    assert_eq!(fault(&[headers(1, whole), headers(1, whole)]), Some(5 + OF_STREAM));
    assert_eq!(fault(&[headers(1, whole), data(1, 0)]), Some(5 + OF_STREAM));
    assert_eq!(fault(&[headers(1, open), data(1, 1), data(1, 1)]), Some(5 + OF_STREAM));
    assert_eq!(fault(&[headers(1, open), headers(1, open)]), None, "the engine resets it");
    assert_eq!(fault(&[headers(1, open), headers(1, whole)]), None);
    assert_eq!(fault(&[data(1, 0)]), Some(1));
    assert_eq!(fault(&[headers(1, 0), more(1), headers(3, open)]), None);
    assert_eq!(fault(&[headers(1, 0), more(3)]), Some(1));
    assert_eq!(fault(&[headers(1, 0), headers(3, open)]), Some(1));
    assert_eq!(fault(&[more(1)]), Some(1));
    assert_eq!(fault(&[frame(kind::PUSH_PROMISE, 4, 1, &[0; 4])]), Some(1));
    let reset = |id| frame(kind::RST_STREAM, 0, id, &[0; 4]);
    assert_eq!(fault(&[reset(1)]), Some(1));
    assert_eq!(fault(&[headers(1, open), reset(1), reset(1)]), None);
    assert_eq!(fault(&[headers(1, open), reset(1), data(1, 0)]), Some(5));
}

#[test]
fn the_first_frame_is_settings() {
    let mut watch = Watch::new(Limits { frame: 16_384, resets: None });
    assert_eq!(watch.came(&[0; 24], Instant::now()), Ok(()));
    let ping = frame(kind::PING, 0, 0, &[0; 8]);
    let stop = watch.came(&ping, Instant::now()).expect_err("no SETTINGS");
    assert_eq!((stop.fault, stop.stream, stop.good), (Fault(1), None, 0));
}

#[test]
fn resets_are_counted_while_a_response_is_awaited() {
    let now = Instant::now();
    let pair = |n: u32| {
        let id = 2 * n + 1;
        let request = frame(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, id, b"\x82");
        [request, frame(kind::RST_STREAM, 0, id, &[0; 4])]
    };
    let pairs = |count| (0..count).flat_map(pair).collect::<Vec<_>>().concat();
    assert_eq!(watch(Some((3, 0))).came(&pairs(3), now), Ok(()));
    let stop = watch(Some((3, 0))).came(&pairs(30), now).expect_err("too many");
    assert_eq!(stop.fault, Fault(11));
    let mut answered = watch(Some((1, 0)));
    for n in 0..9 {
        let [request, reset] = pair(n);
        assert_eq!(answered.came(&request, now), Ok(()));
        let whole = flag::END_HEADERS | flag::END_STREAM;
        assert_eq!(answered.left(&frame(kind::HEADERS, whole, 2 * n + 1, b""), now), Ok(()));
        assert_eq!(answered.came(&reset, now), Ok(()));
    }
}

#[test]
fn resets_that_a_client_provokes_are_counted() {
    let now = Instant::now();
    let left = |code: u8, from: u32| {
        let mut watch = watch(Some((3, 0)));
        (0..9).find_map(|n| {
            let id = 2 * n + from;
            let request = frame(kind::HEADERS, flag::END_HEADERS, id, b"\x82");
            assert_eq!(watch.came(&request, now), Ok(()));
            watch.left(&frame(kind::RST_STREAM, 0, id, &[0, 0, 0, code]), now).err().map(|_| n)
        })
    };
    assert_eq!([left(1, 1), left(3, 1), left(5, 1)], [Some(3); 3]);
    assert_eq!([left(2, 1), left(7, 1), left(8, 1)], [None; 3], "the application's, and ours");
}

#[test]
fn what_is_late_goes_on_behind_the_reset() {
    let now = Instant::now();
    let whole = flag::END_HEADERS | flag::END_STREAM;
    let request = frame(kind::HEADERS, whole, 1, b"\x82");
    let late = [frame(kind::DATA, 0, 1, b"abc"), frame(kind::DATA, 1, 1, b"")].concat();
    let next = frame(kind::HEADERS, whole, 3, b"\x82");
    let mut watch = watch(None);
    let bytes = [request.clone(), late, next].concat();
    let stop = watch.came(&bytes, now).expect_err("DATA behind the end");
    assert_eq!((stop.stream, stop.good, stop.seen), (Some(1), request.len(), request.len() + 9));
    assert_eq!(watch.left(&frame(kind::RST_STREAM, 0, 1, &[0, 0, 0, 5]), now), Ok(()));
    assert_eq!(watch.came(&bytes[stop.seen..], now), Ok(()));
}

#[test]
fn a_goodbye_is_found() {
    let now = Instant::now();
    let ping = frame(kind::PING, 0, 0, &[0; 8]);
    let bytes = [ping.clone(), frame(kind::GOAWAY, 0, 0, &[0; 8]), ping].concat();
    let mut watch = watch(None);
    assert_eq!(watch.came(&bytes, now), Ok(()));
    assert_eq!((watch.hidden(), watch.left_since()), (&[20][..], Some(now)));
    assert_eq!(bytes[20], kind::GOAWAY);
    assert_eq!(watch.came(&bytes[..17], now), Ok(()));
    assert_eq!(watch.hidden(), []);
}

#[test]
fn floods_of_frames_that_bring_nothing() {
    let now = Instant::now();
    for (kind, id, len) in [(kind::PING, 0, 8), (kind::SETTINGS, 0, 0), (kind::PRIORITY, 1, 5)] {
        let one = frame(kind, 0, id, &vec![0; len]);
        let stop = watch(None).came(&one.repeat(3000), now).expect_err("a flood");
        assert_eq!(stop.fault, Fault(11));
        let acks = frame(kind::PING, flag::ACK, 0, &[0; 8]).repeat(3000);
        assert_eq!(watch(None).came(&acks, now), Ok(()));
    }
}

#[test]
fn windows_may_be_opened_for_what_was_sent() {
    let now = Instant::now();
    let one = frame(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]);
    let stop = watch(None).came(&one.repeat(3000), now).expect_err("a flood");
    assert_eq!(stop.fault, Fault(11));
    let mut watch = watch(None);
    for _ in 0..3000 {
        assert_eq!(watch.left(&frame(kind::DATA, 0, 1, b"x"), now), Ok(()));
        assert_eq!(watch.came(&one.repeat(2), now), Ok(()));
    }
    // A client that opens both for each 2 KiB it has read.
    for _ in 0..3000 {
        assert_eq!(watch.left(&frame(kind::DATA, 0, 1, &[b'x'; 16_384]), now), Ok(()));
        assert_eq!(watch.came(&one.repeat(16), now), Ok(()));
    }
}

#[test]
fn empty_pieces_are_not_for_the_engine() {
    let now = Instant::now();
    let headers = frame(kind::HEADERS, flag::END_HEADERS, 1, b"\x82");
    let empty = frame(kind::DATA, 0, 1, b"");
    let last = frame(kind::DATA, flag::END_STREAM, 1, b"");
    let mut watch = watch(None);
    assert_eq!(watch.came(&[headers, empty.clone(), empty, last].concat(), now), Ok(()));
    assert_eq!(watch.hidden(), [10 + 3, 19 + 3]);
}

#[test]
fn what_is_incomplete_has_a_time() {
    let now = Instant::now();
    let mut watch = watch(None);
    assert_eq!(watch.partial_since(), None);
    assert_eq!(watch.came(&frame(kind::HEADERS, 0, 1, b"\x82"), now), Ok(()));
    assert_eq!(watch.partial_since(), Some(now));
    assert_eq!(watch.came(&frame(kind::CONTINUATION, 4, 1, b"\x84"), now), Ok(()));
    assert_eq!(watch.partial_since(), None);
    assert_eq!(watch.came(&frame(kind::DATA, 0, 1, b"abc")[..10], now), Ok(()));
    assert_eq!(watch.partial_since(), None, "a body may be slow");
}
