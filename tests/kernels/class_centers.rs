//! Class centres with truncated factors, compared with the full Gaussian.

use std::{ops::ControlFlow, process::Command};

use crate::common::values;
use jempp::{
    class_centers::{ClassCentersData, ClassCentersError},
    config::{ClassCentersConfig, DataConfig, RunConfig},
    data::{self, Dataset},
    device,
    trainer::Trainer,
};
use jempp_cpu::reference::NoiseKey;
use pollster::block_on;

fn config(explained_variance: f64, max_components: usize) -> ClassCentersConfig {
    ClassCentersConfig { explained_variance, max_components, residual_scale: 1.0 }
}

/// The mean, the variance per pixel and the total variance of one class, computed directly from its images.
fn moments(dataset: &Dataset, class: u32) -> (Vec<f64>, Vec<f64>) {
    let indices: Vec<usize> = (0..dataset.len()).filter(|&i| dataset.labels[i] == class).collect();
    let images = dataset.gather(indices.iter().copied());
    let (count, size) = (indices.len() as f64, dataset.num_pixels());
    let mut mean = vec![0.0; size];
    let mut variance = vec![0.0; size];
    for image in images.chunks(size) {
        for (mean, &v) in mean.iter_mut().zip(image) {
            *mean += f64::from(v) / count;
        }
    }
    for image in images.chunks(size) {
        for ((variance, &v), mean) in variance.iter_mut().zip(image).zip(&mean) {
            *variance += (f64::from(v) - mean).powi(2) / (count - 1.0);
        }
    }
    (mean, variance)
}

fn train() -> Dataset {
    data::load(&DataConfig::default(), 0).unwrap().train
}

#[test]
fn truncated_factors_keep_means_and_pixel_variances_of_the_full_gaussian() {
    let train = train();
    for (share, most) in [(0.95, 128), (0.5, 8)] {
        let data = ClassCentersData::estimate(&train, &config(share, most)).unwrap();
        let [classes, k, d] = data.dims;
        assert!(k <= most && classes == 10 && d == 784);
        for class in 0..classes {
            let (mean, variance) = moments(&train, class as u32);
            for pixel in 0..d {
                let found = f64::from(data.mean[class * d + pixel]);
                assert!((found - mean[pixel]).abs() < 1e-5);
                let axes =
                    (0..k).map(|j| f64::from(data.factor[(class * k + j) * d + pixel]).powi(2));
                let found =
                    axes.sum::<f64>() + f64::from(data.residual_std[class * d + pixel]).powi(2);
                // The full Gaussian of the method has 1e-4 added to its diagonal.
                assert!((found - variance[pixel] - 1e-4).abs() < 1e-4, "class {class} {pixel}");
            }
        }
    }
}

#[test]
fn a_smaller_residual_blurs_starts_and_leaves_means_and_axes() {
    let set = crate::common::tiny_dataset(200);
    let whole = ClassCentersData::estimate(&set, &config(0.5, 4)).unwrap();
    let scaled = |residual_scale| {
        let config = ClassCentersConfig { residual_scale, ..config(0.5, 4) };
        ClassCentersData::estimate(&set, &config).unwrap()
    };
    let quarter = scaled(0.25);
    assert_eq!((&quarter.mean, &quarter.factor), (&whole.mean, &whole.factor));
    for (quarter, whole) in quarter.residual_std.iter().zip(&whole.residual_std) {
        assert_eq!(*quarter, 0.25 * whole);
    }
    assert!(scaled(0.0).residual_std.iter().all(|&std| std == 0.0));
}

#[test]
fn the_number_of_axes_follows_the_explained_variance() {
    let train = train();
    let k = |share: f64| ClassCentersData::estimate(&train, &config(share, 4096)).unwrap().dims[1];
    let (few, many, all) = (k(0.5), k(0.9), k(1.0));
    assert!(few < many && many < all, "{few} {many} {all}");
    assert_eq!(k(0.0), 1);
}

#[test]
fn axes_are_orthogonal_whether_images_outnumber_pixels_or_not() {
    // First 250 images of 64 pixels per class, then 20: these use the covariance and the Gram matrix.
    for count in [500, 40] {
        let set = crate::common::tiny_dataset(count);
        let data = ClassCentersData::estimate(&set, &config(0.99, 6)).unwrap();
        let [classes, k, d] = data.dims;
        for class in 0..classes {
            let axis = |j: usize| &data.factor[(class * k + j) * d..(class * k + j + 1) * d];
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
            for i in 0..k {
                for j in 0..i {
                    let (a, b) = (axis(i), axis(j));
                    let cosine = dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
                    assert!(cosine.abs() < 1e-3, "axes {i} and {j} of {count}: {cosine}");
                }
                assert!(i == 0 || dot(axis(i), axis(i)) <= 1.001 * dot(axis(i - 1), axis(i - 1)));
            }
        }
    }
}

#[test]
fn draws_have_the_moments_of_their_class() {
    // A small variance around 0, so that the box clamps nothing.
    let set = crate::common::tiny_dataset(200);
    let data = ClassCentersData::estimate(&set, &config(0.5, 4)).unwrap();
    let centers = data.to_device(set.shape, &device::cpu());
    let draws = 20_000;
    let noise = NoiseKey { seed: 1, stream: 2, step: 3, first_chain: 0 };
    let x = values(centers.start(&vec![1; draws], noise));
    let (mean, variance) = moments(&set, 1);
    for pixel in 0..64 {
        let column = || x.iter().skip(pixel).step_by(64).map(|&v| f64::from(v));
        let found_mean = column().sum::<f64>() / draws as f64;
        let found = column().map(|v| (v - found_mean).powi(2)).sum::<f64>() / draws as f64;
        let expected = variance[pixel] + 1e-4;
        assert!((found_mean - mean[pixel]).abs() < 5.0 * (expected / draws as f64).sqrt());
        assert!((found / expected - 1.0).abs() < 0.06, "pixel {pixel}: {found} {expected}");
    }
}

#[test]
fn a_class_without_images_has_the_gaussian_of_all_and_one_with_one_image_is_around_it() {
    let mut set = crate::common::tiny_dataset(40);
    // Class 2 has one image, class 3 has none.
    set.class_names = ["cup", "hat", "key", "pen"].map(String::from).to_vec();
    set.labels[7] = 2;
    let data = ClassCentersData::estimate(&set, &config(1.0, 4096)).unwrap();
    let mean = |class: usize| &data.mean[class * 64..(class + 1) * 64];
    let near = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4);
    assert!(near(mean(2), &set.gather([7])), "the one image");
    let all = set.gather(0..40);
    let middle: Vec<f32> =
        (0..64).map(|pixel| all.iter().skip(pixel).step_by(64).sum::<f32>() / 40.0).collect();
    assert!(near(mean(3), &middle), "the mean of all");
    let spread = |class: usize| -> f32 {
        let residual = &data.residual_std[class * 64..(class + 1) * 64];
        let axes = &data.factor[class * data.dims[1] * 64..(class + 1) * data.dims[1] * 64];
        residual.iter().chain(axes).map(|value| value * value).sum()
    };
    let pooled = f32::midpoint(spread(0), spread(1));
    assert!((spread(2) / pooled - 1.0).abs() < 0.2, "{} {pooled}", spread(2));
    assert!(spread(3) > pooled, "classes differ in their means too");

    // A single image gives no spread to estimate.
    let set = Dataset::from_bytes(vec![9; 4], vec![0], [1, 2, 2], vec!["cup".into()]).unwrap();
    let data = ClassCentersData::estimate(&set, &config(0.9, 4)).unwrap();
    assert!(near(&data.mean, &set.gather([0])));
    assert!(data.residual_std.iter().all(|std| (std - 0.01).abs() < 1e-4));
}

#[test]
fn an_axis_has_its_largest_component_positive() {
    let data = ClassCentersData::estimate(&train(), &config(0.95, 16)).unwrap();
    let [_, _, d] = data.dims;
    for axis in data.factor.chunks(d) {
        let largest = axis.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap();
        assert!(largest > 0.0);
    }
}

#[test]
fn few_axes_of_many_explain_what_the_same_axes_of_all_do() {
    // 16 axes are found by iteration; 300 of 500 by a full eigendecomposition.
    let train = train();
    let few = ClassCentersData::estimate(&train, &config(1.0, 16)).unwrap();
    let all = ClassCentersData::estimate(&train, &config(1.0, 300)).unwrap();
    let [classes, _, d] = few.dims;
    let kept = |data: &ClassCentersData, class: usize| {
        let rows = data.factor.chunks(data.dims[1] * d).nth(class).unwrap();
        rows[..16 * d].iter().map(|v| v * v).sum::<f32>()
    };
    for class in 0..classes {
        let share = kept(&few, class) / kept(&all, class);
        assert!((0.995..1.0001).contains(&share), "class {class}: {share}");
    }
}

#[test]
fn progress_is_told_and_the_estimate_can_be_stopped() {
    let set = crate::common::tiny_dataset(40);
    let mut heard = Vec::new();
    let whole = ClassCentersData::estimate_with(&set, &config(0.9, 4), &mut |done, total| {
        heard.push((done, total));
        ControlFlow::Continue(())
    });
    assert_eq!(heard, [(0, 2), (1, 2)]);
    assert_eq!(whole.unwrap(), (ClassCentersData::estimate(&set, &config(0.9, 4)).unwrap(), None));
    let stopped = ClassCentersData::estimate_with(&set, &config(0.9, 4), &mut |done, _| {
        if done == 1 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(stopped.unwrap_err(), ClassCentersError::Stopped);
}

/// Prints the reports of a few training steps to standard output.
#[test]
#[ignore = "a_seed_gives_the_same_metrics_on_any_number_of_threads starts it"]
fn reports_of_a_few_steps() {
    let small = "
        data = { batch_size = 16 }
        sampler = { num_steps = 2 }
        replay_buffer = { replay_buffer_size = 64, reinit_prob = 0.5 }";
    let config = RunConfig::preset("fashion-quick").unwrap().with_toml(small).unwrap();
    let mut trainer = Trainer::new(config, train(), &device::cpu()).unwrap();
    for _ in 0..4 {
        println!("{:?}", block_on(trainer.step()).unwrap());
    }
}

#[test]
fn a_seed_gives_the_same_metrics_on_any_number_of_threads() {
    let reports = |threads: &str| {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", "class_centers::reports_of_a_few_steps"])
            .env("RAYON_NUM_THREADS", threads)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        // Numbers are printed in a form that restores the same bits when read.
        text.lines()
            .filter(|line| line.contains("StepReport"))
            .map(String::from)
            .collect::<Vec<_>>()
    };
    let one = reports("1");
    assert_eq!(one.len(), 4);
    for threads in ["2", "3"] {
        assert_eq!(reports(threads), one, "{threads} threads");
    }
}

/// Two images span one direction. Chains that start on a line all look alike.
#[test]
fn a_class_with_few_images_borrows_the_spread_of_all() {
    let mut set = crate::common::tiny_dataset(60);
    set.class_names = ["cup", "hat", "key"].map(String::from).to_vec();
    let shares = [(2, 8.0 / 9.0), (5, 5.0 / 9.0), (9, 1.0 / 9.0)];
    for (count, share) in shares {
        let mut set = set.clone();
        (0..count).for_each(|item| set.labels[2 * item] = 2);
        let data = ClassCentersData::estimate(&set, &config(1.0, 4096)).unwrap();
        let (mean, own) = moments(&set, 2);
        let all = {
            let (_, cup) = moments(&set, 0);
            let (_, hat) = moments(&set, 1);
            cup.iter().zip(hat).map(|(cup, hat)| f64::midpoint(*cup, hat)).sum::<f64>()
        };
        let [_, k, d] = data.dims;
        let own: f64 = own.iter().sum();
        let spread = |class: usize| -> f64 {
            let axes = &data.factor[class * k * d..(class + 1) * k * d];
            let rest = &data.residual_std[class * d..(class + 1) * d];
            axes.iter().chain(rest).map(|value| f64::from(value * value)).sum()
        };
        let expected = share * all + (1.0 - share) * own;
        let found = spread(2) - 64.0 * 1e-4;
        assert!((found / expected - 1.0).abs() < 0.15, "{count} images: {found} {expected}");
        for (found, mean) in data.mean[2 * d..].iter().zip(&mean) {
            assert!((f64::from(*found) - mean).abs() < 1e-4);
        }
        let axis = |j: usize| &data.factor[(2 * k + j) * d..(2 * k + j + 1) * d];
        let length = |axis: &[f32]| axis.iter().map(|value| value * value).sum::<f32>();
        assert!(length(axis(count)) > 0.0, "more directions than {count} images span");
    }
}
