//! JSON that is hashed: one text for one value, whoever writes it.

use std::fmt::Write as _;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Sorted keys, no blanks, and without what is null: a field added in a later version hashes like its absence.
pub fn text(value: Value) -> String {
    sorted(value).to_string()
}

// serde_json's map is a BTreeMap unless `preserve_order` is switched on somewhere in the tree; sorting here keeps the
// hash independent of that.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.into_iter().filter(|(_, v)| !v.is_null()).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(entries.into_iter().map(|(k, v)| (k, sorted(v))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

/// SHA-256 of the parts one after the other, as 64 hexadecimal digits.
pub fn sha256(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// The first ten digits of [`sha256`]: enough for a name, where a collision is found out and refused.
pub fn short(parts: &[&[u8]]) -> String {
    let mut hex = sha256(parts);
    hex.truncate(10);
    hex
}
