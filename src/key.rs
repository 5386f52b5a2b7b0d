//! Keys: what stands for a content (a picture, a file) or a computation from contents.

/// 32 bytes that stand for a content or a computation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key([u8; 32]);

impl Key {
    /// The key of a kind of thing made of `parts`, in this order.
    pub fn new(kind: &str, parts: &[&[u8]]) -> Key {
        let mut hasher = blake3::Hasher::new();
        // With their lengths, so that no two lists of parts read the same.
        for part in std::iter::once(kind.as_bytes()).chain(parts.iter().copied()) {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        Key(*hasher.finalize().as_bytes())
    }

    /// The 32 bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A key from its bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Key {
        Key(bytes)
    }

    /// 64 hexadecimal digits.
    pub fn hex(&self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }

    /// A key from its 64 digits.
    pub fn from_hex(text: &str) -> Option<Key> {
        blake3::Hash::from_hex(text).ok().map(|h| Key(*h.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_tell_parts_apart() {
        assert_ne!(Key::new("a", &[b"bc", b"d"]), Key::new("a", &[b"b", b"cd"]));
        assert_ne!(Key::new("a", &[b"b"]), Key::new("ab", &[b""]));
        let key = Key::new("a", &[]);
        assert_eq!(Key::from_hex(&key.hex()), Some(key));
        assert_eq!(Key::from_bytes(*key.bytes()), key);
    }
}
