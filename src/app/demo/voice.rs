//! How the tour speaks: coloured on a terminal, plain when piped.

use std::fmt::Write as _;
use std::io::IsTerminal;

use crate::app::say;

/// Writes the tour.
pub(super) struct Voice {
    colour: bool,
    step: usize,
}

impl Voice {
    /// Looks whether colours are wanted: a terminal, and no `NO_COLOR`.
    #[must_use]
    pub(super) fn new() -> Self {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { colour, step: 0 }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Writes the headline.
    pub(super) fn title(&self, text: &str) {
        say(&format!("\n{}\n", self.paint("1", text)));
    }

    /// Writes a line beside the steps.
    pub(super) fn note(&self, text: &str) {
        say(&format!("  {}\n", self.paint("2", text)));
    }

    /// Writes a step's outcome with what was seen. Returns whether it failed.
    pub(super) fn step(&mut self, title: &str, outcome: &Result<Vec<String>, String>) -> bool {
        self.step += 1;
        let mut text = String::new();
        let (mark, lines) = match outcome {
            Ok(lines) => (self.paint("32", "ok  "), lines.clone()),
            Err(reason) => (self.paint("31", "FAIL"), vec![reason.clone()]),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "\n{mark} {:>2}. {}", self.step, self.paint("1", title));
        for line in lines {
            let _ = writeln!(text, "         {line}");
        }
        say(&text);
        outcome.is_err()
    }

    /// Writes the end of the tour.
    pub(super) fn verdict(&self, failed: usize) {
        let text = match failed {
            0 => self.paint("32", &format!("all {} steps did what they say", self.step)),
            1 => self.paint("31", &format!("1 of {} steps failed", self.step)),
            _ => self.paint("31", &format!("{failed} of {} steps failed", self.step)),
        };
        say(&format!("\n{text}\n"));
    }
}
