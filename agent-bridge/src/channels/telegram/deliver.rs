//! Messages to Telegram, piece by piece, each written down before it leaves and after it arrived. Owns what a refusal
//! means for the rest of the message.

use std::time::Duration;

use serde_json::Value;

use super::Telegram;
use super::answer::{Answer, Refusal};
use super::form::form;
use super::pieces::{Piece, decided, pieces};
use crate::channels::questions::Question;
use crate::channels::{DeliveryError, OutBody, Outbound, Withdrawal};

/// The owner must give another token first.
const TOKEN_REST: Duration = Duration::from_secs(600);

impl Telegram {
    pub(super) async fn send(&self, message: &Outbound) -> Result<Option<String>, DeliveryError> {
        if matches!(message.body, OutBody::Ask { .. }) && is_group(&message.place) {
            // Others there could read it, and press.
            return Err(DeliveryError::Final {
                why: "questions are asked in private chats only".to_owned(),
            });
        }
        let at = self.note(|attempts| attempts.at(&message.id)).await?;
        let all = pieces(&message.body);
        let mut first = at.first.clone();
        let mut in_doubt = at.in_doubt;
        for (n, piece) in all.iter().enumerate().skip(at.sent) {
            self.note(|attempts| attempts.begin(&message.id)).await?;
            let sent = self.send_piece(message, piece, n == 0, in_doubt).await;
            let theirs = match sent {
                Ok(value) => value["message_id"]
                    .as_i64()
                    .map(|number| number.to_string()),
                Err(answer) => return Err(self.undelivered(&message.id, answer).await),
            };
            if let (Piece::Ask { text, .. }, OutBody::Ask { buttons, .. }, Some(number)) =
                (piece, &message.body, &theirs)
            {
                let question = Question {
                    place: message.place.clone(),
                    message: number.clone(),
                    text: text.clone(),
                    buttons: buttons.clone(),
                };
                // Before the piece counts as sent: buttons that nobody knows are dead.
                self.ask(|questions| questions.asked(question)).await?;
            }
            self.note(|attempts| attempts.sent(&message.id, theirs.as_deref()))
                .await?;
            first = first.or(theirs);
            in_doubt = false;
        }
        Ok(first.map(|number| format!("{}:{number}", message.place)))
    }

    /// The question's message says what became of it, and its buttons go.
    pub(super) async fn withdrawn(&self, over: &Withdrawal) {
        let theirs = over.theirs.as_deref().and_then(|id| id.rsplit_once(':'));
        let Some((place, number)) = theirs else {
            return;
        };
        let taken = self.ask(|questions| {
            let question = questions.at(place, number).cloned();
            questions.answered(place, number);
            question
        });
        // One that does not wait any more says by itself what was pressed.
        let (Ok(Some(question)), Ok(chat), Ok(number)) =
            (taken.await, place.parse(), number.parse())
        else {
            return;
        };
        let edit = decided(chat, number, &question.text, &over.words);
        let _ = self.wire.call("editMessageText", &edit).await;
    }

    async fn send_piece(
        &self,
        message: &Outbound,
        piece: &Piece,
        is_first: bool,
        in_doubt: bool,
    ) -> Result<Value, Answer> {
        // In a private chat it is plain what is answered.
        let is_asked = is_group(&message.place) && is_first;
        let reply_to = message.reply_to.as_deref().filter(|_| is_asked);
        let reply_to = reply_to.and_then(|id| id.split(':').nth(2)?.parse().ok());
        let answer = self.send_form_of(message, piece, reply_to, in_doubt).await;
        match (answer, piece) {
            (Answer::Done(value), _) => Ok(value),
            // Its words, where they are not in the pieces behind it or in a message of their own.
            (Answer::Refused(Refusal::NoVoice), Piece::Voice { caption, .. }) => {
                if caption.trim().is_empty() {
                    return Ok(Value::Null);
                }
                let words = Piece::Text(caption.clone());
                match self.send_form_of(message, &words, reply_to, in_doubt).await {
                    Answer::Done(value) => Ok(value),
                    answer => Err(answer),
                }
            }
            (answer, _) => Err(answer),
        }
    }

    /// With markup, or without where Telegram does not read it.
    async fn send_form_of(
        &self,
        message: &Outbound,
        piece: &Piece,
        reply_to: Option<i64>,
        in_doubt: bool,
    ) -> Answer {
        let mut answer = Answer::Refused(Refusal::Markup);
        for is_plain in [false, true] {
            let request = piece.request(&message.place, reply_to, in_doubt, is_plain);
            answer = match (piece, &message.body) {
                (Piece::Voice { .. }, OutBody::Voice { ogg_opus, .. }) => {
                    self.send_voice(piece.method(), &request, ogg_opus).await
                }
                _ => self.wire.call(piece.method(), &request).await,
            };
            if answer != Answer::Refused(Refusal::Markup) {
                break;
            }
        }
        answer
    }

    async fn send_voice(&self, method: &str, request: &Value, ogg_opus: &[u8]) -> Answer {
        let fields: Vec<(&str, String)> = request
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| {
                let text = value.as_str().map(str::to_owned);
                (name.as_str(), text.unwrap_or_else(|| value.to_string()))
            })
            .collect();
        let file = ("voice", "answer.ogg", "audio/ogg", ogg_opus);
        self.wire
            .send_form(method, form(&fields, file, ogg_opus.len() as u64))
            .await
    }

    /// Writes down what is certain, and says what to do.
    async fn undelivered(&self, id: &str, answer: Answer) -> DeliveryError {
        if !matches!(answer, Answer::Unknown { .. } | Answer::TooLong { .. }) {
            // Where this cannot be written the piece is in doubt later, and says so.
            let _ = self.note(|attempts| attempts.not_sent(id)).await;
        }
        let passing = |why: String, retry_after| DeliveryError::Passing { why, retry_after };
        match answer {
            Answer::Refused(refusal @ Refusal::TooMany { retry_after }) => {
                passing(refusal.words(), Some(retry_after))
            }
            Answer::Refused(refusal @ (Refusal::Token | Refusal::Conflict { .. })) => {
                passing(refusal.words(), Some(TOKEN_REST))
            }
            Answer::Refused(refusal) => DeliveryError::Final {
                why: refusal.words(),
            },
            Answer::NotSent { why } | Answer::Unknown { why } => passing(why.to_owned(), None),
            Answer::TooLong { .. } | Answer::Done(_) => {
                passing("Telegram sends what cannot be read".to_owned(), None)
            }
        }
    }
}

/// Their ids are negative.
fn is_group(place: &str) -> bool {
    place.starts_with('-')
}
