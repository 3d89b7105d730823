//! How a verb ends, and what the shell learns of it.

use super::client::ClientError;
use std::error::Error;
use std::fmt::Write;
use std::process::ExitCode;

pub(super) const GOOD: u8 = 0;
const FINDING: u8 = 1;
pub(super) const USAGE: u8 = 2;
const UNREACHABLE: u8 = 3;

/// What a verb that was carried out came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing to complain about: 0.
    Good,
    /// There is something to look at, and it was printed: 1.
    Finding,
}

impl Verdict {
    /// [`Verdict::Finding`] when `found`.
    pub const fn finding_if(found: bool) -> Self {
        if found { Self::Finding } else { Self::Good }
    }
}

/// Why a verb was not carried out.
#[derive(Debug)]
pub enum Failure {
    /// There is no answer from a gateway: 3.
    Unreachable(anyhow::Error),
    /// Everything else: 2.
    Other(anyhow::Error),
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        if error.is_unreachable() {
            Self::Unreachable(error.into())
        } else {
            Self::Other(error.into())
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

/// Prints a failure once, with its causes, and gives the exit code.
pub(super) fn end(result: Result<Verdict, Failure>) -> ExitCode {
    let (error, code) = match result {
        Ok(Verdict::Good) => return ExitCode::from(GOOD),
        Ok(Verdict::Finding) => return ExitCode::from(FINDING),
        // Whoever read our output has seen enough.
        Err(Failure::Other(error)) if is_closed_pipe(&error) => return ExitCode::from(GOOD),
        Err(Failure::Other(error)) => (error, USAGE),
        Err(Failure::Unreachable(error)) => (error, UNREACHABLE),
    };
    eprintln!("lockgate: {}", chain(error.as_ref()));
    ExitCode::from(code)
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// An error and its causes, each once.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}
