//! Which consumer of a key-shared subscription a routing key goes to.

use danube_core::proto::StreamMessage;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The key a message is shared by; without one, its producer's name (as Danube).
pub(crate) fn of(message: &StreamMessage) -> &str {
    message.routing_key.as_deref().unwrap_or(&message.producer_name)
}

/// How much a consumer wants a key: the highest wins (rendezvous hashing), so
/// that a consumer that comes or goes moves only its own share of keys.
pub(crate) fn weight(key: &str, consumer: u64) -> u64 {
    xxh3_64_with_seed(key.as_bytes(), consumer)
}

/// Whether a consumer with these filters takes the key; without filters it does.
pub(crate) fn accepts(filters: &[String], key: &str) -> bool {
    filters.is_empty() || filters.iter().any(|pattern| matches_glob(pattern, key))
}

/// `*` stands for any characters, `?` for one byte.
fn matches_glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut star = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&byte) if byte == b'?' || byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((star_p, star_t)) = star else { return false };
                star = Some((star_p, star_t + 1));
                p = star_p + 1;
                t = star_t + 1;
            }
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_globs_and_none_takes_everything() {
        let filters = ["user-*".to_owned(), "eu-?-x".to_owned()];
        assert!(accepts(&filters, "user-1"));
        assert!(accepts(&filters, "eu-1-x"));
        assert!(!accepts(&filters, "eu-12-x"));
        assert!(!accepts(&filters, "order-1"));
        assert!(accepts(&[], "order-1"));
    }

    #[test]
    fn a_star_backtracks() {
        assert!(matches_glob("a*bc", "abxbc"));
        assert!(!matches_glob("a*bc", "abxb"));
    }
}
