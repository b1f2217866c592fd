//! `offhook export`: one call, or all calls of one conversation, to standard output.

use anyhow::Context as _;

use super::{find_call, open_store, print};
use crate::config::Config;
use crate::export::{Exported, Format, write};
use crate::home::Home;
use crate::store::{CallRow, Store};

/// `name`: a conversation (`anna/agent`), a call, or the end of a call's name.
pub fn export(home: &Home, config: &Config, name: &str, format: Format) -> anyhow::Result<()> {
    let store = open_store(home, config)?;
    let calls = store.conversation_calls(name)?;
    let (conversation, calls) = match calls.is_empty() {
        false => (name.to_owned(), calls),
        true => {
            let call = find_call(&store, name).with_context(|| {
                let known = store.conversations(10).unwrap_or_default();
                match known.is_empty() {
                    true => "nothing has been said yet".to_owned(),
                    false => format!("no such conversation; the latest are {}", known.join(", ")),
                }
            })?;
            let said = store.call_messages(&call.id)?;
            let conversation = said.first().map(|said| said.conversation.clone());
            (conversation.unwrap_or_default(), vec![call])
        }
    };
    let exported = calls
        .into_iter()
        .map(|call| with_words(&store, call))
        .collect::<anyhow::Result<Vec<_>>>()?;
    print(&write(&conversation, &exported, format))
}

fn with_words(store: &Store, call: CallRow) -> anyhow::Result<Exported> {
    Ok(Exported {
        said: store.call_messages(&call.id)?,
        turns: store.turns(&call.id)?,
        audit: store.call_audit(&call.id)?,
        call,
    })
}
