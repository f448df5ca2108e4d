//! The token of the control interface over TCP.

use std::fmt;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Shorter tokens can be guessed.
const FEWEST_CHARACTERS: usize = 16;

/// A token file that can't be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TokenError {
    /// It can't be read.
    #[error("{}: reading the token failed: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Its first line is too short.
    #[error("{}: the first line is the token, and needs at least {FEWEST_CHARACTERS} characters", path.display())]
    Short {
        /// The file.
        path: PathBuf,
    },
    /// Others may read it.
    #[error("{}: everyone on this machine may read it; `chmod o-rwx` it first", path.display())]
    Open {
        /// The file.
        path: PathBuf,
    },
}

/// What a TCP client must know.
///
/// Only its digest is kept, and digests are compared in a time that does not depend on where they differ.
#[derive(Clone)]
pub struct Token(blake3::Hash);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl Token {
    /// Takes the first line of a file.
    ///
    /// # Errors
    /// When it can't be read, is short, or is readable by everyone.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        use std::os::unix::fs::PermissionsExt;
        let failed = |source| TokenError::Io { path: path.to_owned(), source };
        if path.metadata().map_err(failed)?.permissions().mode() & 0o007 != 0 {
            return Err(TokenError::Open { path: path.to_owned() });
        }
        let text = std::fs::read_to_string(path).map_err(failed)?;
        let token = text.lines().next().unwrap_or_default().trim();
        if token.chars().count() < FEWEST_CHARACTERS {
            return Err(TokenError::Short { path: path.to_owned() });
        }
        Ok(Self::of(token))
    }

    /// A token from its text.
    #[must_use]
    pub fn of(token: &str) -> Self {
        Self(blake3::hash(token.as_bytes()))
    }

    /// Whether the text is the token.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        // blake3::Hash compares in constant time.
        self.0 == blake3::hash(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions, write};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_first_line_is_the_token_and_nobody_else_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        assert!(matches!(Token::read(&path), Err(TokenError::Io { .. })));
        write(&path, "a token of some length\nsomething else\n").unwrap();
        set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(Token::read(&path), Err(TokenError::Open { .. })));
        set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let token = Token::read(&path).unwrap();
        assert!(token.is("a token of some length"));
        assert!(!token.is("a token of some lengtH") && !token.is(""));
        write(&path, "short\n").unwrap();
        assert!(matches!(Token::read(&path), Err(TokenError::Short { .. })));
    }
}
