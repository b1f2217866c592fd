//! What a phone hears of a text that the assistant has kept: that it has come, and that it was read. RFC 5438 §7. Owns the
//! wording; when they go is the office's affair.

use sip::instant::{self, Disposition, Envelope};

use super::office::Live;
use super::unguessable;

/// What a phone wants to hear of a text that was kept: the assistant reads at once.
pub(super) fn receipts(user: &str, number: &str, envelope: &Envelope, id: &str) -> Vec<Live> {
    let time = jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string();
    let wanted = [
        (envelope.wants.delivered, Disposition::Delivered),
        (envelope.wants.displayed, Disposition::Displayed),
    ];
    let wanted = wanted.into_iter().filter(|(is_wanted, _)| *is_wanted);
    let receipt = |(_, what)| {
        let back = Envelope {
            from: envelope.to.clone(),
            to: envelope.from.clone(),
            message_id: Some(unguessable()),
            ..Envelope::default()
        };
        let notice = instant::disposition(id, &time, what);
        Live {
            user: user.to_owned(),
            number: number.to_owned(),
            content_type: instant::CPIM,
            body: instant::wrap(&back, &time, instant::DISPOSITION, &notice),
        }
    };
    wanted.map(receipt).collect()
}
