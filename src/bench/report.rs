//! The benchmark report as text.

use std::fmt;

use super::{BenchReport, StepCost, TrainingReport};

impl fmt::Display for BenchReport {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "{}", self.device)?;
        if let Some(load) = self.load {
            writeln!(f, "load average before: {load:.2}")?;
        }
        writeln!(
            f,
            "ceilings: {:.1} GFLOP/s fused multiply-add, {:.1} GB/s copy",
            self.ceilings.fma_gflops, self.ceilings.copy_gb_per_s
        )?;
        for step in &self.steps {
            write!(f, "\n{step}")?;
        }
        if let Some(training) = &self.training {
            write!(f, "\n{training}")?;
        }
        if let Some(training) = &self.paper_training {
            write!(f, "\n{training}")?;
        }
        write!(f, "{}", self.kernels)
    }
}

impl fmt::Display for StepCost {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let work = &self.work;
        writeln!(
            f,
            "{}: {}, {}, {} chains of {}×{5}×{5}, medians in ms",
            work.name,
            work.arch,
            work.norm.name(),
            work.batch_size,
            work.channels,
            work.image_size
        )?;
        for (name, value) in [
            ("first step", self.first_step_ms),
            ("forward only", self.forward_ms),
            ("energy gradient", self.gradient_ms),
            ("proximal step", self.step_ms),
            ("update alone", self.update_ms),
            ("10 proximal steps", self.ten_steps_ms),
            ("PYLD-10-5, affine", self.pyld_10_5_ms),
        ] {
            writeln!(f, "  {name:<22} {value:>10.2}")?;
        }
        writeln!(f, "  update / step          {:>10.4}", self.update_share)?;
        writeln!(f, "  PYLD-10-5 / 10 steps   {:>10.3}", self.pyld_over_ten_steps)?;
        writeln!(
            f,
            "  rate in a step         {:>10.1} GFLOP/s of {:.2} GFLOP, {:.0} % of the ceiling",
            self.gflops,
            self.gradient_gflop,
            100.0 * self.share_of_ceiling
        )?;
        if self.launches > 0 {
            writeln!(
                f,
                "  a step                 {:>10} launches on {:.1} MB, {} submission(s) ({:.1} each of ten)",
                self.launches,
                self.bound_bytes as f64 / 1e6,
                self.submissions,
                self.submissions_of_ten
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for TrainingReport {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "W4: training iteration, cnn-base, batch 64, medians in ms")?;
        writeln!(f, "  JEM++, M = 10          {:>10.1}", self.jem_plus_plus_ms)?;
        writeln!(f, "  JEM, K = 20            {:>10.1}", self.jem_ms)?;
        writeln!(f, "  JEM / JEM++            {:>10.3}", self.speedup)
    }
}
