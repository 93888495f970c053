//! Pictures that would take far more memory than they have bytes, animations, and names with accents.

use std::{fs, io::Cursor, path::Path};

use image::{ImageFormat, RgbImage};
use jempp::picture::item_of;

use super::{class, load, picture, save};

fn encoded(picture: &RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A chunk of a PNG.
fn png_chunk(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let crc = crc32fast::hash(&[&kind[..], body].concat());
    [&(body.len() as u32).to_be_bytes(), &kind[..], body, &crc.to_be_bytes()].concat()
}

/// A PNG with more chunks behind its header.
fn png_with(picture: &RgbImage, chunks: &[u8]) -> Vec<u8> {
    const HEADER: usize = 33;
    let bytes = encoded(picture, ImageFormat::Png);
    [&bytes[..HEADER], chunks, &bytes[HEADER..]].concat()
}

/// A GIF of equal frames. Each frame holds one pixel, however large it says it is.
fn gif(side: u16, frame_side: u16, num_frames: usize) -> Vec<u8> {
    let [side, frame_side] = [side, frame_side].map(u16::to_le_bytes);
    let palette = [0, 0, 0, 255, 255, 255];
    let pixels = [0, 2, 2, 0x44, 1, 0];
    let frame = [&[0x2cu8, 0, 0, 0, 0][..], &frame_side, &frame_side, &pixels].concat();
    let start = [&b"GIF89a"[..], &side, &side, &[0x80, 0, 0], &palette].concat();
    [start, frame.repeat(num_frames), b";".to_vec()].concat()
}

/// A chunk of a WebP.
fn webp_chunk(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let padding = &[0][..body.len() % 2];
    [&kind[..], &(body.len() as u32).to_le_bytes(), body, padding].concat()
}

/// A WebP of 8×8 pixels with these flags and chunks.
fn webp(flags: u8, chunks: &[Vec<u8>]) -> Vec<u8> {
    let header = webp_chunk(b"VP8X", &[flags, 0, 0, 0, 7, 0, 0, 7, 0, 0]);
    let body = [b"WEBP".to_vec(), header, chunks.concat()].concat();
    webp_chunk(b"RIFF", &body)
}

/// The chunks of an animated WebP whose frames have this content.
fn webp_frames(content: &[u8], num_frames: usize) -> Vec<Vec<u8>> {
    let place = [0, 0, 0, 0, 0, 0, 7, 0, 0, 7, 0, 0, 100, 0, 0, 0];
    let frame = webp_chunk(b"ANMF", &[&place[..], content].concat());
    [vec![webp_chunk(b"ANIM", &[0; 6])], vec![frame; num_frames]].concat()
}

fn read(bytes: &[u8]) -> Result<Vec<f32>, String> {
    item_of(bytes, Path::new("p.any"), [3, 4, 4]).map_err(|error| error.to_string())
}

/// Two frames of 66 megapixels in 67 bytes, and a colour profile of 600 MiB in a few.
#[cfg(unix)]
#[test]
fn nothing_is_unpacked_before_the_size_of_a_picture_is_checked() {
    use std::io::Write;

    use flate2::{Compression, write::ZlibEncoder};
    let dir = tempfile::tempdir().unwrap();
    let set = dir.path().join("set");
    class(&set, "cat", 6, 8, 8);
    class(&set, "dog", 6, 8, 8);
    for item in 0..8 {
        fs::write(set.join(format!("cat/huge{item}.gif")), gif(8100, 1, 2)).unwrap();
    }
    let mut profile = ZlibEncoder::new(b"name\0\0".to_vec(), Compression::fast());
    let zeros = vec![0; 1 << 20];
    (0..600).for_each(|_| profile.write_all(&zeros).unwrap());
    let profile = png_chunk(b"iCCP", &profile.finish().unwrap());
    assert!(profile.len() < 8 << 20);
    fs::write(set.join("dog/profile.png"), png_with(&picture([9; 3], 8, 8, 0), &profile)).unwrap();
    let said = crate::bounded::works(dir.path(), &["data", "set"]);
    assert!(
        said.contains(
            "8 images that cannot be read: cat/huge0.gif has 8100×8100 pixels (height×width), and at most 32 megapixels"
        ),
        "{said}"
    );
    // A picture is read without a profile that is too large.
    assert!(said.contains("2: cat (6), dog (7)"), "{said}");
}

#[test]
fn a_frame_that_is_much_larger_than_its_picture_is_refused() {
    // A key frame of 16383×16383 pixels, of which few are there.
    let start = [0x10u8, 2, 0, 0x9d, 1, 0x2a, 0xff, 0x3f, 0xff, 0x3f];
    let lossy = webp_chunk(b"VP8 ", &[&start[..], &[0; 100]].concat());
    for bytes in
        [gif(8, 11_000, 1), webp(0, std::slice::from_ref(&lossy)), webp(2, &webp_frames(&lossy, 1))]
    {
        let said = read(&bytes).unwrap_err();
        assert_eq!(said, "cannot read picture p.any: Memory limit exceeded");
    }
    assert!(read(&gif(8, 1, 1)).is_ok(), "a smaller frame is usual");
}

/// The decoder would make room for four GiB.
#[test]
fn a_chunk_of_a_webp_that_is_longer_than_the_file_is_told() {
    let pixels = encoded(&picture([90; 3], 8, 8, 0), ImageFormat::WebP)[12..].to_vec();
    let mut notes = webp_chunk(b"EXIF", &[1; 8]);
    assert!(read(&webp(8, &[pixels.clone(), notes.clone()])).is_ok());
    notes[4..8].copy_from_slice(&0xffff_fff0u32.to_le_bytes());
    let whole = webp(8, &[pixels, notes]);
    for bytes in [whole.clone(), [&whole[..], b"more"].concat()] {
        let said = read(&bytes).unwrap_err();
        assert_eq!(said, "picture p.any is cut off: its end is missing");
    }
}

#[test]
fn animations_of_every_format_are_told_and_their_first_frame_is_read() {
    let dir = tempfile::tempdir().unwrap();
    class(dir.path(), "a", 6, 8, 8);
    let write = |name: &str, bytes: &[u8]| fs::write(dir.path().join("a").join(name), bytes);
    let colour = picture([200, 10, 10], 8, 8, 0);
    let two_frames = png_chunk(b"acTL", &[0, 0, 0, 2, 0, 0, 0, 0]);
    let first = [0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 10, 0, 0];
    let notes = [two_frames, png_chunk(b"fcTL", &first)].concat();
    write("moving.png", &png_with(&colour, &notes)).unwrap();
    let pixels = encoded(&colour, ImageFormat::WebP)[12..].to_vec();
    write("moving.webp", &webp(2, &webp_frames(&pixels, 2))).unwrap();
    write("moving.gif", &gif(8, 1, 2)).unwrap();
    let found = load(dir.path());
    assert_eq!(found.train.len() + found.test.len(), 9, "{}", found.describe());
    let said = found.describe();
    assert!(said.contains("3 animations: only the first frame is used"), "{said}");
    // The same with one frame each.
    write("moving.png", &png_with(&colour, &[])).unwrap();
    write("moving.webp", &webp(0, &[pixels])).unwrap();
    write("moving.gif", &gif(8, 1, 1)).unwrap();
    let said = load(dir.path()).describe();
    assert!(!said.contains("animation") && !said.contains("cannot be read"), "{said}");
}

/// A Mac and a zip may store Ä as two characters.
#[test]
fn items_have_one_order_and_one_split_however_accents_are_stored() {
    let dir = tempfile::tempdir().unwrap();
    let names = [("\u{c4}pfel", "A\u{308}pfel"), ("Zebra", "Zebra"), ("\u{f6}l", "o\u{308}l")];
    let read = |is_composed: bool| {
        let root = dir.path().join(is_composed.to_string());
        for item in 0..18u32 {
            let (composed, apart) = names[item as usize % names.len()];
            let name = format!("{}{item}.png", if is_composed { composed } else { apart });
            for (class, shade) in [("ant", 20), ("bee", 120)] {
                let picture = picture([shade; 3], 8, 8, item);
                save(&picture, &root.join(class).join(&name), ImageFormat::Png);
            }
        }
        let found = load(&root);
        let [train, test] = [&found.train, &found.test]
            .map(|part| (part.gather(0..part.len()), part.labels.clone()));
        assert_eq!(test.1.len(), 6);
        (train, test)
    };
    assert_eq!(read(true), read(false));
}
