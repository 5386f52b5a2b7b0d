//! Keys: what stands for a content (a picture, a file) or a computation from contents.

/// 32 bytes that stand for a content or a computation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key([u8; 32]);

impl Key {
    /// The key of a kind of thing made of `parts`, in this order.
    pub fn new(kind: &str, parts: &[&[u8]]) -> Key {
        let mut hasher = KeyHasher::new(kind);
        for part in parts {
            hasher.begin(part.len());
            hasher.update(part);
        }
        hasher.finish()
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

/// Makes a key of parts that need not lie in memory as a whole; [`Key::new`] of the same parts gives the same key.
pub struct KeyHasher(blake3::Hasher);

impl KeyHasher {
    /// A key of a kind of thing, without parts yet.
    pub fn new(kind: &str) -> KeyHasher {
        let mut hasher = KeyHasher(blake3::Hasher::new());
        hasher.begin(kind.len());
        hasher.update(kind.as_bytes());
        hasher
    }

    /// Begins a part of so many bytes, which [`KeyHasher::update`] adds.
    pub fn begin(&mut self, bytes: usize) {
        // With their lengths, so that no two lists of parts read the same.
        self.0.update(&(bytes as u64).to_le_bytes());
    }

    /// Adds bytes to the part that was begun last.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The key of all parts.
    pub fn finish(self) -> Key {
        Key(*self.0.finalize().as_bytes())
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
