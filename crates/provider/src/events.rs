//! Server-sent events, as the HTML standard of the WHATWG has them (section "Server-sent events", "Parsing an event
//! stream"), from bytes in any cut. One difference: bytes that are not UTF-8 are an error rather than replaced, since they
//! would be replaced in the middle of an answer. Memory is bounded by what is pushed.

/// Parses a stream of events.
#[derive(Debug, Default)]
pub(crate) struct EventParser {
    /// The line that has begun.
    line: Vec<u8>,
    /// The last line ended in a carriage return: a line feed that follows belongs to it.
    after_return: bool,
    /// A line has ended; only before the first one may there be a byte order mark.
    past_first: bool,
    name: String,
    data: String,
}

/// An event with data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerEvent {
    /// Empty unless the server named it; the standard's "message".
    pub(crate) name: String,
    /// Its lines, with line feeds between.
    pub(crate) data: String,
}

/// The stream is not UTF-8.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotUtf8;

impl EventParser {
    /// Takes the next bytes and gives the events that they complete.
    ///
    /// # Errors
    /// A line that is not UTF-8.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<ServerEvent>, NotUtf8> {
        let mut events = Vec::new();
        let mut rest = bytes;
        while let Some((&first, after)) = rest.split_first() {
            if std::mem::take(&mut self.after_return) && first == b'\n' {
                rest = after;
                continue;
            }
            let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
                self.line.extend_from_slice(rest);
                break;
            };
            let (part, ending) = rest.split_at(end);
            self.line.extend_from_slice(part);
            self.after_return = ending.first() == Some(&b'\r');
            rest = ending.get(1..).unwrap_or_default();
            let line = std::mem::take(&mut self.line);
            events.extend(self.end_line(&line)?);
        }
        Ok(events)
    }

    fn end_line(&mut self, line: &[u8]) -> Result<Option<ServerEvent>, NotUtf8> {
        let mut line = std::str::from_utf8(line).map_err(|_| NotUtf8)?;
        if !std::mem::replace(&mut self.past_first, true) {
            line = line.strip_prefix('\u{feff}').unwrap_or(line);
        }
        if line.is_empty() {
            return Ok(self.dispatch());
        }
        // A line that begins with a colon is a comment: its field has no name.
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            // "id" and "retry" are for clients that connect again.
            _ => {}
        }
        Ok(None)
    }

    fn dispatch(&mut self) -> Option<ServerEvent> {
        let name = std::mem::take(&mut self.name);
        let mut data = std::mem::take(&mut self.data);
        data.pop()?;
        Some(ServerEvent { name, data })
    }
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
