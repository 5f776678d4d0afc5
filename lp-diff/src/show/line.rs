//! One line of text in colours, cut to a width.

use std::io::{self, Write};

/// The colour of a piece of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paint {
    Plain,
    Bold,
    Dim,
    Source,
    Symbol,
    Removed,
    RemovedHere,
    Added,
    AddedHere,
}

impl Paint {
    /// The parameters of the SGR sequence (ECMA-48): the sixteen colours that every terminal's owner has chosen.
    fn code(self) -> &'static str {
        match self {
            Paint::Plain => "",
            Paint::Bold => "1",
            Paint::Dim => "2",
            Paint::Source => "36",
            Paint::Symbol => "1",
            Paint::Removed => "31",
            Paint::RemovedHere => "1;4;31",
            Paint::Added => "32",
            Paint::AddedHere => "1;4;32",
        }
    }
}

/// Pieces of text.
#[derive(Debug, Default)]
pub(super) struct Line(Vec<(Paint, String)>);

impl Line {
    /// A line of one piece.
    pub(super) fn of(paint: Paint, text: &str) -> Self {
        Self(vec![(paint, text.to_owned())])
    }

    /// Adds a piece.
    pub(super) fn push(&mut self, paint: Paint, text: &str) {
        self.0.push((paint, text.to_owned()));
    }

    /// Adds another line's pieces.
    pub(super) fn append(&mut self, line: Line) {
        self.0.extend(line.0);
    }

    /// Cut or filled up to just this many characters.
    pub(super) fn fitted(self, width: usize) -> Self {
        let mut line = self.cut(width);
        let used = line.chars();
        line.push(Paint::Plain, &" ".repeat(width.saturating_sub(used)));
        line
    }

    /// Writes the line, cut to a width, without blanks at its end.
    pub(super) fn write(self, out: &mut dyn Write, width: usize, color: bool) -> io::Result<()> {
        let mut line = self.cut(width);
        while let Some((_, text)) = line.0.last_mut() {
            text.truncate(text.trim_end().len());
            if !text.is_empty() {
                break;
            }
            line.0.pop();
        }
        for (paint, text) in &line.0 {
            if color && !paint.code().is_empty() && !text.trim().is_empty() {
                write!(out, "\x1b[{}m{text}\x1b[m", paint.code())?;
            } else {
                out.write_all(text.as_bytes())?;
            }
        }
        out.write_all(b"\n")
    }

    fn chars(&self) -> usize {
        self.0.iter().map(|(_, text)| text.chars().count()).sum()
    }

    fn cut(mut self, width: usize) -> Self {
        if self.chars() <= width {
            return self;
        }
        let mut left = width.saturating_sub(1);
        for (_, text) in &mut self.0 {
            let end = text.char_indices().nth(left).map(|(end, _)| end);
            left = left.saturating_sub(text.chars().count());
            text.truncate(end.unwrap_or(text.len()));
        }
        if width > 0 {
            self.push(Paint::Plain, "…");
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(line: Line, width: usize, color: bool) -> String {
        let mut out = Vec::new();
        line.write(&mut out, width, color).expect("a vector");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_line_is_cut_to_its_width() {
        let line = || {
            let mut line = Line::of(Paint::Bold, "äbc");
            line.push(Paint::Plain, "def  ");
            line
        };
        assert_eq!(written(line(), 80, false), "äbcdef\n");
        assert_eq!(written(line(), 5, false), "äbcd…\n");
        assert_eq!(written(line(), 2, true), "\x1b[1mä\x1b[m…\n");
        assert_eq!(written(line(), 0, false), "\n");
        assert_eq!(written(line().fitted(10), 80, false), "äbcdef\n");
        assert_eq!(line().fitted(10).chars(), 10);
        assert_eq!(line().fitted(4).chars(), 4);
    }
}
