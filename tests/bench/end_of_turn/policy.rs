//! What a way to decide costs: dead air and false cut-offs of the policies that its scores allow. Owns the sweep and the
//! operating points, after the method of eot-bench: a policy ends the turn once the score has reached a threshold and a
//! least silence has passed, else at a timeout. Not here: where scores come from.

/// One silence, scored.
#[derive(Clone, Copy)]
pub struct Scored {
    /// How long the pause lasted; None after the end of the turn.
    pub length_ms: Option<u32>,
    /// Probability that the turn is over, known 80 ms after the last sound.
    pub early: f32,
    /// The same at 200 ms.
    pub late: f32,
}

const EARLY_MS: u32 = 80;
const LATE_MS: u32 = 200;
const TIMEOUT_MS_MAX: u32 = 3_000;
const STEP_MS: u32 = 20;

/// What one policy costs.
#[derive(Clone, Copy)]
pub struct Cost {
    /// Mean silence after true ends until the turn is taken.
    pub dead_air_ms: f32,
    /// Share of the pauses inside turns that were taken for ends.
    pub cut_offs: f32,
}

/// The best that any policy of one kind does.
pub struct OperatingPoints {
    pub dead_air_at_5_ms: Option<f32>,
    pub dead_air_at_10_ms: Option<f32>,
    pub cut_offs_at_300: Option<f32>,
    pub cut_offs_at_600: Option<f32>,
}

/// The cost when each silence is ended at the time that `ends_ms` says.
pub fn cost(silences: &[Scored], mut ends_ms: impl FnMut(&Scored) -> u32) -> Cost {
    let (mut waited, mut ends, mut cut, mut pauses) = (0.0, 0_u32, 0_u32, 0_u32);
    for silence in silences {
        let at = ends_ms(silence);
        match silence.length_ms {
            None => {
                waited += at as f32;
                ends += 1;
            }
            Some(length) => {
                cut += u32::from(at < length);
                pauses += 1;
            }
        }
    }
    Cost {
        dead_air_ms: waited / ends.max(1) as f32,
        cut_offs: cut as f32 / pauses.max(1) as f32,
    }
}

/// When a threshold policy takes the turn.
fn taken_ms(silence: &Scored, threshold: f32, delay_ms: u32, timeout_ms: u32) -> u32 {
    let timeout_ms = timeout_ms.max(delay_ms);
    if delay_ms < LATE_MS && silence.early >= threshold {
        delay_ms.max(EARLY_MS)
    } else if silence.late >= threshold {
        delay_ms.max(LATE_MS).min(timeout_ms)
    } else {
        timeout_ms
    }
}

/// Sweeps threshold, least silence and timeout.
pub fn sweep(silences: &[Scored]) -> OperatingPoints {
    let mut thresholds: Vec<f32> = silences.iter().flat_map(|s| [s.early, s.late]).collect();
    thresholds.sort_by(f32::total_cmp);
    thresholds.dedup();
    // Never: silence alone.
    thresholds.push(2.0);
    let mut best = OperatingPoints {
        dead_air_at_5_ms: None,
        dead_air_at_10_ms: None,
        cut_offs_at_300: None,
        cut_offs_at_600: None,
    };
    let lower = |slot: &mut Option<f32>, value: f32| {
        *slot = Some(slot.map_or(value, |so_far| so_far.min(value)));
    };
    let spread = thresholds.len().div_ceil(100);
    for &threshold in thresholds.iter().rev().step_by(spread) {
        for delay_ms in (EARLY_MS..=800).step_by(2 * STEP_MS as usize) {
            for timeout_ms in (delay_ms..=TIMEOUT_MS_MAX).step_by(STEP_MS as usize) {
                let cost = cost(silences, |s| taken_ms(s, threshold, delay_ms, timeout_ms));
                if cost.cut_offs <= 0.05 {
                    lower(&mut best.dead_air_at_5_ms, cost.dead_air_ms);
                }
                if cost.cut_offs <= 0.10 {
                    lower(&mut best.dead_air_at_10_ms, cost.dead_air_ms);
                }
                if cost.dead_air_ms <= 300.0 {
                    lower(&mut best.cut_offs_at_300, cost.cut_offs);
                }
                if cost.dead_air_ms <= 600.0 {
                    lower(&mut best.cut_offs_at_600, cost.cut_offs);
                }
            }
        }
    }
    best
}

/// How often a true end is scored over a pause; one half is chance.
pub fn auc(silences: &[Scored]) -> f32 {
    let (ends, pauses): (Vec<&Scored>, Vec<&Scored>) =
        silences.iter().partition(|s| s.length_ms.is_none());
    let mut wins = 0.0;
    for end in &ends {
        for pause in &pauses {
            wins += if end.late > pause.late {
                1.0
            } else if end.late == pause.late {
                0.5
            } else {
                0.0
            };
        }
    }
    wins / (ends.len() * pauses.len()).max(1) as f32
}
