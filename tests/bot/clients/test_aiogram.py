"""aiogram reads all that the fake answers, and knows all that the fake takes."""

import asyncio

import aiogram.methods
import fake
import pytest
from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import (
    TelegramBadRequest,
    TelegramConflictError,
    TelegramForbiddenError,
    TelegramRetryAfter,
    TelegramUnauthorizedError,
)
from aiogram.types import (
    BotCommand,
    BufferedInputFile,
    ForceReply,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InlineQueryResultArticle,
    InlineQueryResultCachedPhoto,
    InputMediaPhoto,
    InputTextMessageContent,
    LinkPreviewOptions,
    ReactionTypeEmoji,
    ReplyParameters,
)

ADA, GROUP = 3001, -100_300
KEYBOARD = InlineKeyboardMarkup(inline_keyboard=[[InlineKeyboardButton(text="Go", callback_data="go:1")]])
KINDS = ["message", "callback_query", "inline_query", "chosen_inline_result"]


def test_all_fields_are_known():
    for name, fields in fake.fields().items():
        known = getattr(aiogram.methods, name[0].upper() + name[1:]).model_fields
        for field in fields:
            assert field["name"] in known, (name, field)
            # The fake may ask for more: a text is optional where newer kinds of messages are sent, and the bot sends none.
            assert field["required"] or not known[field["name"]].is_required(), (name, field)


def test_all_answers_are_read():
    asyncio.run(scenario())


def picture():
    return BufferedInputFile(fake.PICTURE, "a.png")


async def scenario():
    fake.act("user", id=ADA, language="ru")
    fake.act("group", id=GROUP)
    session = AiohttpSession(api=TelegramAPIServer.from_base(fake.URL))
    # A connection for each call: a server may close one whose request it refused before it had read all of it.
    session._connector_init["force_close"] = True
    async with Bot(fake.TOKEN, session=session) as bot:
        me = await bot.get_me()
        assert me.username == "kandinsky_test_bot" and me.supports_inline_queries
        await bot.delete_webhook(drop_pending_updates=True)
        commands = [BotCommand(command="draw", description="draw a text")]
        assert await bot.set_my_commands(commands, language_code="ru")
        assert await bot.set_my_description("I draw")
        offset = 0

        async def updates(count):
            nonlocal offset
            found = []
            while len(found) < count:
                found += await bot.get_updates(offset=offset, timeout=5, allowed_updates=KINDS)
                offset = found[-1].update_id + 1
            assert len(found) == count
            return found

        await bot.get_updates(timeout=0, allowed_updates=KINDS)
        fake.act("post", user=ADA, chat=ADA, text="/draw red heart")
        message = (await updates(1))[0].message
        assert message.text == "/draw red heart" and message.from_user.language_code == "ru"
        assert message.entities[0].type == "bot_command" and message.chat.type == "private"
        assert await bot.set_message_reaction(ADA, message.message_id, [ReactionTypeEmoji(emoji="👀")])
        assert await bot.send_chat_action(ADA, "upload_photo")

        sent = await bot.send_message(
            ADA,
            "in line",
            reply_markup=KEYBOARD,
            reply_parameters=ReplyParameters(message_id=message.message_id, allow_sending_without_reply=True),
            link_preview_options=LinkPreviewOptions(is_disabled=True),
        )
        assert sent.reply_to_message.text == message.text and sent.from_user.is_bot
        place = {"chat_id": ADA, "message_id": sent.message_id}
        edited = await bot.edit_message_text(text="drawing", reply_markup=KEYBOARD, **place)
        assert edited.text == "drawing" and edited.edit_date
        with pytest.raises(TelegramBadRequest, match="not modified"):
            await bot.edit_message_text(text="drawing", reply_markup=KEYBOARD, **place)
        media = InputMediaPhoto(media=picture(), caption="half", has_spoiler=True)
        shown = await bot.edit_message_media(media=media, reply_markup=KEYBOARD, **place)
        assert shown.photo[-1].width == 64 and shown.caption == "half" and shown.has_media_spoiler
        assert (await bot.edit_message_caption(caption="done", reply_markup=KEYBOARD, **place)).caption == "done"
        with pytest.raises(TelegramBadRequest, match="no text in the message"):
            await bot.edit_message_text(text="x", **place)

        fake.act("press", user=ADA, chat=ADA, message=sent.message_id, button="Go")
        query = (await updates(1))[0].callback_query
        assert query.data == "go:1" and query.message.message_id == sent.message_id and query.from_user.id == ADA
        assert await bot.answer_callback_query(query.id, text="working", show_alert=True)
        with pytest.raises(TelegramBadRequest, match="(?i)query is too old"):
            await bot.answer_callback_query(query.id)
        await bot.edit_message_reply_markup(**place)

        fake.act("post", user=ADA, chat=ADA, photo=fake.photo(), caption="winter", reply_to=sent.message_id)
        photo = (await updates(1))[0].message
        assert photo.caption == "winter" and photo.reply_to_message.message_id == sent.message_id
        assert (await bot.download(photo.photo[-1].file_id)).read() == fake.PICTURE
        for _ in range(2):
            fake.act("post", user=ADA, chat=ADA, photo=fake.photo(), album="7")
        assert {update.message.media_group_id for update in await updates(2)} == {"7"}

        items = [InputMediaPhoto(media=picture(), caption="two"), InputMediaPhoto(media=picture())]
        album = await bot.send_media_group(ADA, items)
        assert len({item.media_group_id for item in album}) == 1 and album[0].caption == "two"
        document = await bot.send_document(ADA, picture(), disable_content_type_detection=True)
        assert document.document.file_size == len(fake.PICTURE)
        stored = await bot.send_photo(GROUP, picture(), disable_notification=True)
        assert stored.chat.type == "supergroup"
        await bot.send_message(ADA, "reply to me", reply_markup=ForceReply(force_reply=True, selective=True))
        assert await bot.delete_message(ADA, document.message_id)
        assert (await bot.get_chat_member(GROUP, ADA)).status == "member"

        fake.act("inline", user=ADA, text="red heart")
        inline = (await updates(1))[0].inline_query
        results = [
            InlineQueryResultArticle(
                id="draw",
                title="Draw",
                input_message_content=InputTextMessageContent(message_text="wait"),
                reply_markup=KEYBOARD,
            ),
            InlineQueryResultCachedPhoto(id="photo0", photo_file_id=stored.photo[-1].file_id),
        ]
        assert await bot.answer_inline_query(inline.id, results, cache_time=0, is_personal=True)
        fake.act("choose", user=ADA, query=inline.id, result="draw", text="red heart")
        chosen = (await updates(1))[0].chosen_inline_result
        assert chosen.query == "red heart" and chosen.inline_message_id
        inline_place = {"inline_message_id": chosen.inline_message_id}
        media = InputMediaPhoto(media=stored.photo[-1].file_id, caption="done")
        assert await bot.edit_message_media(media=media, reply_markup=KEYBOARD, **inline_place)
        with pytest.raises(TelegramBadRequest, match="upload"):
            await bot.edit_message_media(media=InputMediaPhoto(media=picture()), **inline_place)

        fake.act("flood", method="sendMessage", seconds=7)
        with pytest.raises(TelegramRetryAfter) as flood:
            await bot.send_message(ADA, "x")
        assert flood.value.retry_after == 7
        fake.act("block", user=ADA)
        with pytest.raises(TelegramForbiddenError, match="blocked"):
            await bot.send_message(ADA, "x")
        assert await bot.set_webhook("https://example.org/hook", secret_token="abc_1", allowed_updates=KINDS)
        with pytest.raises(TelegramConflictError):
            await bot.get_updates()
        assert await bot.delete_webhook()
    async with Bot("1:wrong", session=AiohttpSession(api=TelegramAPIServer.from_base(fake.URL))) as bot:
        with pytest.raises(TelegramUnauthorizedError):
            await bot.get_me()
