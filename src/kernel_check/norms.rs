//! The kernels of batch norm.

use jempp_cpu::reference;

use super::{Buffer, Found, Subject, groups, scrambled};

pub(super) const EPSILON: f32 = 1e-5;
/// The channels of the kernels that combine parts for each of 8.
const CHANNELS_AT_ONCE: usize = 8;
/// Numbers of positions and channels of features, and of positions of a part.
const FEATURES: [(usize, usize, usize); 4] = [(1, 1, 16), (50, 3, 16), (99, 10, 7), (300, 130, 16)];

/// Features (positions, C) whose channels are far from zero, next to how far they spread: their variance is easily lost in
/// rounding.
pub(super) fn features(positions: usize, channels: usize, salt: u32) -> Vec<f32> {
    let centers = scrambled(channels, salt + 100);
    let values = scrambled(positions * channels, salt);
    values.iter().enumerate().map(|(at, value)| value + 30.0 * centers[at % channels]).collect()
}

/// The table of features, with a gamma and a beta.
pub(super) fn table_of(x: &[f32], channels: usize) -> Vec<f32> {
    let parts = reference::norm_moments(x, channels, x.len());
    let (gamma, beta) = (scrambled(channels, 8), scrambled(channels, 9));
    reference::norm_table(&parts, &gamma, &beta, EPSILON)
}

/// A table for a gradient.
pub(super) fn gradient_table_of(x: &[f32], channels: usize) -> Vec<f32> {
    let gradient = scrambled(x.len(), 7);
    let table = table_of(x, channels);
    let sums = reference::norm_gradient_sums(&gradient, x, &table, x.len());
    let [gradient_table, _, _] = reference::norm_gradient_table(&sums, &table, EPSILON);
    gradient_table
}

/// The number of workgroups that combine the parts of so many channels.
fn combining_groups(channels: usize) -> u32 {
    channels.div_ceil(CHANNELS_AT_ONCE) as u32
}

pub(super) async fn norm_moments(subject: &Subject<'_>) -> Found {
    let mut moments = subject.comparison("moments in parts, relative", 1e-5);
    for (positions, channels, rows) in FEATURES {
        let x = features(positions, channels, 1);
        let num_parts = positions.div_ceil(rows);
        let buffers = [Buffer::Values(&x), Buffer::Output(num_parts * (1 + 2 * channels))];
        let params = [positions, channels, rows].map(|size| size as u32);
        let [parts] = subject.run(groups(num_parts * channels), &buffers, &params).await?;
        moments.add_relative(&parts, &reference::norm_moments(&x, channels, rows));
    }
    Ok(vec![moments])
}

pub(super) async fn norm_table(subject: &Subject<'_>) -> Found {
    let mut tables = subject.comparison("tables of channels, relative", 1e-5);
    for (positions, channels, rows) in FEATURES {
        let mut parts = reference::norm_moments(&features(positions, channels, 1), channels, rows);
        // A part without positions, as a tile past the end has.
        parts.extend(vec![0.0; 1 + 2 * channels]);
        let (gamma, beta) = (scrambled(channels, 2), scrambled(channels, 3));
        let buffers = [
            Buffer::Values(&parts),
            Buffer::Values(&gamma),
            Buffer::Values(&beta),
            Buffer::Output(4 * channels),
        ];
        let num_parts = parts.len() / (1 + 2 * channels);
        let params = [num_parts as u32, channels as u32, EPSILON.to_bits()];
        let [table] = subject.run(combining_groups(channels), &buffers, &params).await?;
        let twin = reference::norm_table(&parts, &gamma, &beta, EPSILON);
        for (found, twin) in table.chunks(channels).zip(twin.chunks(channels)) {
            tables.add_relative(found, twin);
        }
    }
    Ok(vec![tables])
}

pub(super) async fn norm_apply(subject: &Subject<'_>) -> Found {
    let mut values = subject.comparison("normalised values, relative", 1e-5);
    for (positions, channels, _) in FEATURES {
        let x = features(positions, channels, 1);
        let table = table_of(&x, channels);
        let buffers = [Buffer::Values(&x), Buffer::Values(&table), Buffer::Output(x.len())];
        let params = [x.len() as u32, channels as u32];
        let [y] = subject.run(groups(x.len()), &buffers, &params).await?;
        values.add_relative(&y, &reference::norm_apply(&x, &table));
    }
    Ok(vec![values])
}

pub(super) async fn norm_gradient_sums(subject: &Subject<'_>) -> Found {
    let mut sums = subject.comparison("sums of gradients in parts, relative", 1e-5);
    for (positions, channels, rows) in FEATURES {
        let x = features(positions, channels, 1);
        let (gradient, table) = (scrambled(x.len(), 2), table_of(&x, channels));
        let num_parts = positions.div_ceil(rows);
        let buffers = [
            Buffer::Values(&gradient),
            Buffer::Values(&x),
            Buffer::Values(&table),
            Buffer::Output(num_parts * (1 + 2 * channels)),
        ];
        let params = [positions, channels, rows].map(|size| size as u32);
        let [parts] = subject.run(groups(num_parts * channels), &buffers, &params).await?;
        let twin = reference::norm_gradient_sums(&gradient, &x, &table, rows);
        sums.add_relative(&parts, &twin);
    }
    Ok(vec![sums])
}

pub(super) async fn norm_gradient_table(subject: &Subject<'_>) -> Found {
    let mut tables = subject.comparison("tables of gradients, relative", 1e-5);
    for (positions, channels, rows) in FEATURES {
        let x = features(positions, channels, 1);
        let (gradient, table) = (scrambled(x.len(), 2), table_of(&x, channels));
        let parts = reference::norm_gradient_sums(&gradient, &x, &table, rows);
        let buffers = [
            Buffer::Values(&parts),
            Buffer::Values(&table),
            Buffer::Output(4 * channels),
            Buffer::Output(channels),
            Buffer::Output(channels),
        ];
        let num_parts = parts.len() / (1 + 2 * channels);
        let params = [num_parts as u32, channels as u32, EPSILON.to_bits()];
        let found: [Vec<f32>; 3] =
            subject.run(combining_groups(channels), &buffers, &params).await?;
        let twins = reference::norm_gradient_table(&parts, &table, EPSILON);
        for (found, twin) in found.concat().chunks(channels).zip(twins.concat().chunks(channels)) {
            tables.add_relative(found, twin);
        }
    }
    Ok(vec![tables])
}

pub(super) async fn norm_input_gradient(subject: &Subject<'_>) -> Found {
    let mut gradients = subject.comparison("input gradients, relative", 1e-5);
    for (positions, channels, _) in FEATURES {
        let x = features(positions, channels, 1);
        let (gradient, other) = (scrambled(x.len(), 2), scrambled(x.len(), 3));
        let table = gradient_table_of(&x, channels);
        for other in [None, Some(&other[..])] {
            let buffers = [
                Buffer::Values(&gradient),
                Buffer::Values(&x),
                Buffer::Values(&table),
                Buffer::Values(other.unwrap_or(&[0.0])),
                Buffer::Output(x.len()),
            ];
            let params = [x.len() as u32, channels as u32, other.is_some().into()];
            let [found] = subject.run(groups(x.len()), &buffers, &params).await?;
            let twin = reference::norm_input_gradient(&gradient, &x, &table, other);
            gradients.add_relative(&found, &twin);
        }
    }
    Ok(vec![gradients])
}
