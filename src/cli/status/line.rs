//! A line of a screen: letters, each in a column, and sequences that colour them.

/// A line without its colours.
pub(super) fn bare(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    walk(line, |piece| {
        if let Piece::Letter(letter) = piece {
            text.push(letter);
        }
    });
    text
}

/// The part of `line` that has room in `width` columns, with all of its colours, so that
/// none goes on behind it.
pub(super) fn cut(line: &str, width: usize) -> String {
    let mut text = String::with_capacity(line.len());
    let mut columns = 0;
    walk(line, |piece| match piece {
        Piece::Letter(letter) if columns < width => {
            columns += 1;
            text.push(letter);
        }
        Piece::Letter(_) => {}
        Piece::Color(sequence) => text.push_str(sequence),
    });
    text
}

/// A line that stands out: where there are colours, by them reversed.
pub(super) fn marked(line: &str, color: bool) -> String {
    const REVERSED: &str = "\x1b[7m";
    if !color {
        return line.to_owned();
    }
    let mut text = REVERSED.to_owned();
    walk(line, |piece| match piece {
        Piece::Letter(letter) => text.push(letter),
        // Each may put an end to all before it.
        Piece::Color(sequence) => {
            text.push_str(sequence);
            text.push_str(REVERSED);
        }
    });
    text + "\x1b[0m"
}

/// A piece of a line.
enum Piece<'a> {
    /// What takes a column.
    Letter(char),
    /// A sequence that takes none (ECMA-48 §8.3.117, SGR).
    Color(&'a str),
}

fn walk(line: &str, mut each: impl FnMut(Piece<'_>)) {
    let mut rest = line;
    while let Some(letter) = rest.chars().next() {
        let length = match (letter, rest.find('m')) {
            ('\x1b', Some(end)) => end + 1,
            _ => letter.len_utf8(),
        };
        let (piece, after) = rest.split_at(length);
        let piece = if letter == '\x1b' { Piece::Color(piece) } else { Piece::Letter(letter) };
        each(piece);
        rest = after;
    }
}
