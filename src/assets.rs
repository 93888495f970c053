//! Files that come with the program: embedded in the binary or, in a browser, next to the page and downloaded when
//! first needed.

/// A file of the program could not be loaded.
#[derive(Debug, thiserror::Error)]
#[error("cannot load {name}: {reason}")]
pub struct AssetError {
    /// The name of the file.
    pub name: String,
    /// The reason for the failure.
    pub reason: String,
}

#[cfg(not(target_arch = "wasm32"))]
mod inside {
    use super::AssetError;

    macro_rules! files {
        ($($name:literal => $path:literal),* $(,)?) => {
            &[$(($name, include_bytes!(concat!("../assets/", $path)).as_slice())),*]
        };
    }

    /// 5,000 + 1,000 Fashion-MNIST images, made by `assets/make_fashion_mnist.py`, the bundled models and judges, and
    /// the lessons.
    const FILES: &[(&str, &[u8])] = files!(
        "fashion.safetensors" => "fashion.safetensors",
        "fashion-sampler.safetensors" => "fashion-sampler.safetensors",
        "mnist.safetensors" => "mnist/mnist.safetensors",
        "mnist-sampler.safetensors" => "mnist/mnist-sampler.safetensors",
        "cifar10-jpeg.safetensors" => "cifar10-jpeg/cifar10-jpeg.safetensors",
        "cifar10-jpeg-classifier.safetensors" => "cifar10-jpeg/cifar10-jpeg-classifier.safetensors",
        "cifar10-jpeg-judge.safetensors" => "cifar10-jpeg/cifar10-jpeg-judge.safetensors",
        "fashion-classifier.safetensors" => "fashion-classifier.safetensors",
        "fashion-judge.safetensors" => "fashion-judge.safetensors",
        "mnist-judge.safetensors" => "mnist/mnist-judge.safetensors",
        "fashion-mnist/train-images-idx3-ubyte.gz" => "fashion-mnist/train-images-idx3-ubyte.gz",
        "fashion-mnist/train-labels-idx1-ubyte.gz" => "fashion-mnist/train-labels-idx1-ubyte.gz",
        "fashion-mnist/t10k-images-idx3-ubyte.gz" => "fashion-mnist/t10k-images-idx3-ubyte.gz",
        "fashion-mnist/t10k-labels-idx1-ubyte.gz" => "fashion-mnist/t10k-labels-idx1-ubyte.gz",
        "two-moons.safetensors" => "two-moons.safetensors",
        "two-moons-classifier.safetensors" => "two-moons-classifier.safetensors",
        "lessons/1.md" => "lessons/1.md",
        "lessons/2.md" => "lessons/2.md",
        "lessons/3.md" => "lessons/3.md",
        "lessons/4.md" => "lessons/4.md",
        "lessons/5.md" => "lessons/5.md",
        "lessons/6.md" => "lessons/6.md",
        "lessons/7.md" => "lessons/7.md",
        "lessons/8.md" => "lessons/8.md",
    );

    /// The content of an embedded file.
    pub fn get(name: &str) -> Option<&'static [u8]> {
        FILES.iter().find(|file| file.0 == name).map(|file| file.1)
    }

    /// Loads files so that [`get`] finds them; does nothing here, because they are embedded.
    ///
    /// # Errors
    /// None.
    pub(crate) async fn bring(_names: &[&str]) -> Result<(), AssetError> {
        Ok(())
    }

    /// Loads files that may be needed soon; does nothing here.
    #[cfg(feature = "gui")]
    pub(crate) fn bring_later(_names: &'static [&'static str]) {}
}

#[cfg(target_arch = "wasm32")]
mod beside {
    use std::{cell::RefCell, collections::HashMap};

    use super::AssetError;
    use crate::browser;

    thread_local! {
        static HERE: RefCell<HashMap<String, &'static [u8]>> = RefCell::default();
    }

    /// The content of a file, if it has been downloaded.
    pub fn get(name: &str) -> Option<&'static [u8]> {
        HERE.with_borrow(|here| here.get(name).copied())
    }

    /// Downloads files so that [`get`] finds them.
    ///
    /// # Errors
    /// A file cannot be downloaded.
    pub(crate) async fn bring(names: &[&str]) -> Result<(), AssetError> {
        for &name in names {
            if get(name).is_some() {
                continue;
            }
            let bytes = browser::asset(name).await.map_err(|reason| AssetError {
                name: name.to_string(),
                reason: format!("{reason}. Check the connection and try again"),
            })?;
            // As in the other builds, the content stays in memory until the program ends.
            let bytes: &'static [u8] = Vec::leak(bytes);
            HERE.with_borrow_mut(|here| here.insert(name.to_string(), bytes));
        }
        Ok(())
    }

    /// Downloads files that may be needed soon, while the program does other things. One that does not come is asked for
    /// again when it is needed.
    pub(crate) fn bring_later(names: &'static [&'static str]) {
        wasm_bindgen_futures::spawn_local(async move {
            for name in names {
                let _ = bring(&[name]).await;
            }
        });
    }
}

#[cfg(target_arch = "wasm32")]
pub use beside::get;
#[cfg(target_arch = "wasm32")]
pub(crate) use beside::{bring, bring_later};
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use inside::bring;
#[cfg(all(feature = "gui", not(target_arch = "wasm32")))]
pub(crate) use inside::bring_later;
#[cfg(not(target_arch = "wasm32"))]
pub use inside::get;
