//! A small cache that keeps the values used last.

use crate::key::Key;

/// The values that were used last.
#[derive(Debug)]
pub struct LruCache<T> {
    most: usize,
    /// The one used last stands last.
    values: Vec<(Key, T)>,
}

impl<T: Clone> LruCache<T> {
    /// At most `most` values.
    pub const fn new(most: usize) -> LruCache<T> {
        LruCache { most, values: Vec::new() }
    }

    /// The value of a key, which now counts as used last.
    pub fn get(&mut self, key: &Key) -> Option<T> {
        let at = self.values.iter().position(|(k, _)| k == key)?;
        let found = self.values.remove(at);
        self.values.push(found);
        self.values.last().map(|(_, value)| value.clone())
    }

    /// Keeps a value, and returns the one that was there before, if there was.
    pub fn put(&mut self, key: Key, value: T) -> T {
        if let Some(first) = self.get(&key) {
            return first;
        }
        if self.values.len() >= self.most {
            self.values.remove(0);
        }
        self.values.push((key, value.clone()));
        value
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.values.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_used_last_stay() {
        let key = |n: u8| Key::new("n", &[&[n]]);
        let mut recent = LruCache::new(2);
        assert_eq!((recent.put(key(1), 1), recent.put(key(2), 2)), (1, 2));
        assert_eq!(recent.get(&key(1)), Some(1));
        recent.put(key(3), 3);
        assert_eq!((recent.get(&key(2)), recent.get(&key(1)), recent.get(&key(3))), (None, Some(1), Some(3)));
        assert_eq!(recent.put(key(3), 30), 3, "the first one counts");
        recent.clear();
        assert_eq!(recent.get(&key(3)), None);
    }
}
