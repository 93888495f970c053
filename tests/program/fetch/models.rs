//! Models of others: `jempp fetch-model`, and `--checkpoint` with an address.

use std::{fs, path::Path};

use super::{
    command::{one_line, output, program},
    names,
    server::{Reply, Server, nobody},
    sha256,
};

const PLACE: &str = "ada/letters/resolve/main/model.safetensors";

fn model(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("assets").join(name)).unwrap()
}

/// Runs jempp with a hub; returns what it printed.
fn succeeds(dir: &Path, hub: &str, line: &str) -> String {
    let mut command = program(dir, &nobody());
    command.env("HF_ENDPOINT", hub).args(line.split_whitespace());
    let (output, said) = output(&mut command);
    assert!(output.status.success(), "{line}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

fn refused(dir: &Path, hub: &str, line: &str) -> String {
    let mut command = program(dir, &nobody());
    one_line(command.env("HF_ENDPOINT", hub).args(line.split_whitespace()))
}

#[test]
fn a_shared_model_is_fetched_once_and_used_by_its_address() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let bytes = model("two-moons.safetensors");
    let server =
        Server::start(&[(PLACE, &bytes), (&format!("{PLACE}?download=1"), &bytes)], &[Reply::Good]);
    let said = succeeds(dir, &server.address, "fetch-model hf:ada/letters");
    assert!(said.contains(&sha256(&bytes)) && said.contains("mlp"), "{said}");
    assert!(said.contains("jempp view --checkpoint hf:ada/letters"), "{said}");
    assert_eq!(server.requests().len(), 1);
    let sample = "sample --device cpu --steps 2 --checkpoint hf:ada/letters";
    let said = succeeds(dir, &server.address, &format!("{sample} --out one"));
    assert!(
        said.contains("hf:ada/letters") && !said.contains("downloading into the cache"),
        "{said}"
    );
    succeeds(dir, &server.address, &format!("{sample}#sha256={} --out two", sha256(&bytes)));
    succeeds(dir, &server.address, "pack --checkpoint hf:ada/letters --out packed.safetensors");
    assert_eq!(server.requests().len(), 1, "from the cache");
    succeeds(dir, &server.address, "fetch-model --again hf:ada/letters");
    assert_eq!(server.requests().len(), 2);
    // An address that is not in the cache is fetched by the command that needs it, which says so.
    let direct = format!("{}{PLACE}?download=1", server.address);
    let said = succeeds(dir, &nobody(), &format!("export --checkpoint {direct} --out m.onnx"));
    assert!(said.contains("downloading into the cache"), "{said}");
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn a_download_that_is_not_the_model_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let bytes = model("two-moons.safetensors");
    let page = b"<!DOCTYPE html><html><body>Sign in</body></html>";
    let files: [(&str, &[u8]); 3] =
        [("a/m.safetensors", &bytes), ("a/page", page), ("a/other", b"PK\x03\x04 of PyTorch")];
    let server = Server::start(&files, &[Reply::Good]);
    let at = |name: &str| format!("fetch-model {}a/{name}", server.address);
    let wrong = "0".repeat(64);
    let said = refused(dir, &nobody(), &format!("{}#sha256={wrong}", at("m.safetensors")));
    assert!(said.contains(&wrong) && said.contains(&sha256(&bytes)), "{said}");
    assert!(said.contains("not the file that was promised"), "{said}");
    assert!(said.contains("ask its author") && !said.contains("By hand"), "{said}");
    assert!(refused(dir, &nobody(), &at("page")).contains("gave a web page, not a model"));
    assert!(refused(dir, &nobody(), &at("other")).contains("PyTorch"));
    assert!(refused(dir, &nobody(), &at("none")).contains("404"));
    let left = names(&dir.join("cache/models"));
    let host = dir.join("cache/models").join(left.first().map_or("", |name| name));
    assert!(names(&host.join("a")).is_empty(), "{:?}", names(&host.join("a")));

    // The model that was there stays when a newer one cannot be had.
    succeeds(dir, &nobody(), &at("m.safetensors"));
    let said = refused(dir, &nobody(), &format!("{}#sha256={wrong}", at("m.safetensors")));
    assert!(said.contains(&wrong), "{said}");
    let sample =
        format!("sample --device cpu --steps 2 --checkpoint {}a/m.safetensors", server.address);
    succeeds(dir, &nobody(), &sample);

    // A file in the cache that was cut off is told of with the command that fetches it again.
    let cached = host.join("a/m.safetensors");
    fs::write(&cached, &bytes[..bytes.len() / 2]).unwrap();
    let address = format!("{}a/m.safetensors", server.address);
    let again = format!("jempp fetch-model {address} --again");
    for command in ["sample --device cpu --out cut --checkpoint", "fetch-model"] {
        let said = refused(dir, &nobody(), &format!("{command} {address}"));
        assert!(said.contains("truncated") && said.contains(&again), "{said}");
    }
}

#[test]
fn an_address_that_cannot_be_used_is_refused_before_anything_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    for (address, part) in [
        ("hf:ada", "write hf:OWNER/NAME"),
        ("models/a.safetensors", "needs no fetching"),
        ("http://example.org/m.safetensors", "is not encrypted"),
        ("hf:ada/b#sha256=12", "is not a SHA-256"),
    ] {
        let said = refused(dir.path(), &nobody(), &format!("fetch-model {address}"));
        assert!(said.contains(part), "{address}: {said}");
    }
    let said = refused(dir.path(), &nobody(), "sample --checkpoint hf:ada --out x");
    assert!(said.contains("write hf:OWNER/NAME"), "{said}");
}
