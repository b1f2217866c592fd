//! What a phone hears of a text that the assistant has kept: that it has come, and that it was read; and which text of the
//! assistant's a phone speaks of when it says so. RFC 5438 §7. Owns the wording; when they go is the office's affair.

use sip::instant::{self, Disposition, Envelope, Receipt};

use super::office::Live;
use super::unguessable;

/// Longest name of a delivery that goes into a Call-ID.
const DELIVERY_BYTES_MAX: usize = 128;

/// Call-ID of the text that ends a delivery of the hub's: a phone that gets it without an envelope names it so in its
/// receipts. `text`, its own name, is never used twice: some phones show no text whose Call-ID they know.
pub(super) fn call_id_for(delivery: &str, text: &str) -> Option<String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let is_usable = !delivery.is_empty() && delivery.len() <= DELIVERY_BYTES_MAX;
    (is_usable && delivery.bytes().all(is_plain)).then(|| format!("{delivery}.{text}"))
}

/// The delivery that a receipt speaks of. None: it is about no text that ends one.
pub(super) fn delivery_named(receipt: &Receipt) -> Option<&str> {
    let (delivery, _) = receipt.message_id.split_once('.')?;
    (!delivery.is_empty()).then_some(delivery)
}

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
            domain: None,
        }
    };
    wanted.map(receipt).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_names_its_delivery() {
        let named = |message_id: &str| {
            let receipt = Receipt {
                message_id: message_id.to_owned(),
                what: Disposition::Displayed,
            };
            delivery_named(&receipt).map(str::to_owned)
        };
        let call_id = call_id_for("a-17-0", "00ff").expect("a plain name");
        assert_eq!(call_id, "a-17-0.00ff");
        assert_eq!(named(&call_id).as_deref(), Some("a-17-0"));
        assert_eq!(named("912ad23d56b78b5fe98990c4"), None);
        assert_eq!(named(".x"), None);
        for odd in ["", "a b", "a.b", "a@b"] {
            assert_eq!(call_id_for(odd, "00ff"), None, "{odd}");
        }
    }
}
