//! Evaluates a checkpoint on the test images of its data set: accuracy, calibration, and the energies of a test image
//! and of the same pixels sorted by value. Without a path, it uses the bundled Fashion-MNIST model.
//!
//!     cargo run --release --example evaluate_checkpoint -- runs/first
//!
//! ```text
//! fashion-mnist-embedded, inside the program: 5000 training and 1000 test images of 28×28, 10 classes
//! accuracy          93.4 %
//! calibration error 5.4 %
//! mean energy       0.15
//! E(test image)     -0.46
//! E(sorted pixels)  -0.41
//! seen as Ankle boot (0.963), is Ankle boot
//! ```
use jempp::Model;

fn main() -> Result<(), jempp::Error> {
    let model = match std::env::args().nth(1) {
        Some(path) => Model::load(path)?,
        None => Model::bundled("fashion")?,
    };
    let data = model.data()?;
    println!("{}", data.describe());

    let measured = model.evaluate(&data.test)?;
    println!("accuracy          {:.1} %", 100.0 * measured.accuracy);
    println!("calibration error {:.1} %", 100.0 * measured.calibration_error);
    println!("mean energy       {:.2}", measured.mean_energy);

    // The first test image, and the same pixels sorted by value.
    let image = data.test.gather([0]);
    let mut sorted = image.clone();
    sorted.sort_by(f32::total_cmp);
    println!("E(test image)     {:.2}", model.energy(&image)?[0]);
    println!("E(sorted pixels)  {:.2}", model.energy(&sorted)?[0]);

    let seen = &model.classify(&image)?[0];
    let names = model.class_names();
    let (class, truth) = (seen.class as usize, data.test.labels[0] as usize);
    println!("seen as {} ({:.3}), is {}", names[class], seen.confidence(), names[truth]);
    Ok(())
}
