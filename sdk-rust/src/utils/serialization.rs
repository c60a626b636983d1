//! JSON and text.

use thiserror::Error;

/// Why data could not be encoded or decoded.
#[derive(Debug, Error)]
pub enum SerializationError {
    /// It is not the JSON that was expected.
    #[error("JSON error: {0}")]
    Json(#[from] serde_json::Error),

    /// It is not UTF-8.
    #[error("UTF-8 error: {0}")]
    Utf8(#[from] std::str::Utf8Error),

    /// It is something else than expected.
    #[error("Invalid format: {0}")]
    InvalidFormat(String),
}

/// The result of encoding or decoding.
pub type Result<T> = std::result::Result<T, SerializationError>;

/// JSON.
pub mod json {
    use serde::{Deserialize, Serialize};

    use super::Result;

    /// Encodes to bytes.
    ///
    /// # Errors
    /// When the value has no JSON form, like all of this module.
    pub fn to_bytes<T: Serialize>(value: &T) -> Result<Vec<u8>> {
        Ok(serde_json::to_vec(value)?)
    }

    /// Encodes to bytes, indented.
    ///
    /// # Errors
    /// When the value has no JSON form.
    pub fn to_bytes_pretty<T: Serialize>(value: &T) -> Result<Vec<u8>> {
        Ok(serde_json::to_vec_pretty(value)?)
    }

    /// Decodes bytes.
    ///
    /// # Errors
    /// When they are not the JSON of a `T`.
    pub fn from_bytes<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T> {
        Ok(serde_json::from_slice(bytes)?)
    }

    /// Encodes to text.
    ///
    /// # Errors
    /// When the value has no JSON form.
    pub fn to_string<T: Serialize>(value: &T) -> Result<String> {
        Ok(serde_json::to_string(value)?)
    }

    /// Decodes text.
    ///
    /// # Errors
    /// When it is not the JSON of a `T`.
    pub fn from_string<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T> {
        Ok(serde_json::from_str(text)?)
    }
}

/// Text.
pub mod string {
    use super::Result;

    /// Reads bytes as UTF-8.
    ///
    /// # Errors
    /// When they are not.
    pub fn from_bytes(bytes: &[u8]) -> Result<&str> {
        Ok(std::str::from_utf8(bytes)?)
    }

    /// Reads bytes as UTF-8, into a `String`.
    ///
    /// # Errors
    /// When they are not.
    pub fn from_bytes_owned(bytes: &[u8]) -> Result<String> {
        from_bytes(bytes).map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_comes_back_as_it_went() {
        let bytes = json::to_bytes(&vec![1, 2]).expect("numbers have a JSON form");

        assert_eq!(json::from_bytes::<Vec<i32>>(&bytes).expect("the same"), [1, 2]);
    }

    #[test]
    fn what_is_not_utf8_is_refused() {
        assert_eq!(string::from_bytes_owned(b"text").expect("UTF-8"), "text");
        assert!(matches!(string::from_bytes(&[0xff]), Err(SerializationError::Utf8(_))));
    }
}
