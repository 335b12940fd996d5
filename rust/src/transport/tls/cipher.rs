//! Cipher lists in the syntax of OpenSSL, as far as they speak of suites that there are here.

use rustls::{CipherSuite, SupportedCipherSuite};

/// The suites of TLS 1.2: OpenSSL's name, and the words that select it. Those of TLS 1.3 are not
/// in question: a list says nothing about them.
const WORDS: &[(CipherSuite, &str, &str)] = &[
    (
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "AESGCM AES AES128 SHA256 aECDSA ECDSA",
    ),
    (
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-RSA-AES128-GCM-SHA256",
        "AESGCM AES AES128 SHA256 aRSA",
    ),
    (
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "AESGCM AES AES256 SHA384 aECDSA ECDSA",
    ),
    (
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        "ECDHE-RSA-AES256-GCM-SHA384",
        "AESGCM AES AES256 SHA384 aRSA",
    ),
    (
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "CHACHA20 SHA256 aECDSA ECDSA",
    ),
    (
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        "ECDHE-RSA-CHACHA20-POLY1305",
        "CHACHA20 SHA256 aRSA",
    ),
];

/// Suites that the TLS of others may have agreed on, by OpenSSL's names.
const FOREIGN: &[(u16, &str)] = &[
    (0x1301, "TLS_AES_128_GCM_SHA256"),
    (0x1302, "TLS_AES_256_GCM_SHA384"),
    (0x1303, "TLS_CHACHA20_POLY1305_SHA256"),
    (0x1304, "TLS_AES_128_CCM_SHA256"),
    (0x1305, "TLS_AES_128_CCM_8_SHA256"),
    (0x002f, "AES128-SHA"),
    (0x0033, "DHE-RSA-AES128-SHA"),
    (0x0035, "AES256-SHA"),
    (0x0039, "DHE-RSA-AES256-SHA"),
    (0x003c, "AES128-SHA256"),
    (0x003d, "AES256-SHA256"),
    (0x0067, "DHE-RSA-AES128-SHA256"),
    (0x006b, "DHE-RSA-AES256-SHA256"),
    (0x009c, "AES128-GCM-SHA256"),
    (0x009d, "AES256-GCM-SHA384"),
    (0x009e, "DHE-RSA-AES128-GCM-SHA256"),
    (0x009f, "DHE-RSA-AES256-GCM-SHA384"),
    (0xc009, "ECDHE-ECDSA-AES128-SHA"),
    (0xc00a, "ECDHE-ECDSA-AES256-SHA"),
    (0xc013, "ECDHE-RSA-AES128-SHA"),
    (0xc014, "ECDHE-RSA-AES256-SHA"),
    (0xc023, "ECDHE-ECDSA-AES128-SHA256"),
    (0xc024, "ECDHE-ECDSA-AES256-SHA384"),
    (0xc027, "ECDHE-RSA-AES128-SHA256"),
    (0xc028, "ECDHE-RSA-AES256-SHA384"),
    (0xc09c, "AES128-CCM"),
    (0xc09d, "AES256-CCM"),
    (0xc09e, "DHE-RSA-AES128-CCM"),
    (0xc09f, "DHE-RSA-AES256-CCM"),
    (0xc0ac, "ECDHE-ECDSA-AES128-CCM"),
    (0xc0ad, "ECDHE-ECDSA-AES256-CCM"),
    (0xccaa, "DHE-RSA-CHACHA20-POLY1305"),
];

/// The registered number of the suite that OpenSSL calls so.
pub fn number(name: &str) -> Option<u16> {
    let own = WORDS.iter().find(|row| row.1 == name).map(|row| row.0.into());
    own.or_else(|| FOREIGN.iter().find(|row| row.1 == name).map(|row| row.0))
}

/// What selects all of them.
const ALL: &str = "ALL DEFAULT HIGH ECDHE EECDH kECDHE kEECDH TLSv1.2";

/// What an element of a list does with the suites that it selects.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Act {
    Add,
    Remove,
    Last,
    Never,
}

/// The suites of `known` that a list leaves: of TLS 1.2 in the list's order, of TLS 1.3 all.
/// Words that select nothing here are passed over, as OpenSSL does with those it does not know.
pub fn select(list: &str, known: &[SupportedCipherSuite]) -> Vec<SupportedCipherSuite> {
    let mut chosen: Vec<CipherSuite> = Vec::new();
    let mut never: Vec<CipherSuite> = Vec::new();
    for element in list.split([':', ',', ' ', ';']).filter(|element| !element.is_empty()) {
        let (act, word) = match element.as_bytes()[0] {
            b'!' => (Act::Never, &element[1..]),
            b'-' => (Act::Remove, &element[1..]),
            b'+' => (Act::Last, &element[1..]),
            _ => (Act::Add, element),
        };
        let meant = WORDS.iter().map(|row| row.0).filter(|suite| is_meant(word, *suite));
        let meant: Vec<_> = meant.collect();
        let was_there: Vec<_> = chosen.iter().copied().filter(|s| meant.contains(s)).collect();
        if act != Act::Add {
            chosen.retain(|suite| !meant.contains(suite));
        }
        match act {
            Act::Add => chosen.extend(meant.iter().filter(|suite| !was_there.contains(suite))),
            Act::Last => chosen.extend(was_there),
            Act::Never => never.extend(meant),
            Act::Remove => {}
        }
    }
    chosen.retain(|suite| !never.contains(suite));
    let find = |suite: &CipherSuite| known.iter().find(|known| known.suite() == *suite).copied();
    let newer = known.iter().filter(|known| known.tls13().is_some()).copied();
    newer.chain(chosen.iter().filter_map(find)).collect()
}

/// Whether a word, or several joined by `+`, select a suite.
fn is_meant(word: &str, suite: CipherSuite) -> bool {
    let Some((_, name, words)) = WORDS.iter().find(|row| row.0 == suite) else { return false };
    let is_registered_name = suite.as_str() == Some(word);
    is_registered_name
        || word.split('+').all(|part| {
            part == *name || words.split(' ').chain(ALL.split(' ')).any(|word| word == part)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &str) -> Vec<&'static str> {
        let known = rustls::crypto::ring::default_provider().cipher_suites;
        let chosen = select(list, &known);
        let of_1_2 = chosen.iter().filter(|suite| suite.tls13().is_none());
        let name = |suite: CipherSuite| WORDS.iter().find(|row| row.0 == suite).map(|row| row.1);
        of_1_2.filter_map(|suite| name(suite.suite())).collect()
    }

    #[test]
    fn the_default_of_the_reference_selects_all() {
        let list = "ECDHE+AESGCM:DHE+AESGCM:ECDHE+CHACHA20:!aNULL:!eNULL:!EXPORT:!DES:!RC4:!MD5:\
                    !PSK:!aECDH:!EDH-DSS-DES-CBC3-SHA:!KRB5-DES-CBC3-SHA";
        assert_eq!(names(list).len(), 6);
    }

    #[test]
    fn the_operators_add_remove_and_reorder() {
        assert_eq!(names("ECDHE-RSA-AES256-GCM-SHA384"), ["ECDHE-RSA-AES256-GCM-SHA384"]);
        assert_eq!(
            names("CHACHA20+aRSA:AES256+aRSA"),
            ["ECDHE-RSA-CHACHA20-POLY1305", "ECDHE-RSA-AES256-GCM-SHA384"]
        );
        assert_eq!(names("ALL:-AES:!aECDSA"), ["ECDHE-RSA-CHACHA20-POLY1305"]);
        assert_eq!(names("!CHACHA20:HIGH").len(), 4, "what ! removes never comes back");
        assert_eq!(names("ALL:+AESGCM")[0], "ECDHE-ECDSA-CHACHA20-POLY1305");
        assert_eq!(names("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256").len(), 1);
    }

    #[test]
    fn a_list_of_what_there_is_not_selects_nothing() {
        for list in ["", "RC4-SHA", "DHE+AESGCM:kRSA", "ECDHE+RC4", "ALL:!ECDHE"] {
            assert!(names(list).is_empty(), "{list}");
        }
    }

    #[test]
    fn names_have_their_numbers() {
        assert_eq!(number("ECDHE-RSA-AES128-GCM-SHA256"), Some(0xc02f));
        assert_eq!(number("TLS_AES_256_GCM_SHA384"), Some(0x1302));
        assert_eq!(number("RC4-MD5"), None);
        for (number, name) in FOREIGN.iter().filter(|row| row.1.starts_with("TLS_")) {
            let suite = CipherSuite::from(*number);
            let registered = suite.as_str().map(|name| name.replacen("TLS13_", "TLS_", 1));
            assert_eq!(registered.as_deref(), Some(*name));
        }
    }

    #[test]
    fn suites_of_1_3_always_stay() {
        let known = rustls::crypto::ring::default_provider().cipher_suites;
        assert_eq!(select("", &known).len(), 3);
    }
}
