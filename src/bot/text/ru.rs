//! Russian.

use super::phrase::{Phrase, excerpt};

/// A phrase in Russian.
pub(super) fn say(phrase: &Phrase<'_>) -> String {
    match phrase {
        Phrase::Help { name, is_group } => {
            let how = if *is_group {
                format!("В этой группе я отвечаю на команды, на сообщения с @{name} и на ответы мне.\n\n")
            } else {
                String::new()
            };
            format!(
                "{how}Я рисую с помощью Kandinsky 2.1.\n\n\
                 • Пришлите текст — я его нарисую. По-русски и по-английски.\n\
                 • Пришлите фото с подписью или ответьте текстом на фото — я их смешаю.\n\
                 • Пришлите несколько фото сразу или ответьте фотографией на фото — я их смешаю, первое важнее.\n\
                 • Пришлите одно фото — я спрошу, что с ним сделать: например, вариации.\n\n\
                 /draw ТЕКСТ рисует текст, /style и /ratio — стиль и формат этого чата, /stop останавливает ваши рисунки, \
                 /lang меняет язык."
            )
        }
        Phrase::Line(0) => "🕒 Вы следующий в очереди.".to_owned(),
        Phrase::Line(ahead) => format!("🕒 Вы {}-й в очереди.", *ahead + 1),
        Phrase::WaitsForYours => "🕒 Сначала ваш предыдущий запрос, потом этот.".to_owned(),
        Phrase::Drawing(percent) => format!("🎨 Рисую: {percent} %"),
        Phrase::Starting => "🕒 Начинаю.".to_owned(),
        Phrase::ServerAway => "🕒 Сервер не отвечает. Я продолжаю пробовать.".to_owned(),
        Phrase::ServerBusy => "🕒 Сервер занят. Я продолжаю пробовать.".to_owned(),
        Phrase::Stopped => "⏹ Остановлено.".to_owned(),
        Phrase::Failed(why) => format!("⚠️ Не получилось: {}", excerpt(why, 300)),
        Phrase::Refused([]) => "🚫 Правила этого сервера не разрешают такой запрос.".to_owned(),
        Phrase::Refused(categories) => {
            format!("🚫 Правила этого сервера не разрешают такой запрос: {}.", categories.join(", "))
        }
        Phrase::Invalid(why) => format!("⚠️ Сервер не может это нарисовать: {}", excerpt(why, 300)),
        Phrase::BotRefused => "⚠️ Сервер меня не пускает. Сообщите, пожалуйста, владельцу бота.".to_owned(),
        Phrase::Expired => "⌛ Этого рисунка больше нет. Пришлите запрос ещё раз.".to_owned(),
        Phrase::FileTooBig => "⚠️ Файл слишком большой: я читаю изображения до 20 МБ.".to_owned(),
        Phrase::FileGone => "⚠️ Telegram не отдаёт этот файл. Пришлите его, пожалуйста, ещё раз.".to_owned(),
        Phrase::PromptTooLong(most) => format!("⚠️ Текст слишком длинный: не больше {most} знаков."),
        Phrase::ModeMissing => "⚠️ Модель этого сервера так не умеет.".to_owned(),
        Phrase::TooMany(open) => {
            format!("✋ Ваших запросов в работе: {open}. Дождитесь одного или остановите его и пришлите это ещё раз.")
        }
        Phrase::QuotaUsed(most) => {
            format!("✋ Это больше вашей дневной нормы (изображений: {most}). Новый день начнётся в 00:00 UTC.")
        }
        Phrase::NotAllowed(id) => format!("🔒 Это закрытый бот. Попросите его владельца разрешить id {id}."),
        Phrase::Accepted => "👌".to_owned(),
        Phrase::NotYours => "Это чужой запрос.".to_owned(),
        Phrase::WhatToDo => "Что сделать с этим изображением?".to_owned(),
        Phrase::SendText => "Ответьте на это сообщение текстом, который надо примешать.".to_owned(),
        Phrase::SendPhoto => "Ответьте на это сообщение фотографией, которую надо примешать.".to_owned(),
        Phrase::SendPrompt => {
            "Напишите после команды, что нарисовать, например:\n/draw красное сердце на синем фоне".to_owned()
        }
        Phrase::ReplyToPhoto => "Эта команда — ответ на изображение или подпись к нему.".to_owned(),
        Phrase::NothingToStop => "У вас ничего нет в работе.".to_owned(),
        Phrase::StopRequested => "⏹ Останавливаю.".to_owned(),
        Phrase::Unsupported => "Я понимаю тексты и фото. Подробнее: /help".to_owned(),
        Phrase::UnknownCommand => "Я не знаю такой команды. Какие есть: /help".to_owned(),
        Phrase::Editor("") => "Чтобы перерисовать часть изображения, нужна маска; здесь я её взять не могу.".to_owned(),
        Phrase::Editor(url) => {
            format!("Чтобы перерисовать часть изображения, нужна маска. Для этого есть редактор: {url}")
        }
        Phrase::ChooseStyle => "Стиль этого чата:".to_owned(),
        Phrase::ChooseRatio => "Формат изображений этого чата:".to_owned(),
        Phrase::ChooseLanguage => "Language / Язык:".to_owned(),
        Phrase::StyleSet(name) => format!("Стиль: {name}."),
        Phrase::RatioSet(name) => format!("Формат: {name}."),
        Phrase::LanguageSet => "Здесь я говорю по-русски.".to_owned(),
        Phrase::NoStyle => "Без стиля".to_owned(),
        Phrase::ModelsRatio => "Как у модели".to_owned(),
        Phrase::Muted => "Теперь я молчу в этой группе. Администратор может сказать /on.".to_owned(),
        Phrase::Unmuted => "Я отвечаю в этой группе.".to_owned(),
        Phrase::AdministratorsOnly => "Это могут только администраторы группы.".to_owned(),
        Phrase::Seed(seed) => format!("Зерно: {seed}"),
        Phrase::Pick => "Какое? Номер покажет его отдельно, с кнопками.".to_owned(),
        Phrase::PromptCut(cut) => format!("✂️ Конец запроса модель не прочла: «{}»", excerpt(cut, 100)),
        Phrase::Translated(text) => format!("🌐 Нарисовано как «{}»", excerpt(text, 120)),
        Phrase::NotTranslated => "🌐 Запрос не переведён: переводчик не отвечает.".to_owned(),
        Phrase::InlineTitle => "Нарисовать".to_owned(),
        Phrase::InlineWaiting(prompt) => format!("🕒 {}", excerpt(prompt, 900)),
        Phrase::Caption { prompt, seed, width, height } => {
            let facts = format!("{width}×{height} · зерно {seed}");
            match prompt {
                Some(prompt) => format!("{}\n{facts}", excerpt(prompt, 600)),
                None => facts,
            }
        }
        Phrase::Again => "🔁 Ещё".to_owned(),
        Phrase::Variations => "🎲 Вариации".to_owned(),
        Phrase::Style => "🖌 Стиль".to_owned(),
        Phrase::Ratio => "📐 Формат".to_owned(),
        Phrase::File => "📄 Файл".to_owned(),
        Phrase::SeedButton => "🌱 Зерно".to_owned(),
        Phrase::Stop => "⏹ Стоп".to_owned(),
        Phrase::Back => "← Назад".to_owned(),
        Phrase::FuseText => "✍️ Смешать с текстом".to_owned(),
        Phrase::FusePhoto => "🖼 Смешать с фото".to_owned(),
        Phrase::CommandDraw => "нарисовать текст".to_owned(),
        Phrase::CommandVariations => "в ответ на изображение: похожие".to_owned(),
        Phrase::CommandStyle => "стиль этого чата".to_owned(),
        Phrase::CommandRatio => "формат изображений этого чата".to_owned(),
        Phrase::CommandLanguage => "язык".to_owned(),
        Phrase::CommandStop => "остановить ваши рисунки".to_owned(),
        Phrase::CommandHelp => "что я умею".to_owned(),
        Phrase::Description => {
            "Я рисую с помощью Kandinsky 2.1: пришлите текст, фото с подписью или несколько фото.".to_owned()
        }
    }
}
