//! Files of data sets and pictures.

use std::{fs, io::Write, path::Path};

use flate2::{
    Compression,
    write::{GzEncoder, ZlibEncoder},
};
use jempp::{
    config::{DataConfig, DatasetName},
    data::{self, load_images},
    picture,
};

use super::with_folder;

/// Bytes of an image of CIFAR and SVHN.
const COLOUR: usize = 3 * 32 * 32;

/// One of the four files of an IDX data set, gzipped or not: the first byte says which.
pub(crate) fn idx(bytes: &[u8]) -> bool {
    let Some((&which, content)) = bytes.split_first() else { return false };
    let names = ["train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"];
    let whole = |part: usize| match part % 2 {
        0 => [&[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2][..], &[7; 8]].concat(),
        _ => vec![0, 0, 8, 1, 0, 0, 0, 2, 0, 1],
    };
    let mutated = if which & 4 != 0 { gzipped(content) } else { content.to_vec() };
    with_empty("idx", |folder| {
        for (part, name) in names.iter().enumerate() {
            let file = if part == usize::from(which % 4) { &mutated } else { &whole(part) };
            fs::write(folder.join(format!("{name}-ubyte")), file).unwrap();
        }
        if which & 8 != 0 {
            let path = folder.join(format!("{}-ubyte", names[0]));
            return load_images(&path, [1, 2, 2], 10).is_ok();
        }
        loads(DatasetName::Mnist, folder)
    })
}

/// CIFAR's binary version, and the names of its classes.
pub(crate) fn cifar(bytes: &[u8]) -> bool {
    let Some((&which, content)) = bytes.split_first() else { return false };
    with_empty("cifar", |folder| {
        let write = |name: &str, content: &[u8]| fs::write(folder.join(name), content).unwrap();
        let mutated = if which & 4 != 0 { gzipped(content) } else { content.to_vec() };
        if which & 1 == 0 {
            let record = vec![1; 1 + COLOUR];
            for batch in 2..=5 {
                write(&format!("data_batch_{batch}.bin"), &record);
            }
            write("test_batch.bin", &record);
            write("data_batch_1.bin", &mutated);
            return loads(DatasetName::Cifar10, folder);
        }
        let record = vec![2; 2 + COLOUR];
        write("test.bin", &record);
        let is_names = which & 2 != 0;
        write("train.bin", if is_names { &record } else { &mutated });
        if is_names {
            write("fine_label_names.txt", content);
        }
        loads(DatasetName::Cifar100, folder)
    })
}

/// SVHN's MATLAB files: the first byte says whether the rest is a file or the inside of a compressed element.
pub(crate) fn svhn(bytes: &[u8]) -> bool {
    let Some((&which, content)) = bytes.split_first() else { return false };
    let file = match which % 2 {
        0 => content.to_vec(),
        _ => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(content).unwrap();
            let packed = encoder.finish().unwrap();
            let mut file = vec![b' '; 124];
            file.extend([0, 1, b'I', b'M']);
            file.extend([15u32.to_le_bytes(), (packed.len() as u32).to_le_bytes()].concat());
            [file, packed].concat()
        }
    };
    with_empty("svhn", |folder| {
        for name in ["train_32x32.mat", "test_32x32.mat"] {
            fs::write(folder.join(name), &file).unwrap();
        }
        loads(DatasetName::Svhn, folder)
    })
}

/// A person's own data: arrays of numpy, an archive of them, a table or a folder of pictures, as the first byte says.
pub(crate) fn own(bytes: &[u8]) -> bool {
    let Some((&which, content)) = bytes.split_first() else { return false };
    let array = |shape: &str, data: &[u8]| {
        let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}");
        [&b"\x93NUMPY\x01\x00"[..], &(header.len() as u16).to_le_bytes(), header.as_bytes(), data]
            .concat()
    };
    with_empty("own", |folder| {
        let write = |name: &str, content: &[u8]| {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, content).unwrap();
            path
        };
        let path = match which % 5 {
            0 => {
                write("y.npy", &array("(2,)", &[0, 1]));
                write("x.npy", content)
            }
            1 => {
                write("y.npy", content);
                write("x.npy", &array("(2, 4, 4)", &[9; 32]))
            }
            2 => write("set.npz", content),
            3 => write("set.csv", content),
            _ => {
                write("set/a/0.png", content);
                write("set/train/b/0.png", content);
                folder.join("set")
            }
        };
        loads(DatasetName::Custom, &path)
    })
}

/// A picture in any format; the first byte says for which model.
pub(crate) fn picture(bytes: &[u8]) -> bool {
    let Some((&which, content)) = bytes.split_first() else { return false };
    let shapes = [[1, 28, 28], [3, 32, 32], [1, 1, 1], [3, 8, 1]];
    let shape = shapes[usize::from(which) % shapes.len()];
    match picture::item_of(content, Path::new("mutated"), shape) {
        Ok(values) => {
            assert_eq!(values.len(), shape.iter().product::<usize>());
            assert!(values.iter().all(|value| (-1.0..=1.0).contains(value)));
            true
        }
        Err(_) => false,
    }
}

fn loads(dataset: DatasetName, folder: &Path) -> bool {
    let dir = folder.display().to_string();
    let config = DataConfig { dataset, dir, batch_size: 1, ..DataConfig::default() };
    match data::load(&config, 0) {
        Ok(splits) => {
            // Every item can be taken.
            for part in [&splits.train, &splits.validation, &splits.test] {
                let values = part.gather(0..part.len());
                assert_eq!(values.len(), part.len() * part.num_pixels());
                assert!(part.labels.iter().all(|&label| (label as usize) < part.num_classes()));
            }
            true
        }
        Err(_) => false,
    }
}

/// Work in a folder that holds nothing yet.
fn with_empty<T>(name: &str, work: impl FnOnce(&Path) -> T) -> T {
    with_folder(|folder| {
        let folder = folder.join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        work(&folder)
    })
}

fn gzipped(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}
