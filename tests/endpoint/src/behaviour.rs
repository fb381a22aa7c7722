//! How the server behaves, as the first part of a path says.

use std::time::Duration;

/// What the server does with a request that conforms. Written as the first part of the path, in the form given at each; a
/// tag may follow (`flaky-2~mine`), so that counts are apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// `ok`: answers.
    Ok,
    /// `delay-<ms>`: answers after a while.
    Delay(Duration),
    /// `hang`: never answers.
    Hang,
    /// `slow-<ms>`: sends the body byte by byte, with a pause before each.
    Slow(Duration),
    /// `reset`: resets the connection (RST) in place of an answer.
    Reset,
    /// `rate-limited-<n>-<seconds>`: the first n requests of a path get 429 with `Retry-After`, later ones an answer.
    RateLimited {
        /// How many requests are turned away.
        first: usize,
        /// What `Retry-After` says.
        seconds: u64,
    },
    /// `error-<status>`: an error of this status.
    Error(u16),
    /// `flaky-<n>`: the first n requests of a path get 500, later ones an answer.
    Flaky(usize),
    /// `wrong-json`: JSON of another shape.
    WrongJson,
    /// `not-json`: a page of HTML.
    NotJson,
    /// `huge`: an answer that does not end.
    Huge,
    /// `redirect-<port>`: 307 to that port of this machine.
    Redirect(u16),
    /// `half-stream`: half of the answer, in a body that ends as it should.
    HalfStream,
    /// `not-utf8`: an answer with bytes that are not UTF-8.
    NotUtf8,
    /// `nul`: an answer with a NUL character.
    Nul,
    /// `gzip`: an endless answer of zeros, compressed.
    Gzip,
    /// `echo-key`: 401 with a message that repeats the Authorization header.
    EchoKey,
    /// `length-lies`: an answer shorter than its Content-Length, then the end of the connection.
    LengthLies,
}

impl Behaviour {
    /// From the first part of a path; nothing if there is no such behaviour.
    #[must_use]
    pub fn parse(part: &str) -> Option<Self> {
        let name = part.split_once('~').map_or(part, |(name, _tag)| name);
        let simple = match name {
            "ok" => Self::Ok,
            "hang" => Self::Hang,
            "reset" => Self::Reset,
            "wrong-json" => Self::WrongJson,
            "not-json" => Self::NotJson,
            "huge" => Self::Huge,
            "half-stream" => Self::HalfStream,
            "not-utf8" => Self::NotUtf8,
            "nul" => Self::Nul,
            "gzip" => Self::Gzip,
            "echo-key" => Self::EchoKey,
            "length-lies" => Self::LengthLies,
            _ => return Self::parse_with_number(name),
        };
        Some(simple)
    }

    fn parse_with_number(name: &str) -> Option<Self> {
        if let Some(numbers) = name.strip_prefix("rate-limited-") {
            let (first, seconds) = numbers.split_once('-')?;
            return Some(Self::RateLimited {
                first: first.parse().ok()?,
                seconds: seconds.parse().ok()?,
            });
        }
        let (name, number) = name.split_once('-')?;
        let milliseconds = || Some(Duration::from_millis(number.parse().ok()?));
        match name {
            "delay" => milliseconds().map(Self::Delay),
            "slow" => milliseconds().map(Self::Slow),
            "error" => {
                let status = number.parse().ok()?;
                (400..=599).contains(&status).then_some(Self::Error(status))
            }
            "flaky" => number.parse().ok().map(Self::Flaky),
            "redirect" => number.parse().ok().map(Self::Redirect),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_behaviour_is_found_with_and_without_a_tag() {
        for (text, behaviour) in [
            ("ok", Behaviour::Ok),
            ("delay-20", Behaviour::Delay(Duration::from_millis(20))),
            ("slow-5", Behaviour::Slow(Duration::from_millis(5))),
            (
                "rate-limited-2-7",
                Behaviour::RateLimited { first: 2, seconds: 7 },
            ),
            ("error-503", Behaviour::Error(503)),
            ("flaky-1", Behaviour::Flaky(1)),
            ("redirect-5432", Behaviour::Redirect(5432)),
            ("half-stream", Behaviour::HalfStream),
            ("length-lies", Behaviour::LengthLies),
        ] {
            assert_eq!(Behaviour::parse(text), Some(behaviour));
            assert_eq!(Behaviour::parse(&format!("{text}~a-tag")), Some(behaviour));
        }
        for text in [
            "",
            "okay",
            "delay",
            "delay-",
            "delay-x",
            "error-200",
            "redirect-99999",
            "rate-limited-1",
            "v1",
        ] {
            assert_eq!(Behaviour::parse(text), None, "{text}");
        }
    }
}
