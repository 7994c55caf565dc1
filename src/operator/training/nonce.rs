//! A number that nobody could know before: the result of an evaluation repeats it.

use crate::error::Error;

/// 32 hexadecimal digits.
pub fn fresh() -> Result<String, Error> {
    let mut bytes = [0_u8; 16];
    // The same source that our TLS draws its keys from.
    rustls::crypto::ring::default_provider()
        .secure_random
        .fill(&mut bytes)
        .map_err(|_| Error::NoRandomness)?;
    Ok(bytes.iter().fold(String::with_capacity(32), |mut text, b| {
        text.push(char::from_digit(u32::from(b >> 4), 16).unwrap_or('0'));
        text.push(char::from_digit(u32::from(b & 15), 16).unwrap_or('0'));
        text
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_alike() {
        let (a, b) = (fresh().unwrap(), fresh().unwrap());
        assert_ne!(a, b);
        assert!(a.len() == 32 && a.bytes().all(|c| c.is_ascii_hexdigit() && !c.is_ascii_uppercase()));
    }
}
