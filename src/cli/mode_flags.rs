//! The flags of `kandinsky generate` that belong to modes, from the list of modes.
//!
//! Invariant: a flag is accepted by the modes that declare it alone.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use crate::domain::{Limits, Violation, Violations};
use crate::modes::request::{Form, FormBody as _, ImageDecoder, ModeBody, read_body};
use crate::modes::{Flag, GenerationMode, Input, Mode, ModeVisitor};

/// The values of all modes' flags.
#[derive(Debug, Default)]
pub(super) struct ModeFlags(BTreeMap<&'static str, Vec<String>>);

/// The flags of a mode.
struct FlagsOf;

impl ModeVisitor for FlagsOf {
    type Output = &'static [Flag];

    fn visit<M: GenerationMode>(self) -> Self::Output {
        M::FLAGS
    }
}

/// The flags of all modes, each once.
fn all_flags() -> Vec<&'static Flag> {
    let mut flags: Vec<&Flag> = Vec::new();
    for flag in Mode::ALL.into_iter().flat_map(|mode| mode.visit(FlagsOf)) {
        if !flags.iter().any(|other| other.name == flag.name) {
            flags.push(flag);
        }
    }
    flags
}

impl Args for ModeFlags {
    fn augment_args(command: Command) -> Command {
        all_flags().into_iter().fold(command, |command, flag| {
            let arg = Arg::new(flag.name).long(flag.name).help(flag.help);
            command.arg(if flag.value_name.is_empty() {
                arg.action(ArgAction::SetTrue)
            } else {
                let action = if flag.repeated { ArgAction::Append } else { ArgAction::Set };
                arg.value_name(flag.value_name).action(action).allow_hyphen_values(flag.allows_negative())
            })
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ModeFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for flag in all_flags() {
            let values: Vec<String> = if flag.value_name.is_empty() {
                if matches.get_flag(flag.name) { vec![String::new()] } else { Vec::new() }
            } else {
                matches.get_many::<String>(flag.name).into_iter().flatten().cloned().collect()
            };
            if !values.is_empty() {
                self.0.insert(flag.name, values);
            }
        }
        Ok(())
    }
}

impl ModeFlags {
    /// The inputs of a mode, as its route would read them from a form with these fields.
    pub(super) fn input(
        &self,
        mode: Mode,
        (width, height): (Option<u32>, Option<u32>),
        limits: &Limits,
    ) -> anyhow::Result<Input> {
        let known = mode.visit(FlagsOf);
        let mut form = Form::default();
        for (name, side) in [("width", width), ("height", height)] {
            form.texts.extend(side.map(|side| (name.to_owned(), vec![side.into()])));
        }
        for (name, values) in &self.0 {
            let Some(flag) = known.iter().find(|flag| flag.name == *name) else {
                bail!("--{name} is not a flag of {mode}");
            };
            for value in values {
                let value = if flag.is_file() {
                    STANDARD.encode(std::fs::read(value).with_context(|| value.clone())?)
                } else {
                    value.clone()
                };
                flag.write(&value, &mut form).map_err(|message| anyhow::anyhow!("--{name}: {message}"))?;
            }
        }
        mode.visit(ReadInput { form, limits })
    }
}

/// Reads a form as the body of a mode.
struct ReadInput<'a> {
    form: Form,
    limits: &'a Limits,
}

impl ModeVisitor for ReadInput<'_> {
    type Output = anyhow::Result<Input>;

    fn visit<M: GenerationMode>(self) -> Self::Output {
        let refuse = |violations: Violations| {
            let line = |Violation { pointer, message }: Violation| {
                let name = pointer.trim_start_matches('/').replace('_', "-");
                match M::FLAGS.iter().find(|flag| flag.name == name) {
                    Some(flag) => format!("--{} {message}", flag.name),
                    None => format!("{pointer} {message}"),
                }
            };
            anyhow::anyhow!(violations.0.into_iter().map(line).collect::<Vec<_>>().join("\n"))
        };
        let json = M::Body::from_form(self.form).map_err(|violation| refuse(Violations(vec![violation])))?;
        let (body, reading) = read_body::<M::Body>(json).map_err(refuse)?;
        let mut decoder = ImageDecoder::new(self.limits, reading.violations);
        let input = body.into_input(&mut decoder);
        let violations = decoder.finish()?;
        match input {
            Some(input) if violations.0.is_empty() => Ok(input),
            _ => Err(refuse(violations)),
        }
    }
}
