//! Files of `torch.save`, built by hand in the format of PyTorch before 1.6: five pickles, then the storages.
/// A tensor to write; all its bytes are equal.
#[derive(Clone, Debug)]
pub(crate) struct Tensor {
    pub name: String,
    pub shape: Vec<usize>,
    /// The prefix of the storage type, as in FloatStorage.
    pub storage: &'static str,
    pub byte: u8,
}

impl Tensor {
    pub(crate) fn zeros(name: &str, shape: &[usize]) -> Self {
        Self { name: name.into(), shape: shape.into(), storage: "FloatStorage", byte: 0 }
    }

    fn len(&self) -> usize {
        self.shape.iter().product()
    }

    fn pickle(&self, key: usize) -> Vec<u8> {
        let strides: Vec<usize> =
            (1..=self.shape.len()).map(|d| self.shape[d..].iter().product()).collect();
        rebuild(self.storage, key, self.len(), &self.shape, &strides)
    }
}

/// The pickle of a string.
pub(crate) fn text(value: &str) -> Vec<u8> {
    [b"X", (value.len() as u32).to_le_bytes().as_slice(), value.as_bytes()].concat()
}

fn int(value: usize) -> Vec<u8> {
    [b"J".as_slice(), &(value as u32).to_le_bytes()].concat()
}

fn tuple(values: &[usize]) -> Vec<u8> {
    [b"(".to_vec(), values.iter().flat_map(|&value| int(value)).collect(), b"t".to_vec()].concat()
}

/// The pickle of a tensor of `len` elements of storage `key`, with this shape and these strides.
pub(crate) fn rebuild(
    storage: &str,
    key: usize,
    len: usize,
    shape: &[usize],
    strides: &[usize],
) -> Vec<u8> {
    let storage = format!("ctorch\n{storage}\n");
    [
        b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec(),
        text("storage"),
        storage.into_bytes(),
        text(&key.to_string()),
        text("cpu"),
        int(len),
        b"NtQ".to_vec(),
        int(0),
        tuple(shape),
        tuple(strides),
        b"\x89ccollections\nOrderedDict\n)RtR".to_vec(),
    ]
    .concat()
}

/// A whole file from the instructions that leave the saved object on the stack.
pub(crate) fn around(object: &[u8], storages: &[(usize, usize, u8)]) -> Vec<u8> {
    let mut file =
        b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.".to_vec();
    file.extend([b"\x80\x02}", text("little_endian").as_slice(), b"\x88s."].concat());
    file.extend([b"\x80\x02", object, b"."].concat());
    let keys: Vec<u8> = (0..storages.len()).flat_map(|key| text(&key.to_string())).collect();
    file.extend([b"\x80\x02](", keys.as_slice(), b"e."].concat());
    for &(len, size, byte) in storages {
        file.extend((len as i64).to_le_bytes());
        file.extend(vec![byte; len * size]);
    }
    file
}

/// The pickle of a dictionary.
pub(crate) fn dict(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let entries = entries.iter().flat_map(|(name, value)| [text(name), value.clone()].concat());
    [b"}(".to_vec(), entries.collect(), b"u".to_vec()].concat()
}

/// The pickle of a state dict, `{prefix + name: tensor, …}`.
pub(crate) fn state_dict(tensors: &[Tensor], prefix: &str) -> Vec<u8> {
    let names: Vec<String> =
        tensors.iter().map(|tensor| format!("{prefix}{}", tensor.name)).collect();
    let pickles = tensors.iter().enumerate().map(|(key, tensor)| tensor.pickle(key));
    let entries: Vec<_> = names.iter().map(String::as_str).zip(pickles).collect();
    dict(&entries)
}

/// A whole file with these tensors, from the instructions that leave the saved object on the stack.
pub(crate) fn with_tensors(object: &[u8], tensors: &[Tensor]) -> Vec<u8> {
    let size = |storage| if storage == "LongStorage" { 8 } else { 4 };
    let storages: Vec<_> =
        tensors.iter().map(|tensor| (tensor.len(), size(tensor.storage), tensor.byte)).collect();
    around(object, &storages)
}

/// A whole checkpoint file, `{"model_state_dict": {name: tensor, …}}`.
pub(crate) fn checkpoint(tensors: &[Tensor]) -> Vec<u8> {
    with_tensors(&dict(&[("model_state_dict", state_dict(tensors, ""))]), tensors)
}
