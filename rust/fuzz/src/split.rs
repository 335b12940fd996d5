//! Ways in which an input can arrive.

/// Most bytes that are looked at one by one.
const MOST_STEPS: usize = 20_000;

/// The ends of the pieces of an input: at once, byte by byte, and in strides that depend on it.
pub fn ways(data: &[u8]) -> Vec<Vec<usize>> {
    let mut hash = data
        .iter()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    let mut strides = |most: u32| {
        let (mut ends, mut at) = (Vec::new(), 0);
        while at < data.len() {
            hash ^= hash << 13;
            hash ^= hash >> 17;
            hash ^= hash << 5;
            at = data.len().min(at + 1 + (hash % most) as usize);
            ends.push(at);
        }
        ends
    };
    let mut all = vec![vec![data.len()], strides(7), strides(97)];
    if data.len() <= MOST_STEPS {
        all.push((1..=data.len()).collect());
    }
    all
}
