//! Whether this processor can run what ggml was compiled to. Owns that one comparison; models and decodes are `whisper`'s.

use crate::error::AsrError;

/// Compares what ggml was compiled for with the processor at hand, before the first such instruction runs.
pub(crate) fn check() -> Result<(), AsrError> {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: these functions take nothing and return a constant of the build.
        let built = unsafe {
            [
                (
                    "AVX",
                    whisper_rs_sys::ggml_cpu_has_avx(),
                    is_x86_feature_detected!("avx"),
                ),
                (
                    "AVX2",
                    whisper_rs_sys::ggml_cpu_has_avx2(),
                    is_x86_feature_detected!("avx2"),
                ),
                (
                    "FMA",
                    whisper_rs_sys::ggml_cpu_has_fma(),
                    is_x86_feature_detected!("fma"),
                ),
                (
                    "F16C",
                    whisper_rs_sys::ggml_cpu_has_f16c(),
                    is_x86_feature_detected!("f16c"),
                ),
                (
                    "BMI2",
                    whisper_rs_sys::ggml_cpu_has_bmi2(),
                    is_x86_feature_detected!("bmi2"),
                ),
                (
                    "AVX-512",
                    whisper_rs_sys::ggml_cpu_has_avx512(),
                    is_x86_feature_detected!("avx512f"),
                ),
                (
                    "AVX-512 VBMI",
                    whisper_rs_sys::ggml_cpu_has_avx512_vbmi(),
                    is_x86_feature_detected!("avx512vbmi"),
                ),
                (
                    "AVX-512 VNNI",
                    whisper_rs_sys::ggml_cpu_has_avx512_vnni(),
                    is_x86_feature_detected!("avx512vnni"),
                ),
                (
                    "AVX-512 BF16",
                    whisper_rs_sys::ggml_cpu_has_avx512_bf16(),
                    is_x86_feature_detected!("avx512bf16"),
                ),
            ]
        };
        let missing: Vec<&str> = built
            .iter()
            .filter(|(_, compiled_in, present)| *compiled_in != 0 && !present)
            .map(|(name, _, _)| *name)
            .collect();
        if !missing.is_empty() {
            return Err(AsrError::CpuUnsupported {
                missing: missing.join(", "),
            });
        }
    }
    Ok(())
}
