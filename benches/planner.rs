//! What choosing the next batch costs, by the number of samples in flight. It happens before every step of the device.
//!
//!     cargo bench --bench planner

use divan::Bencher;
use kandinsky::engine::planner::{Candidate, Costs, LEVELS, Planner};

fn main() {
    divan::main();
}

/// Measured costs are a table look-up, too.
struct Table;

impl Costs<u8> for Table {
    fn cap(&self, key: u8) -> usize {
        4 << (key % 3)
    }

    #[expect(clippy::cast_precision_loss, reason = "a few rows")]
    fn cost(&self, key: u8, rows: usize) -> f64 {
        f64::from(key + 1) * rows as f64
    }
}

#[divan::bench(args = [1, 8, 64, 512])]
fn next(bencher: Bencher, samples: u64) {
    let candidates: Vec<Candidate<u8>> = (0..samples)
        .map(|id| Candidate {
            id,
            key: u8::try_from(id % 5).unwrap(),
            owner: id % 3,
            rows: 2,
            priority: u8::try_from(id % LEVELS).unwrap(),
            waited: id % 40,
        })
        .collect();
    let mut planner = Planner::new();
    bencher.bench_local(|| planner.next(divan::black_box(&candidates), &Table));
}
