//! PURE. The typed config of who answers which number, and who may do what: `[[agents]]`, `[levels]`, `[approvals]`.
//! Every default stands here and nowhere else. What a level allows is `agent_bridge::levels`' affair.

use agent_bridge::levels::Level;

use super::sections::FallbackAgent;

/// One `[[agents]]` table: another agent beside that of `[agent]`, with numbers of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentEntry {
    /// Its name, also in the names of conversations.
    pub name: String,
    pub numbers: Vec<String>,
    /// Another gateway than that of `[agent]`, with `fallback` behind it; none: the whole chain of `[agent]`.
    pub gateway: Option<FallbackAgent>,
    pub fallback: Vec<FallbackAgent>,
    /// Another model at the first gateway of `[agent]`; not together with `gateway`.
    pub model: Option<String>,
    /// Instead of that of `[agent]`.
    pub system_prompt: Option<String>,
    pub greeting: Option<String>,
    /// Its voice, as in `[tts] voice`; none: the same as the others.
    pub voice: Option<String>,
    /// The name of its voice at the other machine of `[tts] url`.
    pub remote_voice: Option<String>,
    /// What its callers speak, as in `[asr] language`.
    pub language: Option<String>,
    /// Who may talk to it.
    pub levels: Vec<Level>,
    /// The conversation that the owner's calls belong to, shared with other channels; none: one per caller.
    pub session: Option<String>,
}

/// `[levels]`: what callers are to the owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Levels {
    /// The level of accounts whose `[[users]]` table names none, or that have no table.
    pub default: Level,
    /// Who may talk to the agent of `[agent]`.
    pub agent: Vec<Level>,
    /// The account whose message box takes what guests say; empty: the first account of level owner, or the first.
    pub messages_for: String,
    /// Wrong PINs in one call, and of one account in one day.
    pub pin_tries_per_call: u32,
    pub pin_tries_per_day: u32,
}

impl Default for Levels {
    fn default() -> Levels {
        Levels {
            default: Level::Family,
            agent: vec![Level::Owner, Level::Family],
            messages_for: String::new(),
            pin_tries_per_call: 3,
            pin_tries_per_day: 10,
        }
    }
}

/// `[approvals]`: risky actions that wait for a yes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approvals {
    /// The least level that may allow one.
    pub level: Level,
    /// Wait for an answer in a call; then it is a no.
    pub answer_s: u32,
    /// Longest wait for anybody, in a call or elsewhere.
    pub wait_s_max: u32,
}

impl Default for Approvals {
    fn default() -> Approvals {
        Approvals {
            level: Level::Owner,
            answer_s: 20,
            wait_s_max: 30 * 60,
        }
    }
}
