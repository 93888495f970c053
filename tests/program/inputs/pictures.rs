//! Pictures that are rotated, transparent, truncated or huge.

use std::{io::Cursor, path::Path};

use image::{DynamicImage, ImageBuffer, ImageFormat, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use jempp::picture::item_of;

use super::gz;

fn encoded(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A detailed picture, so that every byte of the file is needed.
fn scene(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb([((x * 37) ^ (y * 11)) as u8, (x * 5 + y * 91) as u8, (x * y) as u8])
    })
}

fn read(bytes: &[u8], shape: [usize; 3]) -> Result<Vec<f32>, String> {
    item_of(bytes, Path::new("p.any"), shape).map_err(|error| error.to_string())
}

/// A picture that is red at the top left and blue elsewhere.
fn corner() -> RgbImage {
    RgbImage::from_fn(
        32,
        16,
        |x, y| if x < 16 && y < 8 { Rgb([255, 0, 0]) } else { Rgb([0, 0, 255]) },
    )
}

/// A JPEG with this EXIF orientation.
fn with_orientation(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    let len = (exif.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &len, &exif, &jpeg[2..]].concat()
}

#[test]
fn the_rotation_that_a_camera_writes_down_is_carried_out() {
    let plain = encoded(corner(), ImageFormat::Jpeg);
    // The position of the red corner: row and column of 2 × 2, for each value of the EXIF tag.
    let places =
        [(1, 0, 0), (2, 0, 1), (3, 1, 1), (4, 1, 0), (5, 0, 0), (6, 0, 1), (7, 1, 1), (8, 1, 0)];
    for (orientation, row, column) in places {
        let red = &read(&with_orientation(&plain, orientation), [3, 2, 2]).unwrap()[..4];
        for (at, value) in red.iter().enumerate() {
            let is_red = at == 2 * row + column;
            assert_eq!(*value > 0.0, is_red, "orientation {orientation}: {red:?}");
        }
    }
    // Scales to a shape that is not square.
    let turned = read(&with_orientation(&plain, 6), [3, 4, 2]).unwrap();
    assert!(turned[1] > 0.0 && turned[3] > 0.0 && turned[0] < 0.0 && turned[5] < 0.0, "{turned:?}");
    assert!(
        read(&with_orientation(&plain, 99), [3, 2, 2]).unwrap()[0] > 0.0,
        "nonsense turns nothing"
    );
}

#[test]
fn what_is_see_through_lies_on_a_ground_that_shows_it() {
    let shape = |visible: u8, hidden: u8| {
        let pixel = |x, y| match (8..24).contains(&x) && (8..24).contains(&y) {
            true => Rgba([visible, visible, visible, 255]),
            false => Rgba([hidden, hidden, hidden, 0]),
        };
        encoded(RgbaImage::from_fn(32, 32, pixel), ImageFormat::Png)
    };
    for hidden in [0, 128, 255] {
        for (visible, ground) in [(255, -1.0), (0, 1.0)] {
            let found = read(&shape(visible, hidden), [1, 4, 4]).unwrap();
            let is_seen = found[0] * ground > 0.9 && found[5] * ground < -0.4;
            assert!(is_seen, "{visible} over {hidden}: {found:?}");
        }
    }
    // A half-transparent pixel is mixed with the background; a fully transparent one is black.
    let half = RgbaImage::from_pixel(4, 4, Rgba([200, 200, 200, 128]));
    let found = read(&encoded(half, ImageFormat::Png), [1, 1, 2]).unwrap();
    assert!((found[0] - (100.0 / 127.5 - 1.0)).abs() < 0.02, "{found:?}");
    let none = RgbaImage::from_pixel(4, 4, Rgba([200, 200, 200, 0]));
    assert_eq!(read(&encoded(none, ImageFormat::WebP), [1, 1, 2]).unwrap(), [-1.0, -1.0]);
}

#[test]
fn a_part_of_a_picture_is_refused() {
    let formats = [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Gif, ImageFormat::WebP];
    for format in formats {
        let whole = encoded(scene(61, 47), format);
        assert!(read(&whole, [3, 8, 8]).is_ok());
        assert!(read(&[&whole[..], b"more"].concat(), [3, 8, 8]).is_ok(), "{format:?}");
        // The last bytes of PNG and GIF only mark the end.
        let last = whole.len() - 16;
        for len in (0..last).step_by(17).chain([last]) {
            let said = read(&whole[..len], [3, 8, 8]).unwrap_err();
            assert!(said.contains("p.any"), "{said}");
            // A failed download may leave zeros in the reserved space. In WebP, zeros are valid colours.
            let mut holed = whole.clone();
            holed[len..].fill(0);
            let is_refused = read(&holed, [3, 8, 8]).is_err();
            assert!(is_refused || format == ImageFormat::WebP, "{format:?}: zeros from {len} on");
        }
    }
    let jpeg = encoded(scene(61, 47), ImageFormat::Jpeg);
    let said = read(&jpeg[..jpeg.len() - 2], [3, 8, 8]).unwrap_err();
    assert_eq!(said, "picture p.any is cut off: its end is missing");
}

#[test]
fn what_is_no_picture_or_another_kind_is_named() {
    let said = read(b"", [1, 2, 2]).unwrap_err();
    assert!(said.contains("p.any is not a picture: PNG, JPEG, GIF, WebP and BMP"), "{said}");
    assert!(read(b"<html>", [1, 2, 2]).unwrap_err().contains("is not a picture"));
    let said = read(b"II*\0    0000000000000000000", [1, 2, 2]).unwrap_err();
    assert!(said.contains("has the format tiff") && said.contains("save it as PNG"), "{said}");
}

/// A PNG chunk.
fn chunk(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut crc = crc32fast::Hasher::new();
    crc.update(kind);
    crc.update(body);
    let len = (body.len() as u32).to_be_bytes();
    [&len, &kind[..], body, &crc.finalize().to_be_bytes()].concat()
}

#[test]
fn a_picture_of_any_size_is_refused_before_its_pixels_are_made() {
    let head =
        |side: u32| [&side.to_be_bytes()[..], &side.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    // Extracts the zlib stream from gzip data.
    let packed = gz(&vec![0; 1 << 20]);
    let bomb = |side| {
        let parts = [chunk(b"IHDR", &head(side)), chunk(b"IDAT", &packed), chunk(b"IEND", &[])];
        [b"\x89PNG\r\n\x1a\n".to_vec(), parts.concat()].concat()
    };
    let said = read(&bomb(60_000), [3, 8, 8]).unwrap_err();
    assert!(
        said.contains("60000×60000 pixels (height×width)") && said.contains("256 MiB unpacked"),
        "{said}"
    );
    assert!(read(&bomb(0), [3, 8, 8]).is_err());
    let mut jpeg = encoded(scene(16, 16), ImageFormat::Jpeg);
    let frame = jpeg.windows(2).position(|mark| mark == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].fill(0xff);
    assert!(read(&jpeg, [3, 8, 8]).unwrap_err().contains("65535×65535 pixels"));
    let mut gif = encoded(scene(16, 16), ImageFormat::Gif);
    gif[6..10].fill(0xff);
    assert!(read(&gif, [3, 8, 8]).unwrap_err().contains("65535×65535 pixels"));
}

#[test]
fn deep_indexed_and_print_colours_are_read() {
    let deep = ImageBuffer::<Luma<u16>, _>::from_pixel(5, 5, Luma([0x8080]));
    let found = read(&encoded(deep, ImageFormat::Png), [1, 2, 2]).unwrap();
    assert!(found.iter().all(|value| (value - 1.0 / 255.0).abs() < 0.01), "{found:?}");
    // A palette with one colour.
    let parts = [
        chunk(b"IHDR", &[0, 0, 0, 1, 0, 0, 0, 1, 8, 3, 0, 0, 0]),
        chunk(b"PLTE", &[255, 0, 0]),
        chunk(b"IDAT", b"\x78\x01\x63\x60\x00\x00\x00\x02\x00\x01"),
        chunk(b"IEND", &[]),
    ];
    let indexed = [b"\x89PNG\r\n\x1a\n".to_vec(), parts.concat()].concat();
    assert_eq!(read(&indexed, [3, 1, 1]).unwrap(), [1.0, -1.0, -1.0]);
    // A CMYK picture of eight by eight pixels: red and green increase, blue is medium.
    let press = include_bytes!("../cases/inputs/cmyk.jpg");
    let found = read(press, [3, 2, 2]).unwrap();
    assert!(found[1] > found[0] && found[3] > found[2], "red grows to the right: {found:?}");
    assert!(found[6] > found[4] && found[7] > found[5], "green grows downwards: {found:?}");
}
