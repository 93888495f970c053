//! The text of shaders; in the page, which is downloaded, without comments and indentation.

/// The text of some files of `shaders/`, one after the other.
macro_rules! shader {
    ($($file:literal),+) => {{
        const WHOLE: &str = concat!($(include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/shaders/",
            $file,
            ".wgsl"
        ))),+);
        #[cfg(target_arch = "wasm32")]
        const TEXT: &str = {
            const LEN: usize = $crate::kernels::text::bare::<0>(WHOLE).1;
            const BARE: [u8; LEN] = $crate::kernels::text::bare(WHOLE).0;
            match std::str::from_utf8(&BARE) {
                Ok(text) => text,
                Err(_) => panic!("only comments hold more than ASCII"),
            }
        };
        #[cfg(not(target_arch = "wasm32"))]
        const TEXT: &str = WHOLE;
        TEXT
    }};
}

pub(super) use shader;

/// The first `LEN` bytes of a WGSL text without comments and indentation, and the number of all its bytes. Its lines keep
/// their numbers, which the messages of a compiler name.
#[cfg(any(target_arch = "wasm32", test))]
pub(super) const fn bare<const LEN: usize>(text: &str) -> ([u8; LEN], usize) {
    let text = text.as_bytes();
    let (mut bare, mut len) = ([0; LEN], 0);
    let (mut is_indentation, mut is_comment) = (true, false);
    // A constant function has no iterators.
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'\n' => (is_indentation, is_comment) = (true, false),
            b' ' => {}
            b'/' if at + 1 < text.len() && text[at + 1] == b'/' => is_comment = true,
            _ => is_indentation = false,
        }
        if text[at] == b'\n' || !is_indentation && !is_comment {
            if len < LEN {
                bare[len] = text[at];
            }
            len += 1;
        }
        at += 1;
    }
    (bare, len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{ConvPass, ConvShape, KERNELS, Surroundings, VARIANTS};

    /// The text as the page has it.
    fn bare_text(text: &str) -> String {
        let (bare, len) = bare::<100_000>(text);
        String::from_utf8(bare[..len].to_vec()).unwrap()
    }

    #[test]
    fn a_bare_shader_is_the_same_program_with_the_same_lines() {
        assert_eq!(
            bare_text("// É\nfn f() {\n    x /= 2; // half\n}\n"),
            "\nfn f() {\nx /= 2; \n}\n"
        );
        assert_eq!(bare::<3>("a // b\n c").0, *b"a \n");
        let sizes = (2, 8, 8, 16, 16, 3, 1);
        let (batch, height, width, inputs, outputs, kernel, stride) = sizes;
        let shape = ConvShape { batch, height, width, inputs, outputs, kernel, stride };
        let variants = VARIANTS.iter().flat_map(|variant| {
            let passes = ConvPass::ALL.into_iter().filter(|&pass| variant.computes(pass));
            let around = Surroundings::ALL.into_iter();
            passes.flat_map(move |pass| {
                around.clone().map(move |around| variant.kernel(pass, &shape, around))
            })
        });
        for kernel in KERNELS.iter().copied().chain(variants) {
            let bare = bare_text(kernel.source);
            assert_eq!(bare.lines().count(), kernel.source.lines().count(), "{}", kernel.name);
            assert!(!bare.contains("//"), "{}", kernel.name);
            let program = |text: &str| {
                let module = naga::front::wgsl::parse_str(text).unwrap();
                let info = naga::valid::Validator::new(
                    naga::valid::ValidationFlags::all(),
                    naga::valid::Capabilities::SUBGROUP,
                )
                .validate(&module)
                .unwrap();
                let options = naga::back::spv::Options {
                    lang_version: (1, 3),
                    ..naga::back::spv::Options::default()
                };
                naga::back::spv::write_vec(&module, &info, &options, None).unwrap()
            };
            assert_eq!(program(&bare), program(kernel.source), "{}", kernel.name);
        }
    }
}
