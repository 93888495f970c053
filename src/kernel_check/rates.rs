//! The kernels that measure the rates of a device. The page has none of them.

use jempp_cpu::reference;

use super::{Buffer, Found, Subject, groups, scrambled};

/// Numbers of values ; multiples of 16.
const RATE_SIZES: [usize; 3] = [16, 4096, 4112];

pub(super) async fn fma_rate(subject: &Subject<'_>) -> Found {
    // WGSL permits a fused operation to round twice.
    let mut values = subject.comparison("seven rounds", 1e-6);
    for len in RATE_SIZES {
        let x = scrambled(len, 1);
        let params = [len as u32, 7, 0.9f32.to_bits(), 0.1f32.to_bits()];
        let [after] = subject.run(groups(len / 16), &[Buffer::InPlace(&x)], &params).await?;
        let mut twin = x;
        reference::fma_rate(&mut twin, 7, 0.9, 0.1);
        values.add(&after, &twin);
    }
    Ok(vec![values])
}

pub(super) async fn copy_rate(subject: &Subject<'_>) -> Found {
    let mut values = subject.comparison("values, copied", 0.0);
    for len in RATE_SIZES {
        let x = scrambled(len, 1);
        let buffers = [Buffer::Values(&x), Buffer::Output(len)];
        let [copied] = subject.run(groups(len / 4), &buffers, &[len as u32]).await?;
        let mut twin = vec![0.0; len];
        reference::copy_rate(&x, &mut twin);
        values.add(&copied, &twin);
    }
    Ok(vec![values])
}
