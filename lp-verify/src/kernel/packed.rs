//! Files as distributions pack them: gzip, xz, zstd and lz4, told by the first bytes.
//!
//! What follows the packed data is left alone: a kernel image has the unpacked size behind it (`size_append`,
//! `scripts/Makefile.lib`, 6.1). The tempting wrong way is to go by the file's name, which an image does not have for what is in it.

use std::io::{self, Read};

/// The magic of lz4's old format, the only one that the kernel can unpack (`lib/decompress_unlz4.c`, 6.1).
const LZ4_LEGACY: [u8; 4] = [0x02, 0x21, 0x4c, 0x18];
/// Bytes of one of its blocks, unpacked.
const LZ4_BLOCK: usize = 8 << 20;

/// Unpacks data that gives no more than `most` bytes; none where it is not packed in a known way.
///
/// # Errors
/// Where it is damaged or larger.
pub fn unpack(data: &[u8], most: u64) -> io::Result<Option<Vec<u8>>> {
    let unpacked = match data {
        [0x1f, 0x8b, ..] => all(flate2::read::GzDecoder::new(data), most),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => all(lzma_rust2::XzReader::new(data, false), most),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            let stream = ruzstd::decoding::StreamingDecoder::new(data);
            all(stream.map_err(io::Error::other)?, most)
        }
        [0x02, 0x21, 0x4c, 0x18, blocks @ ..] => lz4_legacy(blocks, most),
        _ => return Ok(None),
    };
    unpacked.map(Some)
}

fn all(input: impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    check(&bytes, most)?;
    Ok(bytes)
}

/// Blocks, each behind its packed size; the last four bytes may be the size of the whole.
fn lz4_legacy(mut rest: &[u8], most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some((size, behind)) = rest.split_first_chunk::<4>() {
        if *size == LZ4_LEGACY {
            rest = behind;
            continue;
        }
        if behind.is_empty() {
            break;
        }
        let size = u32::from_le_bytes(*size) as usize;
        let (block, next) = behind
            .split_at_checked(size)
            .ok_or_else(|| io::Error::other("an lz4 block ends behind the file"))?;
        let block = lz4_flex::block::decompress(block, LZ4_BLOCK);
        bytes.extend(block.map_err(io::Error::other)?);
        check(&bytes, most)?;
        rest = next;
    }
    Ok(bytes)
}

fn check(bytes: &[u8], most: u64) -> io::Result<()> {
    match u64::try_from(bytes.len()) {
        Ok(len) if len <= most => Ok(()),
        _ => Err(io::Error::other("unpacked it is larger than any such file")),
    }
}
