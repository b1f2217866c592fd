//! What the caller says and keys in at the desk, and what that means at each stage.
//! PURE.

use std::time::Instant;

use super::super::Decision;
use super::super::answer::{self, Answer, CODE_DIGITS, Order, PIN_DIGITS_MAX, PIN_DIGITS_MIN};
use super::{
    About, Desk, Errand, LIFT_KEY, ORDER_KEYS, Output, PIN_KEY, PinVerdict, STOP_KEY, Stage, Why,
    ms, questions,
};
use crate::endpoint::Asked;
use crate::interjection::{Context, Verdict as Said, judge};
use crate::levels::{Verdict, Wish, may};

impl Desk {
    // What the caller does.

    pub(super) fn speech(&mut self, now: Instant) {
        let guard = ms(self.config.guard_ms);
        let Some(scene) = &mut self.scene else { return };
        scene.is_speaking = true;
        scene.is_over_prompt = scene
            .prompt_ended_at
            .is_none_or(|ended_at| now < ended_at + guard);
    }

    pub(super) fn words(&mut self, now: Instant, text: &str, certainty: f32) {
        let Some(scene) = &mut self.scene else { return };
        scene.is_speaking = false;
        let is_over = std::mem::take(&mut scene.is_over_prompt);
        if answer::order(text) == Some(Order::Stop) {
            return self.stop();
        }
        match scene.stage {
            Stage::Pin => self.pin_words(now, text, is_over),
            Stage::Answer if is_over => self.words_over_prompt(now, text, certainty),
            Stage::Answer => self.answered(now, text, certainty),
            Stage::PinCheck | Stage::Closing => {}
        }
    }

    /// The caller can't have heard all of it yet, and what is heard may be ourselves: never a yes.
    pub(super) fn words_over_prompt(&mut self, now: Instant, text: &str, certainty: f32) {
        let Some(scene) = &self.scene else { return };
        let context = Context {
            speaking: &scene.prompt,
            asked: Asked::Nothing,
        };
        let is_one_word = text.split_whitespace().count() == 1;
        let said = answer::read(text);
        let is_ours = matches!(
            judge(text, &context),
            Said::Echo | Said::Nothing | Said::Backchannel
        );
        if said == Answer::No && (is_one_word || !is_ours) {
            self.settle(now, Decision::Deny, Why::RefusedByVoice);
        } else if !is_ours && said != Answer::Nothing && certainty >= self.config.certainty_min {
            self.settle(now, Decision::Deny, Why::Unclear);
        }
    }

    pub(super) fn answered(&mut self, now: Instant, text: &str, certainty: f32) {
        let Some(scene) = &self.scene else { return };
        let is_trusted = certainty >= self.config.certainty_min;
        let (decision, why) = match answer::read(text) {
            Answer::Nothing => return,
            Answer::No => (Decision::Deny, Why::RefusedByVoice),
            Answer::Digits(digits) if digits == scene.code && is_trusted => {
                (Decision::AllowOnce, Why::CodeByVoice)
            }
            Answer::Digits(digits) if digits != scene.code => (Decision::Deny, Why::WrongCode),
            // A noise that was taken for words is as good as silence.
            Answer::Unclear if !is_trusted => return,
            Answer::Digits(_) | Answer::Unclear => (Decision::Deny, Why::Unclear),
        };
        self.settle(now, decision, why);
    }

    pub(super) fn key(&mut self, now: Instant, key: char) {
        let had_star = self.has_star(now);
        self.star_at = (key == '*').then_some(now);
        if had_star {
            match key {
                STOP_KEY => return self.stop(),
                PIN_KEY if !self.has_floor() => return self.order(Order::Pin),
                LIFT_KEY if !self.has_floor() => return self.order(Order::Lift),
                _ => {}
            }
        }
        let Some(scene) = &mut self.scene else { return };
        match (scene.stage, key) {
            (Stage::Answer | Stage::Pin | Stage::PinCheck, '*') => {
                self.settle(now, Decision::Deny, Why::RefusedByKey);
            }
            (Stage::Answer, '0'..='9') => {
                scene.keys.push(key);
                if scene.keys.len() == CODE_DIGITS {
                    let is_right = scene.keys == scene.code;
                    match is_right {
                        true => self.settle(now, Decision::AllowOnce, Why::CodeByKey),
                        false => self.settle(now, Decision::Deny, Why::WrongCode),
                    }
                }
            }
            (Stage::Answer, '#') if !scene.keys.is_empty() => {
                self.settle(now, Decision::Deny, Why::WrongCode);
            }
            (Stage::Pin, '0'..='9') => {
                scene.keys.push(key);
                scene.due = now + ms(self.config.pin_ms);
                if scene.keys.len() >= PIN_DIGITS_MAX {
                    self.check_pin(now);
                }
            }
            (Stage::Pin, '#') => self.check_pin(now),
            _ => {}
        }
    }

    pub(super) fn has_star(&self, now: Instant) -> bool {
        self.star_at
            .is_some_and(|at| now.saturating_duration_since(at) <= ORDER_KEYS)
    }

    pub(super) fn order(&mut self, order: Order) {
        match order {
            Order::Stop => self.stop(),
            Order::Pin => self.errand(Errand::Pin, Wish::Pin),
            Order::Lift => self.errand(Errand::Lift, Wish::Lift),
        }
    }

    pub(super) fn errand(&mut self, errand: Errand, wish: Wish<'_>) {
        match may(&self.caller, &self.rules, wish) {
            Verdict::Yes if errand == Errand::Lift => {
                self.act(Output::Lift);
                self.act(Output::Announce(questions::LIFTED.to_owned()));
            }
            Verdict::Yes | Verdict::AfterPin => self.errand = Some(errand),
            Verdict::No(why) => {
                self.act(Output::Announce(questions::no(why).to_owned()));
            }
            Verdict::Message => {}
        }
    }

    pub(super) fn stop(&mut self) {
        self.deny_all(Why::Stopped);
        self.errand = None;
        if self.scene.take().is_some() {
            self.act(Output::Over);
        }
        let freezes = may(&self.caller, &self.rules, Wish::Freeze) == Verdict::Yes;
        self.rules.is_frozen |= freezes;
        self.act(Output::Stop { freezes });
        let text = match freezes {
            true => questions::STOPPED_AND_FROZEN,
            false => questions::STOPPED,
        };
        self.act(Output::Announce(text.to_owned()));
    }

    // The PIN.

    pub(super) fn pin_words(&mut self, now: Instant, text: &str, is_over: bool) {
        match answer::read(text) {
            // The question holds the word "no" nowhere, and no digits.
            Answer::No => self.settle(now, Decision::Deny, Why::RefusedByVoice),
            Answer::Digits(digits) if !is_over => {
                if let Some(scene) = &mut self.scene {
                    scene.keys = digits;
                }
                self.check_pin(now);
            }
            _ => {}
        }
    }

    pub(super) fn check_pin(&mut self, now: Instant) {
        let pin_ms = self.config.pin_ms;
        let Some(scene) = &mut self.scene else { return };
        let digits = std::mem::take(&mut scene.keys);
        if !(PIN_DIGITS_MIN..=PIN_DIGITS_MAX).contains(&digits.len()) {
            return self.say(now, vec![questions::PIN_AGAIN.to_owned()]);
        }
        scene.stage = Stage::PinCheck;
        scene.due = now + ms(pin_ms);
        self.act(Output::CheckPin(digits));
    }

    pub(super) fn pin_checked(&mut self, now: Instant, verdict: PinVerdict) {
        let Some(scene) = &mut self.scene else { return };
        if scene.stage != Stage::PinCheck {
            return;
        }
        match verdict {
            PinVerdict::Right(level) => {
                self.caller.raised = self.caller.raised.max(Some(level));
                let about = std::mem::replace(&mut scene.about, About::Nothing);
                let level = self.caller.level();
                self.act(Output::Raised(level));
                match about {
                    About::Approval(waiting) => self.ask(now, waiting),
                    About::Errand(Errand::Lift)
                        if may(&self.caller, &self.rules, Wish::Lift) == Verdict::Yes =>
                    {
                        self.act(Output::Lift);
                        self.close(now, questions::LIFTED);
                    }
                    _ => self.close(now, questions::RAISED),
                }
            }
            PinVerdict::Wrong { tries_left: 0 } => {
                self.caller.is_locked = true;
                self.settle(now, Decision::Deny, Why::Pin);
            }
            PinVerdict::Wrong { .. } => {
                scene.stage = Stage::Pin;
                self.say(now, vec![questions::PIN_WRONG.to_owned()]);
            }
            PinVerdict::Failed => self.settle(now, Decision::Deny, Why::Pin),
        }
    }
}
