"""python-telegram-bot reads all that the fake answers, and knows all that the fake takes."""

import asyncio
import inspect
import re

import fake
import pytest
from telegram import (
    Bot,
    ForceReply,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InlineQueryResultArticle,
    InlineQueryResultCachedPhoto,
    InputMediaPhoto,
    InputTextMessageContent,
    LinkPreviewOptions,
    ReplyParameters,
)
from telegram.error import BadRequest, Conflict, Forbidden, InvalidToken, RetryAfter

ADA, GROUP = 2001, -100_200
KEYBOARD = InlineKeyboardMarkup([[InlineKeyboardButton("Go", callback_data="go:1")]])
KINDS = ["message", "callback_query", "inline_query", "chosen_inline_result"]


def test_all_fields_are_known():
    for name, fields in fake.fields().items():
        snake = re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()
        known = inspect.signature(getattr(Bot, snake)).parameters
        assert {field["name"] for field in fields} <= set(known), name


def test_all_answers_are_read():
    asyncio.run(scenario())


async def scenario():
    fake.act("user", id=ADA, language="ru")
    fake.act("group", id=GROUP)
    bot = Bot(fake.TOKEN, base_url=f"{fake.URL}/bot", base_file_url=f"{fake.URL}/file/bot")
    async with bot:
        assert bot.username == "kandinsky_test_bot" and bot.supports_inline_queries
        await bot.delete_webhook(drop_pending_updates=True)
        assert await bot.set_my_commands([("draw", "draw a text")], language_code="ru")
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
        (update,) = await updates(1)
        message = update.message
        assert message.text == "/draw red heart" and message.from_user.language_code == "ru"
        assert message.entities[0].type == "bot_command" and message.chat.type == "private"
        assert await bot.set_message_reaction(ADA, message.message_id, "👀")
        assert await bot.send_chat_action(ADA, "upload_photo")

        sent = await bot.send_message(
            ADA,
            "in line",
            reply_markup=KEYBOARD,
            reply_parameters=ReplyParameters(message.message_id, allow_sending_without_reply=True),
            link_preview_options=LinkPreviewOptions(is_disabled=True),
        )
        assert sent.reply_to_message.text == message.text and sent.from_user.is_bot
        edited = await bot.edit_message_text("drawing", ADA, sent.message_id, reply_markup=KEYBOARD)
        assert edited.text == "drawing" and edited.edit_date
        with pytest.raises(BadRequest, match="not modified"):
            await bot.edit_message_text("drawing", ADA, sent.message_id, reply_markup=KEYBOARD)
        shown = await bot.edit_message_media(
            InputMediaPhoto(fake.PICTURE, caption="half", has_spoiler=True), ADA, sent.message_id, reply_markup=KEYBOARD
        )
        assert shown.photo[-1].width == 64 and shown.caption == "half" and shown.has_media_spoiler
        assert (await bot.edit_message_caption(ADA, sent.message_id, caption="done", reply_markup=KEYBOARD)).caption == "done"
        with pytest.raises(BadRequest, match="no text in the message"):
            await bot.edit_message_text("x", ADA, sent.message_id)

        fake.act("press", user=ADA, chat=ADA, message=sent.message_id, button="Go")
        query = (await updates(1))[0].callback_query
        assert query.data == "go:1" and query.message.message_id == sent.message_id and query.from_user.id == ADA
        assert await query.answer("working", show_alert=True)
        with pytest.raises(BadRequest, match="(?i)query is too old"):
            await query.answer()
        await bot.edit_message_reply_markup(ADA, sent.message_id)

        fake.act("post", user=ADA, chat=ADA, photo=fake.photo(), caption="winter", reply_to=sent.message_id)
        photo = (await updates(1))[0].message
        assert photo.caption == "winter" and photo.reply_to_message.message_id == sent.message_id
        file = await photo.photo[-1].get_file()
        assert bytes(await file.download_as_bytearray()) == fake.PICTURE
        for _ in range(2):
            fake.act("post", user=ADA, chat=ADA, photo=fake.photo(), album="7")
        assert {update.message.media_group_id for update in await updates(2)} == {"7"}

        album = await bot.send_media_group(ADA, [InputMediaPhoto(fake.PICTURE, caption="two"), InputMediaPhoto(fake.PICTURE)])
        assert len({item.media_group_id for item in album}) == 1 and album[0].caption == "two"
        document = await bot.send_document(ADA, fake.PICTURE, filename="a.png", disable_content_type_detection=True)
        assert document.document.file_size == len(fake.PICTURE)
        stored = await bot.send_photo(GROUP, fake.PICTURE, disable_notification=True)
        assert stored.chat.type == "supergroup"
        await bot.send_message(ADA, "reply to me", reply_markup=ForceReply(selective=True))
        assert await bot.delete_message(ADA, document.message_id)
        assert (await bot.get_chat_member(GROUP, ADA)).status == "member"

        fake.act("inline", user=ADA, text="red heart")
        inline = (await updates(1))[0].inline_query
        article = InlineQueryResultArticle("draw", "Draw", InputTextMessageContent("wait"), KEYBOARD)
        cached = InlineQueryResultCachedPhoto("photo0", stored.photo[-1].file_id)
        assert await inline.answer([article, cached], cache_time=0, is_personal=True)
        fake.act("choose", user=ADA, query=inline.id, result="draw", text="red heart")
        chosen = (await updates(1))[0].chosen_inline_result
        assert chosen.query == "red heart" and chosen.inline_message_id
        media = InputMediaPhoto(stored.photo[-1].file_id, caption="done")
        assert await bot.edit_message_media(media, inline_message_id=chosen.inline_message_id, reply_markup=KEYBOARD)
        with pytest.raises(BadRequest, match="upload"):
            await bot.edit_message_media(InputMediaPhoto(fake.PICTURE), inline_message_id=chosen.inline_message_id)

        fake.act("flood", method="sendMessage", seconds=7)
        with pytest.raises(RetryAfter) as flood:
            await bot.send_message(ADA, "x")
        assert int(getattr(flood.value.retry_after, "total_seconds", lambda: flood.value.retry_after)()) == 7
        fake.act("block", user=ADA)
        with pytest.raises(Forbidden, match="blocked"):
            await bot.send_message(ADA, "x")
        assert await bot.set_webhook("https://example.org/hook", secret_token="abc_1", allowed_updates=KINDS)
        with pytest.raises(Conflict):
            await bot.get_updates()
        assert await bot.delete_webhook()
    with pytest.raises(InvalidToken):
        await Bot("1:wrong", base_url=f"{fake.URL}/bot").get_me()
