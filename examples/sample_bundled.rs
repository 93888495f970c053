//! Samples the bundled Fashion-MNIST model: ten Langevin chains start from the centres of the ten classes and take
//! 100 steps down the energy. Prints the results and saves a picture.
//!
//!     cargo run --release --example sample_bundled
//!
//! ```text
//! chain started as | energy | seen as      | with p(y|x)
//! T-shirt/top      |  -0.02 | T-shirt/top  | 0.923
//! Pullover         |   0.16 | Shirt        | 0.946
//! Dress            |  -0.49 | Dress        | 0.991
//! …
//! ```
use jempp::Model;

fn main() -> Result<(), jempp::Error> {
    let model = Model::bundled("fashion")?;
    let samples = model.sample(10, 100, 0)?;

    println!("chain started as | energy | seen as      | with p(y|x)");
    let names = model.class_names();
    for ((&label, energy), seen) in
        samples.labels().iter().zip(samples.energies()).zip(samples.predictions())
    {
        let (start, class) = (&names[label as usize], &names[seen.class as usize]);
        println!("{start:16} | {energy:6.2} | {class:12} | {:.3}", seen.confidence());
    }

    samples.save_png("samples.png")?;
    println!("The images are in samples.png.");
    Ok(())
}
