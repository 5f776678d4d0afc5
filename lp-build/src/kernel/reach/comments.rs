//! Text without its comments: what only they say reaches nobody.

/// Longer than any character's literal (`'\x7f'`): a quote that does not end before is an apostrophe in a message.
const CHARACTER: usize = 8;

/// The text with a blank in the place of each comment. In doubt what stands there is code.
pub(super) fn without_comments(text: &[u8]) -> Vec<u8> {
    let mut code = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memchr3(b'/', b'"', b'\'', rest) {
        let (before, after) = rest.split_at(at);
        code.extend_from_slice(before);
        let end = if after.starts_with(b"/*") {
            code.push(b' ');
            let body = after.get(2..).unwrap_or_default();
            memchr::memmem::find(body, b"*/").map_or(after.len(), |end| end + 4)
        } else if after.starts_with(b"//") {
            memchr::memchr(b'\n', after).unwrap_or(after.len())
        } else {
            let end = literal(after);
            code.extend_from_slice(&after[..end]);
            end
        };
        rest = &after[end..];
    }
    code.extend_from_slice(rest);
    code
}

/// Bytes of the literal at the start; of what is none, or has no end on its line, the first byte.
pub(super) fn literal(text: &[u8]) -> usize {
    let quote = text.first().copied();
    let most = match quote {
        Some(b'"') => text.len(),
        Some(b'\'') => text.len().min(CHARACTER),
        _ => return 1,
    };
    let mut escaped = false;
    for (at, byte) in text.iter().copied().enumerate().take(most).skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\n' => return 1,
            b'\\' => escaped = true,
            _ if Some(byte) == quote => return at + 1,
            _ => {}
        }
    }
    1
}
